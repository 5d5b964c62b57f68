"""The callback, with a Keras that has only what the callback touches; the real ones run in tests/engines/test_keras_real.py."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from jupyter_mltrain.runclient.injected.jupyter_mltrain.keras import MLTrainCallback


class Callback:
    """Keras's: the framework sets `params`."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}


class Told:
    def __init__(self) -> None:
        self.logged: list[tuple[str, Any, int]] = []
        self.at: list[tuple[int, int | None]] = []

    def log(self, name: str, value: Any, step: int) -> None:
        self.logged.append((name, value, step))

    def progress(self, value: int, total: int | None) -> None:
        self.at.append((value, total))


def module(name: str) -> Any:
    base = type("Callback", (Callback,), {"family": name})
    found = types.ModuleType(name)
    found.callbacks = types.SimpleNamespace(Callback=base)  # type: ignore[attr-defined]
    return found


def fit(callback: Any, epochs: int, batches: int) -> None:
    callback.params = {"epochs": epochs}
    callback.on_train_begin()
    for epoch in range(epochs):
        for batch in range(batches):
            callback.on_train_batch_end(batch, {"loss": batch})
        callback.on_epoch_end(epoch, {"loss": 1 / (epoch + 1), "val_accuracy": 0.9})


def test_epochs_are_steps_and_progress() -> None:
    told = Told()
    fit(MLTrainCallback(told, keras=module("keras")), 2, 3)
    assert told.logged == [("loss", 1.0, 0), ("val_accuracy", 0.9, 0), ("loss", 0.5, 1), ("val_accuracy", 0.9, 1)]
    assert told.at == [(0, 2), (1, 2), (2, 2)]


def test_every_so_many_batches() -> None:
    told = Told()
    fit(MLTrainCallback(told, every_batches=2, keras=module("keras")), 2, 3)
    assert [entry for entry in told.logged if entry[0].startswith("batch/")] == [
        ("batch/loss", 1, 2), ("batch/loss", 0, 4), ("batch/loss", 2, 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("loaded", "legacy", "chosen"),
    [
        (["keras"], "", "keras"),
        (["keras", "tf_keras"], "", "tf_keras"),
        (["keras", "tensorflow"], "", "keras"),
        (["tensorflow"], "", "inside tensorflow"),
        (["tensorflow", "tf_keras"], "1", "tf_keras"),
    ],
)
def test_it_is_a_callback_of_the_keras_in_use(
    loaded: list[str], legacy: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("keras", "tf_keras", "tensorflow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", legacy)
    for name in loaded:
        found = module(name)
        found.keras = module("inside tensorflow")
        monkeypatch.setitem(sys.modules, name, found)
    callback = MLTrainCallback(Told())
    assert callback.family == chosen
    assert isinstance(callback, Callback)


def test_the_same_keras_gives_the_same_class() -> None:
    keras = module("keras")
    assert type(MLTrainCallback(Told(), keras=keras)) is type(MLTrainCallback(Told(), keras=keras))
