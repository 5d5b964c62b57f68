"""The run client as a training script sees it (being built)."""
