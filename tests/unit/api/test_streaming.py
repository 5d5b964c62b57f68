"""A log on a notebook's output: as it comes, never more than a notebook can hold, and never torn inside a character."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.api import streaming
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.streaming import LAST_BYTES, MOST_BYTES, LogPrinter
from jupyter_mltrain.api.workspace import Workspace
from tests.unit.api.fake_service import FakeConnection, state

PATH = "/v1/runs/e_1_aaaaaaaa"


def printed(pieces: list[bytes]) -> str:
    out = io.StringIO()
    printer = LogPrinter(out)
    for piece in pieces:
        printer.feed(piece)
    printer.close()
    return out.getvalue()


@given(st.text(max_size=200), st.integers(1, 7))
def test_a_character_is_not_torn_by_how_it_comes(text: str, size: int) -> None:
    text = text.replace("\r", "")
    data = text.encode("utf-8", "replace")
    assert printed([data[i : i + size] for i in range(0, len(data), size)]) == data.decode()


def test_what_is_no_text_is_shown_as_such() -> None:
    assert printed([b"a\xff\xfeb", b"\xc3"]) == "a\ufffd\ufffdb\ufffd"


@pytest.mark.parametrize("piece", [1 << 10, 1 << 18, 5_000_000])
def test_of_a_long_log_the_beginning_and_the_end_are_shown(piece: int) -> None:
    data = b"a" * MOST_BYTES + b"b" * 3_000_000 + b"z" * LAST_BYTES
    shown = printed([data[i : i + piece] for i in range(0, len(data), piece)])
    assert shown.startswith("a" * MOST_BYTES + "\n… 3.0 MB left out here")
    assert shown.endswith("z" * LAST_BYTES)
    assert "b" not in shown.replace("mltrain logs", "").replace("MB", "")


def test_just_beyond_the_limit_nothing_is_left_out() -> None:
    data = b"a" * MOST_BYTES + b"z" * LAST_BYTES
    assert printed([data]) == data.decode()


def test_build_and_script_are_headed_once_each(
    workspace: Workspace, service: FakeConnection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = [
        ("build.log", b"one\n"),
        ("build.log", b""),
        ("build.log", b"two\n"),
        ("std", b"three\n"),
        ("std", b"four\n"),
    ]
    monkeypatch.setattr(streaming, "follow_run", lambda *_, **__: iter(pieces))
    service.answers[f"GET {PATH}"] = state("Completed")
    streaming.stream_log(Run(Experiment(workspace, "e"), "e_1_aaaaaaaa"), LogPrinter())
    out = capsys.readouterr().out
    assert out.split() == [
        "Streaming",
        "build.log",
        "=" * 19,
        "one",
        "two",
        "Streaming",
        "std",
        "=" * 13,
        "three",
        "four",
    ]
