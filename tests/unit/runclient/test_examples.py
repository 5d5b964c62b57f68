"""Examples per second, on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mltrain.runclient.injected.jupyter_mltrain import _examples
from jupyter_mltrain.runclient.injected.jupyter_mltrain._examples import LEVEL, Examples, batch_of
from jupyter_mltrain.runclient.injected.jupyter_mltrain._run import OfflineRun


class Counting:
    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[tuple[float, int]] = []
        self.examples = Examples(lambda rate, batches: self.told.append((rate, batches)), lambda: self.now)

    def batches(self, count: int, seconds: float, size: float = 32) -> None:
        for _ in range(count):
            self.now += seconds
            self.examples.add(size)


def test_the_first_batch_only_starts_the_clock() -> None:
    one = Counting()
    one.batches(1, 60.0)  # it compiled
    one.batches(4, 0.25)
    assert one.told == [(128.0, 5)]


def test_a_record_a_second_and_the_rest_at_the_end() -> None:
    one = Counting()
    one.batches(9, 0.5)
    one.batches(1, 0.25)
    assert one.told == [(64.0, 3), (64.0, 5), (64.0, 7), (64.0, 9)]
    one.examples.rest()
    assert one.told[-1] == (128.0, 10)
    one.examples.rest()
    assert len(one.told) == 5


def test_what_is_no_training_does_not_count_as_time() -> None:
    one = Counting()
    one.batches(2, 0.5)
    one.examples.pause()
    one.now += 1000
    one.examples.resume()
    one.batches(1, 0.5)
    assert one.told == [(64.0, 3)]


def test_the_rest_after_a_pause_is_told_at_its_rate() -> None:
    one = Counting()
    one.batches(3, 0.25)
    one.examples.pause()
    one.now += 0.45
    one.examples.resume()
    one.examples.rest()
    assert one.told == [(128.0, 3)]


def test_a_long_training_leaves_few_records() -> None:
    one = Counting()
    one.batches(1 + LEVEL * 3, 1.0)
    assert len(one.told) == LEVEL * 2
    assert one.told[-1] == (32.0, 1 + LEVEL * 3)


def test_a_forked_process_tells_nothing_of_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Counting()
    one.batches(2, 0.5)
    monkeypatch.setattr(_examples.os, "getpid", lambda: -1)
    one.examples.closing()
    assert not one.told


def test_a_count_that_is_none_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run = OfflineRun()
    strange: Any = "many"
    run.log_examples(strange)
    assert "run.log_examples failed: ValueError" in capsys.readouterr().err
    run.log_examples(3)


class Fitting:
    """A model that asks for the size of its batches in the middle of `fit`, as a callback does."""

    def fit(
        self,
        x: object = None,
        batch_size: int | None = None,
        data_handler: object = None,
        epoch_iterator: object = None,
    ) -> float:
        return self.asked()

    def asked(self) -> float:
        return batch_of(self)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"batch_size": 64}, 64),
        ({}, 0),
        ({"epoch_iterator": SimpleNamespace(data_adapter=SimpleNamespace(batch_size=32))}, 32),
        ({"data_handler": SimpleNamespace(_adapter=SimpleNamespace(batch_size=lambda: 16))}, 16),
        ({"x": SimpleNamespace(_input_dataset=SimpleNamespace(_batch_size=8))}, 8),
        ({"x": [1, 2, 3]}, 0),
    ],
)
def test_the_size_of_a_batch_is_found_in_fit(given: dict[str, Any], size: float) -> None:
    assert Fitting().fit(**given) == size


def test_a_worker_has_its_share_of_a_batch() -> None:
    model: Any = Fitting()
    model.distribute_strategy = SimpleNamespace(
        num_replicas_in_sync=4, extended=SimpleNamespace(worker_devices=("gpu:0", "gpu:1"))
    )
    assert model.fit(batch_size=64) == 32


def test_nobody_fits() -> None:
    assert batch_of(Fitting()) == 0
