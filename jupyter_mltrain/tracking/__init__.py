"""MLflow: the published copy of runs, and the model registry."""
