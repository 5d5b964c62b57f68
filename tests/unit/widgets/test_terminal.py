"""Raw output of a process as plain lines."""

from __future__ import annotations

import pytest

from jupyter_mltrain.widgets.output import last_lines
from jupyter_mltrain.widgets.terminal import settled


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        (" 1/938 [.]\r512/938 [==]\r938/938 [===]\ndone", ["938/938 [===]", "done"]),
        ("512/938\r", ["512/938"]),
        ("1/9\x08\x08\x089/9 - loss: 0.1\n", ["9/9 - loss: 0.1"]),
        ("\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[m", ["red and green"]),
        ("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", ["textlink"]),
        ("tab\there\x00\x07", ["tab\there"]),
        ("", []),
    ],
)
def test_settled(raw, lines):
    assert settled(raw) == lines


def test_the_end_of_a_log_is_whole_lines_without_the_cut_first_one():
    raw = b"".join(b"line %04d of the log\n" % i for i in range(400))[-4096:]
    tail = last_lines(raw).split("\n")
    assert len(tail) == 20
    assert tail[-1] == "line 0399 of the log"


def test_bytes_that_are_no_text_are_shown_as_such():
    assert last_lines(b"ok \xff\xfe\x00 end\n") == "ok �� end"
