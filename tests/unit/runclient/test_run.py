"""What a script can say of its run, live and offline."""

from __future__ import annotations

import decimal
import enum
import fractions
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mltrain import runclient
from jupyter_mltrain.runclient.injected.jupyter_mltrain import _run, _stream
from jupyter_mltrain.runclient.injected.jupyter_mltrain._run import LiveRun, OfflineRun, Run
from jupyter_mltrain.runclient.injected.jupyter_mltrain._values import UsageError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_said", set())
    monkeypatch.setattr(_run, "_current", None)
    for name in ("MLTRAIN_RUN_ID", "MLTRAIN_STREAMS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def live(tmp_path: Path) -> LiveRun:
    for name in ("streams", "work/outputs"):
        (tmp_path / name).mkdir(parents=True)
    return LiveRun("e_1_aa", "e", "brave-otter-7", 0, str(tmp_path / "streams"))


def said(live: LiveRun) -> list[Any]:
    (path,) = Path(live.work).with_name("streams").iterdir()
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


class Tensor:
    """As TensorFlow's: no `item`, a `numpy` that gives an array."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    def numpy(self) -> Any:
        return self.value


class Color(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1, 1),
        (2**80, 2**80),
        (0.1, 0.1),
        (True, True),
        (None, None),
        ("text", "text"),
        ("日本\n\x00", "日本\n\x00"),
        (np.int64(2**62), 2**62),
        (np.uint8(7), 7),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.array(3), 3),
        (np.array([3.5]), 3.5),
        (np.str_("s"), "s"),
        (Tensor(1.5), 1.5),
        (Tensor(np.int64(2**60)), 2**60),
        (Tensor([2.0]), 2.0),
        (decimal.Decimal("1.5"), 1.5),
        (fractions.Fraction(1, 2), 0.5),
        (Color.RED, 3),
    ],
)
def test_numbers_of_any_kind_are_kept(live: LiveRun, given: Any, kept: Any) -> None:
    for _ in range(2):  # a type that was seen before takes a shorter way
        live.log("m", given)
    values = [record[3] for record in said(live)]
    assert values == [kept, kept]
    assert type(values[0]) is type(kept)


@pytest.mark.parametrize("value", [[1], (1, 2), range(3), (i for i in range(2)), {1}])
def test_a_list_in_log_is_the_scripts_mistake(live: LiveRun, value: Any) -> None:
    with pytest.raises(UsageError, match="log_list"):
        live.log("m", value)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def item(self) -> float:
        raise MemoryError("no number")


@pytest.mark.parametrize(
    "value",
    [Hostile(), {"a": 1}, np.array([1, 2]), Tensor([1, 2]), object(), 1j, pytest.param(10**5000, id="5000 digits")],
)
def test_nothing_else_raises(live: LiveRun, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        live.log("m", value)
        live.log_list("l", [value])
        live.log_row("r", x=value)
        live.tag("t", value)
        live.progress(value)  # type: ignore[arg-type]
    live.log("after", 1)
    assert said(live)[-1][0] == "after"
    assert capsys.readouterr().err.count("this is said once") <= 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(
    name=st.text(),
    value=st.one_of(st.floats(), st.integers(-(2**100), 2**100), st.booleans(), st.none(), st.text()),
    step=st.one_of(st.none(), st.integers(-(2**70), 2**70)),
)
def test_what_is_read_is_what_was_logged(live: LiveRun, name: str, value: Any, step: int | None) -> None:
    live.log(name, value, step=step)
    got_name, got_step, at, got = said(live)[-1]

    def clean(text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    assert got_name == clean(name)
    assert got_step == step
    assert abs(at - time.time()) < 60
    if isinstance(value, float):
        assert (
            math.isnan(got)
            if math.isnan(value)
            else (got == value and math.copysign(1, got) == math.copysign(1, value))
        )
    else:
        assert got == (clean(value) if isinstance(value, str) else value)


def test_not_a_number_and_infinities_are_written_as_json_readers_know_them(live: LiveRun) -> None:
    for value in (math.nan, math.inf, -math.inf, np.float32("nan")):
        live.log("m", value)
    (path,) = Path(live.work).with_name("streams").iterdir()
    assert [line.rpartition(b",")[2] for line in path.read_bytes().splitlines()] == [
        b"NaN]", b"Infinity]", b"-Infinity]", b"NaN]",
    ]  # fmt: skip


@pytest.mark.parametrize(("step", "kept"), [(np.int64(4), 4), (2.0, 2), ("x", None), (math.nan, None), (True, 1)])
def test_steps_are_integers_or_left_out(live: LiveRun, step: Any, kept: int | None) -> None:
    live.log("m", 1.0, step=step)
    live.log("m", np.float32(1), step=step)
    assert [record[1] for record in said(live)] == [kept, kept]


def test_lists_rows_tables(live: LiveRun) -> None:
    live.log_list("empty", [])
    live.log_list("l", np.array([[1, 2], [3, 4]])[0], step=3)
    live.log_list("gen", (i / 2 for i in range(3)))
    live.log_list("tensor", Tensor([1.0, 2.0]))
    live.log_row("row", x=1, y=np.float32(0.5), label="a")
    live.log_table("table", {"x": [1, 2], "y": np.array([0.5, math.inf]), "s": "scalar"})
    records = [{k: v for k, v in record.items() if k != "t"} for record in said(live)]
    assert records == [
        {"k": "list", "name": "l", "values": [1, 2], "step": 3},
        {"k": "list", "name": "gen", "values": [0.0, 0.5, 1.0], "step": None},
        {"k": "list", "name": "tensor", "values": [1.0, 2.0], "step": None},
        {"k": "row", "name": "row", "row": {"x": 1, "y": 0.5, "label": "a"}},
        {"k": "table", "name": "table", "table": {"x": [1, 2], "y": [0.5, math.inf], "s": "scalar"}},
    ]


def test_tags_properties_params_progress(live: LiveRun) -> None:
    live.tag("k", 1)
    live.tag("alone")
    live.set_tags({"a": "b"})
    live.add_properties({"p": None})
    live.param("lr", np.float64(0.1))
    live.progress(3, 20)
    kinds = [(r["k"], r.get("key", r.get("label")), r["value"]) for r in said(live)]
    assert kinds == [
        ("tag", "k", "1"), ("tag", "alone", None), ("tag", "a", "b"), ("property", "p", None), ("param", "lr", 0.1),
        ("progress", "epoch", 3),
    ]  # fmt: skip


class Figure:
    def savefig(self, path: str, format: str) -> None:  # noqa: A002 - matplotlib's name
        Path(path).write_bytes(format.encode())


def test_images_and_files_land_where_they_are_kept(live: LiveRun, tmp_path: Path) -> None:
    live.log_image("confusion / matrix", plot=Figure())
    elsewhere = tmp_path / "work" / "a.png"
    elsewhere.write_bytes(b"a")
    live.log_image("a", path=str(elsewhere))
    (tmp_path / "work/outputs/b.png").write_bytes(b"b")
    live.log_image("b", path=str(tmp_path / "work/outputs/b.png"), step=2)
    live.upload_file("deep/model.bin", str(elsewhere))
    records = said(live)
    assert (tmp_path / "work" / records[0]["path"]).read_bytes() == b"png"
    assert [r["path"] for r in records[1:]] == ["outputs/a.png", "outputs/b.png", "outputs/deep/model.bin"]
    assert (tmp_path / "work/outputs/a.png").read_bytes() == b"a"
    assert (tmp_path / "work/outputs/deep/model.bin").read_bytes() == b"a"


def test_a_figure_that_cannot_be_saved_is_a_warning(live: LiveRun, capsys: pytest.CaptureFixture[str]) -> None:
    live.log_image("x", plot=object())
    live.log_image("y", path="/does/not/exist.png")
    assert "log_image failed" in capsys.readouterr().err


def test_a_name_that_leads_out_of_the_run_is_refused(live: LiveRun, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(UsageError):
        live.upload_file("../../../evil", str(tmp_path / "f"))


def test_the_end_of_a_script_is_not_decided_by_what_it_calls(live: LiveRun) -> None:
    with live as run:
        run.complete()
        run.fail("x")
        run.cancel()
        run.flush()
    assert run.get_status() == "Running"


def test_context_is_the_run_that_the_variables_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(Run.get_context(), OfflineRun)
    values = {
        "RUN_ID": "e_1_aa",
        "EXPERIMENT": "e",
        "DISPLAY_NAME": "brave-otter-7",
        "RANK": "2",
        "STREAMS": str(tmp_path),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"MLTRAIN_{name}", value)
    run = Run.get_context()
    assert (run.id, run.experiment.name, run.number, run.rank, run.display_name) == (
        "e_1_aa",
        "e",
        7,
        2,
        "brave-otter-7",
    )
    assert Run.get_context() is run
    assert runclient.context() is run
    monkeypatch.setenv("MLTRAIN_DATA_MNIST", "/data")
    assert run.input_datasets == {"mnist": "/data"}


def test_outside_of_a_run_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.get_context()
    assert run.id.startswith("OfflineRun_")
    assert Run.get_context() is run
    run.log("loss", np.float32(0.5), step=3)
    run.log_list("l", [1, 2])
    run.log_row("r", x=1)
    run.log_table("t", {"x": [1]})
    run.log_image("i", path="a.png")
    run.tag("k", "v")
    run.progress(1, 2)
    run.upload_file("f", "f")
    assert capsys.readouterr().out == (
        "Attempted to log scalar metric loss:\n0.5\n"
        "Attempted to log list metric l:\n[1, 2]\n"
        "Attempted to log row metric r:\n{'x': 1}\n"
        "Attempted to log table metric t:\n{'x': [1]}\n"
        "Attempted to log image metric i:\na.png\n"
        "Attempted to set tag k:\nv\n"
        "epoch 1/2\n"
        "Attempted to track file outputs/f\n"
    )
    with pytest.raises(UsageError):
        run.log("l", [1])
    with pytest.raises(UsageError, match="not part of a run"):
        Run.get_context(allow_offline=False)


def test_both_kinds_of_run_have_the_same_surface() -> None:
    public = {name for name in dir(Run) if not name.startswith("_")}
    for kind in (LiveRun, OfflineRun):
        assert public <= {name for name in dir(kind) if not name.startswith("_")}
    assert {name for name in dir(OfflineRun) if not name.startswith("_")} == public
