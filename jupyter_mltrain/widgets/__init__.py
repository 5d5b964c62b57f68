"""How a run shows in a notebook: the mime bundle, and the static card inside it."""
