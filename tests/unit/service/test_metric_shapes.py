"""Whatever a script logs, `get_metrics` gives it in the SDK's shapes: the run client and the reader, against a plain model."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from jupyter_mltrain.runclient.injected.jupyter_mltrain._run import LiveRun
from jupyter_mltrain.runclient.injected.jupyter_mltrain._values import UsageError
from jupyter_mltrain.service.metrics import metric_values
from tests.metric_model import CALLS, Call, expected, same


class Bench:
    """A run's folder, and a client that writes to it from its working folder."""

    def __init__(self, folder: Path) -> None:
        self.streams = folder / "streams"
        for name in ("streams", "work/outputs"):
            (folder / name).mkdir(parents=True)
        self.run = LiveRun("e_1_aa", "e", "brave-otter-7", 0, str(self.streams))
        self.run.work = str(Path.cwd())  # images are named as seen from here

    def metrics(self) -> dict[str, Any]:
        """As they come to the notebook."""
        return json.loads(json.dumps(metric_values(self.streams)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@given(calls=CALLS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))  # pyright: ignore[reportArgumentType]
def test_any_sequence_of_calls_gives_what_the_model_says(calls: list[Call]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for call in calls:
            call.on(bench.run)
        found, wanted = bench.metrics(), expected(calls)
        assert same(found, wanted), f"{found} instead of {wanted}"


def test_the_table_of_the_sdk(bench: Bench) -> None:
    """Each line of it once, in so many words."""
    run = bench.run
    run.log("once", 0.5)
    for value in (1, 2):
        run.log("twice", value)
    run.log_list("many", range(300))
    run.log_list("one", iter([7]))
    run.log_list("nothing", [])
    run.log_list("mixed", [1, 2.5])
    run.log_list("array", np.arange(3))
    run.log_row("row", x=1, y=0.4)
    for x in (1, 2):
        run.log_row("rows", x=x, y=np.float32(0.5))
    run.log_table("table", {"x": [1, 2], "y": 3})
    for name in ("outputs/a.png", "outputs/b.png"):
        run.log_image("image", path=name)
    run.log("big", np.int64(2**62))
    found = bench.metrics()
    assert found == {
        "once": 0.5,
        "twice": [1, 2],
        "many": list(range(300)),
        "one": 7,
        "mixed": [1.0, 2.5],
        "array": [0, 1, 2],
        "row": {"x": 1, "y": 0.4},
        "rows": {"x": [1, 2], "y": [0.5, 0.5]},
        "table": {"x": [1, 2], "y": 3},
        "image": "outputs/a.png",
        "big": 2**62,
    }
    assert type(found["mixed"][0]) is float
    assert type(found["row"]["x"]) is int


def test_what_no_table_can_be_is_the_scripts_mistake(bench: Bench) -> None:
    with pytest.raises(UsageError, match="column x had length 2, however, column y had length 1"):
        bench.run.log_table("table", {"x": [1, 2], "y": [1]})
    with pytest.raises(UsageError, match="log_table"):
        bench.run.log_row("row", x=[1, 2])
    assert bench.metrics() == {}


def test_a_run_that_began_anew_is_read_in_order(bench: Bench) -> None:
    """Whatever number its second process has."""
    for pid, when, value in ((90, 1.0, 1), (100, 2.0, 2)):
        (bench.streams / f"r0-{pid}.metrics").write_text(f'["x",null,{when},{value}]\n')
    assert bench.metrics() == {"x": [1, 2]}
