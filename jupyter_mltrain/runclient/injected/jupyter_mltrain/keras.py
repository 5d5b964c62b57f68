"""A Keras callback: `model.fit(..., callbacks=[MLTrainCallback()])` logs every metric and shows "epoch 12/20".

Works with the Keras that the script uses: Keras 3, Keras 2 (`tf_keras`), or the one inside TensorFlow up to 2.15.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from ._run import Run

_classes: dict[int, Any] = {}


class MLTrainCallback:
    """Logs the metrics of each epoch with the epoch as step, and the progress.

    `every_batches`: also log each so many batches, as `batch/<name>` with the number of batches seen as step (0: not).
    `run`: the run to tell, by default the one that this process belongs to. `keras`: the Keras module to be a callback of,
    by default the one that the script has loaded.
    """

    def __new__(cls, run: Any = None, *, every_batches: int = 0, keras: Any = None) -> Any:
        base = (keras or _keras()).callbacks.Callback
        if id(base) not in _classes:
            _classes[id(base)] = type("MLTrainCallback", (_Hooks, base), {"__module__": __name__})
        return _classes[id(base)](run, every_batches)


class _Hooks:
    def __init__(self, run: Any, every_batches: int) -> None:
        super().__init__()
        self._run = run if run is not None else Run.get_context()
        self._every = every_batches
        self._batches = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._run.progress(0, self.params.get("epochs"))  # type: ignore[attr-defined] - Keras sets it

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._run.log(name, value, step=epoch)
        self._run.progress(epoch + 1, self.params.get("epochs"))  # type: ignore[attr-defined]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches += 1
        if self._every and self._batches % self._every == 0:
            for name, value in (logs or {}).items():
                self._run.log(f"batch/{name}", value, step=self._batches)


def _keras() -> Any:
    loaded = sys.modules
    if "tf_keras" in loaded or os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):
        return importlib.import_module("tf_keras")
    if "keras" not in loaded and "tensorflow" in loaded:
        return loaded["tensorflow"].keras
    try:
        return importlib.import_module("keras")
    except ImportError:
        return importlib.import_module("tensorflow").keras
