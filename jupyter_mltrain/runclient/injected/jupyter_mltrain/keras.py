"""A Keras callback: `model.fit(..., callbacks=[MLTrainCallback()])` logs every metric, shows "epoch 12/20" and counts
examples.

Works with the Keras that the script uses: Keras 3, Keras 2 (`tf_keras`), or the one inside TensorFlow up to 2.15.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from . import _examples
from ._run import Run
from ._stream import warn_once

_classes: dict[int, Any] = {}


class MLTrainCallback:
    """Logs the metrics of each epoch with the epoch as step, the progress, and the examples per second of training.

    `every_batches`: also log each so many batches, as `batch/<name>` with the number of batches seen as step (0: not).
    `run`: the run to tell, by default the one that this process belongs to. `batch_size`: examples of this process in a
    batch, where `fit` does not say it (0: look there; a generator's are not known). `keras`: the Keras module to be a
    callback of, by default the one that the script has loaded.
    """

    def __new__(cls, run: Any = None, *, every_batches: int = 0, batch_size: int = 0, keras: Any = None) -> Any:
        base = (keras or _keras()).callbacks.Callback
        if id(base) not in _classes:
            _classes[id(base)] = type("MLTrainCallback", (_Hooks, base), {"__module__": __name__})
        return _classes[id(base)](run, every_batches, batch_size)


class _Hooks:
    def __init__(self, run: Any, every_batches: int, batch_size: int) -> None:
        super().__init__()
        self._run = run if run is not None else Run.get_context()
        self._every = every_batches
        self._batches = 0
        self._given = self._size = float(batch_size)
        self._seen = 0
        self._examples = _examples.Examples(self._tell)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._run.progress(0, self.params.get("epochs"))  # type: ignore[attr-defined] - Keras sets it
        self._size = self._given
        if not self._size:
            try:
                self._size = _examples.batch_of(getattr(self, "model", None))
            except Exception as error:  # noqa: BLE001 - telemetry never harms training
                warn_once("examples", f"the size of a batch was not found: {type(error).__name__}: {error}")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._seen = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._run.log(name, value, step=epoch)
        self._run.progress(epoch + 1, self.params.get("epochs"))  # type: ignore[attr-defined]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._batches += 1
        if self._size:
            # With `steps_per_execution` one call is of several batches.
            done = max(1, batch + 1 - self._seen)
            self._seen = batch + 1
            self._examples.add(done * self._size, done)
        if self._every and self._batches % self._every == 0:
            for name, value in (logs or {}).items():
                self._run.log(f"batch/{name}", value, step=self._batches)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._examples.pause()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self._examples.resume()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._examples.rest()

    def _tell(self, rate: float, batches: int) -> None:
        self._run.log(_examples.EXAMPLES, rate, step=batches)


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
