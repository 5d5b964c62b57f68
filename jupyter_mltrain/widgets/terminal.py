"""Raw output of a process as plain lines."""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST) and two-byte escapes of ECMA-48; then the C0 controls other than tab, \n and \r.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)


def settled(text: str) -> list[str]:
    r"""Lines of `text`, a progress bar drawn with `\r` as its last state, without control sequences."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        drawn = [part for part in line.split("\r") if part.strip()]
        # Backspaces (old Keras progress bars) move left over what was drawn: the part after the last run of them stays.
        last = drawn[-1].rpartition("\x08")[2] if drawn else ""
        lines.append(_ESCAPES.sub("", last))
    while lines and not lines[-1]:
        lines.pop()
    return lines
