"""The Keras callback under the name that scripts use, for notebooks: outside of a run it prints what it would log."""

from __future__ import annotations

from jupyter_mltrain.runclient.injected.jupyter_mltrain.keras import MLTrainCallback

__all__ = ["MLTrainCallback"]
