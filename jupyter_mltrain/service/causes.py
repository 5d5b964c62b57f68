"""What processes that train together say of each other when one of them breaks down: which words mean what, in one line."""

from __future__ import annotations

import re
from typing import NamedTuple

LOST_TOUCH = re.compile(
    r"HorovodInternalError|UnavailableError|AbortedError|CancelledError|DeadlineExceededError|Horovod has been shut down"
    r"|[Cc]onnection (reset|closed|refused)|Socket closed|[Cc]ollective ops is aborted|coordination service"
    r"|HTTP request failed"
)
"""What they say when one of the others is gone."""

NEVER_INIT = "never called hvd.init()"
"""How the note of a rank begins that did not come to find the others (`_shim.rendezvous`)."""

_HOROVOD = re.compile(
    r"Mismatched (?P<what>[^:\n]+): One rank (?P<one>[^\n]+?), but another rank (?P<other>[^\n]+?)\.(?=\s|$)"
)
_COLLECTIVE = re.compile(
    r"Shape mismatch in the collective instance (?P<instance>\d+)\. Op at device /job:(?P<job>\w+)/replica:\d+/task:(?P<task>\d+)"
    r"\S* expected shape (?P<one>\[[^]]*\]) but another member in the group expected shape (?P<other>\[[^]]*\])"
)
_TENSOR = re.compile(r"\[Op:Horovod\w+\] name: (?P<eager>\S+)|\{\{node (?P<node>[^}]+)\}\}")
_SHAPE = re.compile(r"sent a tensor of shape (\[[^]]*\])")
_WAITED = re.compile(r"Wait timeout after (\d+) seconds for key\(s\)")
_PORT = re.compile(r"Could not start gRPC server")

_ALIKE = (
    "All ranks are to have the same model and the same size of batch: where the last batch is smaller, drop it"
    " (`drop_remainder=True`)."
)


class Cause(NamedTuple):
    """`title` leads; `mend` says what to do."""

    title: str
    mend: str


def cause_of(said: str, rank: int, ranks: int) -> Cause | None:
    """What a rank of several means with the words of its exception; None where they speak for themselves."""
    found = _HOROVOD.search(said)
    if found is not None:
        return _disagreement(found, said[found.end() :], rank, ranks)
    found = _COLLECTIVE.search(said)
    if found is not None:
        other = "the other rank" if ranks == 2 else "another rank"
        return Cause(
            f"{_who(ranks)} disagree on the shape of a tensor{_tensor(said[found.end() :])} (collective {found['instance']},"
            f" told by rank {rank}): {found['job']} {found['task']} has {found['one']}, {other} {found['other']}.",
            _ALIKE,
        )
    found = _WAITED.search(said)
    if found is not None:
        return Cause(
            f"Rank {rank} gave up waiting for the others after {found[1]} s, its HOROVOD_GLOO_TIMEOUT_SECONDS.",
            "Leave that variable out: `--join-timeout` says how long to wait, and who is missing is told.",
        )
    if _PORT.search(said):
        return Cause(
            f"Rank {rank} could not listen at its address of TF_CONFIG: somebody else took the port.",
            "Rerun it: other ports are chosen each time.",
        )
    return None


def words(said: str) -> str:
    """The line that says what is wrong, of an exception (its first line, and all that follows) that TensorFlow tells with
    the graph's own traceback in between."""
    first, _, rest = said.partition("\n")
    if not first.endswith("Graph execution error:"):
        return first
    kept = [line for line in rest.partition("[[{{node")[0].splitlines() if line.strip() and not line.startswith(" ")]
    told = [line for line in kept if not line.startswith(("Detected at node", "\t", "The error could be"))]
    return f"{first[: -len('Graph execution error:')]}{told[-1]}" if told else first


def _disagreement(found: re.Match[str], after: str, rank: int, ranks: int) -> Cause:
    what, one, other = found["what"], found["one"], found["other"]
    another = "the other" if ranks == 2 else "another"
    shape, other_shape = _SHAPE.fullmatch(one), _SHAPE.fullmatch(other)
    operation, _, of_shapes = what.partition(" tensor shapes")
    subject = (
        f"the shape of a tensor{_tensor(after)} ({operation.lower()})" if not of_shapes and operation != what else ""
    )
    if shape is not None and other_shape is not None:
        one, other = f"has {shape[1]}", other_shape[1]
    return Cause(
        f"{_who(ranks)} disagree on {subject or f'the {what} of a tensor{_tensor(after)}'}, told by rank {rank}:"
        f" one {one}, {another} {other}.",
        _ALIKE,
    )


def _who(ranks: int) -> str:
    return "Ranks 0 and 1" if ranks == 2 else f"The {ranks} ranks"


def _tensor(after: str) -> str:
    found = _TENSOR.search(after)
    return f" {(found['eager'] or found['node'])!r}" if found is not None else ""
