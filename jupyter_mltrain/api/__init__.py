"""What users hold: Workspace, Experiment, Run, Environment, Model."""
