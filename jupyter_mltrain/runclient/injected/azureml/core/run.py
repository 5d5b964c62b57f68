"""`from azureml.core.run import Run`."""

from __future__ import annotations

from jupyter_mltrain import Run

__all__ = ["Run"]
