from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.api.logs import BUILD_LOG, LOG, follow, follow_run, read
from jupyter_mltrain.commands.follow import Tail
from jupyter_mltrain.errors import RunNotFound
from tests.unit.commands.fake_service import FakeConnection


def new_run(service: FakeConnection) -> str:
    body = {
        "run_id": "e_1_a",
        "experiment": "e",
        "environment": None,
        "target": None,
        "script": "cell.py",
        "arguments": [],
        "data": [],
        "tags": {},
        "resources": {},
    }
    return str(service.post("/v1/runs", body)["id"])


def test_all_bytes_once_and_in_order_while_the_run_writes(service: FakeConnection) -> None:
    run = new_run(service)

    def write() -> None:
        for i in range(200):
            service.write(run, f"line {i}\n".encode())
        service.advance(run, "Completed")

    thread = threading.Thread(target=write)
    thread.start()
    seen = b"".join(follow(service, run, beat=0.01))
    thread.join()
    assert seen == b"".join(f"line {i}\n".encode() for i in range(200))


def test_it_ends_for_a_run_that_never_wrote(service: FakeConnection) -> None:
    run = new_run(service)
    service.advance(run, "Failed")
    assert b"".join(follow(service, run, beat=0.01)) == b""
    assert read(service, run) == (b"", 0)


def test_what_comes_with_the_end_is_not_lost(service: FakeConnection) -> None:
    run = new_run(service)
    pieces = follow(service, run, beat=0.01)
    assert next(pieces) == b""
    service.write(run, b"last words")
    service.advance(run, "Completed")
    assert b"".join(pieces) == b"last words"


def test_the_build_comes_first(service: FakeConnection) -> None:
    run = new_run(service)
    service.advance(run, "Preparing")
    service.write(run, b"Installing\n", BUILD_LOG)
    pieces = follow_run(service, run, beat=0.01)
    assert next(pieces) == (BUILD_LOG, b"Installing\n")
    service.advance(run, "Running")
    service.write(run, b"epoch 1\n")
    seen = [next(pieces)]
    service.advance(run, "Completed")
    seen += list(pieces)
    assert b"".join(data for log, data in seen if log == LOG) == b"epoch 1\n"


def test_an_unknown_run_is_an_error(service: FakeConnection) -> None:
    with pytest.raises(RunNotFound):
        next(follow(service, "nobody"))


def tail(*pieces: bytes, lines: int = 5) -> Tail:
    made = Tail(lines)
    for piece in pieces:
        made.feed(piece)
    return made


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"a\nb\n", "a\nb"),
        (b"a\nb", "a\nb"),
        (b"  0%\r 50%\r100%\ndone", "100%\ndone"),
        (b"windows\r\nline\r\n", "windows\nline"),
        (b"one\rtwo", "two"),
        (b"one\r", "one"),
        (b"\xff\xfe ok \x00", "�� ok \x00"),
        ("grün 🙂\n".encode(), "grün 🙂"),
        (b"\n\nx", "\n\nx"),
    ],
)
def test_lines_as_a_terminal_shows_them(written: bytes, shown: str) -> None:
    assert tail(written).lines == shown
    assert tail(*(written[i : i + 1] for i in range(len(written)))).lines == shown


def test_only_the_last_lines_are_kept_and_the_rest_is_told() -> None:
    made = tail(b"".join(b"line %d\n" % i for i in range(1000)))
    assert made.lines == "\n".join(f"line {i}" for i in range(995, 1000))
    assert made.text.splitlines()[0] == "… 995 earlier lines"


def test_a_million_updates_of_one_line_are_one_line() -> None:
    made = tail(*[b"".join(b"%d%%\r" % (i % 100) for i in range(10_000))] * 10)
    assert made.lines == "99%"
    assert made.dropped == 0


def test_an_endless_line_is_cut() -> None:
    made = tail(*[b"x" * (1 << 20)] * 20, b"\nnext")
    first, second = made.lines.split("\n")
    assert len(first) < 5000
    assert second == "next"


@given(st.lists(st.binary(max_size=12), max_size=8))
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    assert tail(*pieces, lines=3).text == tail(b"".join(pieces), lines=3).text
