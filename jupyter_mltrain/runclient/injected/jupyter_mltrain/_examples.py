"""How many examples a rank goes through in a second: counted by the script, told as a metric about once a second.

The metric is `examples_per_second`, whose step is the number of batches so far. The time between two records doubles after
every `LEVEL` of them: a training of ten days leaves a few thousand.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Any, Callable

EXAMPLES = "examples_per_second"
EVERY = 1.0
"""Seconds between two records at first."""
LEVEL = 600
_FRAMES = 16
_WRAPPERS = 32


class Examples:
    """Counts. `tell` gets a rate and the number of batches so far. What comes before the end of the first batch is not
    counted: nobody knows how long that took, and it is there that a model is compiled."""

    def __init__(self, tell: Callable[[float, int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0
        self._paused: float | None = None
        self._count = 0.0
        self._batches = 0
        self._every, self._left = EVERY, LEVEL
        self._process = os.getpid()
        _open.add(self)

    def add(self, count: float, batches: int = 1) -> None:
        """So many examples, in so many batches, are done."""
        now = self._clock()
        self._batches += batches
        if self._since is None:
            self._since = self._last = now
            return
        self._count += count
        self._last = now
        if now - self._since >= self._every:
            self._say()
            self._left -= 1
            if not self._left:
                self._every *= 2
                self._left = LEVEL

    def pause(self) -> None:
        """What comes is no training."""
        self._paused = self._clock()

    def resume(self) -> None:
        """The time since `pause` does not count."""
        if self._paused is not None and self._since is not None:
            rested = self._clock() - self._paused
            self._since += rested
            self._last += rested
        self._paused = None

    def rest(self) -> None:
        """Tell what was not told yet; the next batch is a first one again."""
        self._say()
        self._since = self._paused = None
        self._count = 0.0

    def closing(self) -> None:
        if os.getpid() == self._process:  # a forked process counts nothing of its parent's
            self.rest()

    def _say(self) -> None:
        if self._since is None:
            return
        took = self._last - self._since
        if self._count > 0 and took > 0:
            self._tell(self._count / took, self._batches)
            self._since, self._count = self._last, 0.0


def batch_of(model: Any) -> float:
    """Examples of this process in one batch of Keras' `fit`, which is under way; 0.0 where nobody says. Where a strategy
    shares batches out among several workers, this worker's share."""
    frame: Any = sys._getframe(1) if model is not None else None
    for _ in range(_FRAMES):
        if frame is None:
            return 0.0
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return _size(frame.f_locals) * _share(model)
        frame = frame.f_back
    return 0.0


def _size(known: Any) -> float:
    """The size of a batch, from the variables of `fit`."""
    data: Any = known.get("x")
    handler = known.get("data_handler")  # of Keras 2
    adapter = getattr(known.get("epoch_iterator"), "data_adapter", None) or getattr(handler, "_adapter", None)
    found = getattr(adapter, "batch_size", None)
    size = known.get("batch_size") or (found() if callable(found) else found)
    for _ in range(_WRAPPERS):  # a tf.data.Dataset: what batches may be wrapped by what prefetches
        if size or data is None:
            break
        size, data = getattr(data, "_batch_size", None), getattr(data, "_input_dataset", None)
    return float(int(size)) if size is not None else 0.0


def _share(model: Any) -> float:
    strategy = getattr(model, "distribute_strategy", None)
    try:
        return len(strategy.extended.worker_devices) / strategy.num_replicas_in_sync
    except (AttributeError, RuntimeError, ValueError, TypeError, ZeroDivisionError):
        return 1.0  # no strategy, or one that shares nothing out


_open: weakref.WeakSet = weakref.WeakSet()


def _at_exit() -> None:
    for one in list(_open):
        one.closing()


atexit.register(_at_exit)
