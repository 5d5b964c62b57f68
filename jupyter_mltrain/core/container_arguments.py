"""`docker.arguments` of an environment: those of `docker run` that cannot weaken what a container is kept in by.

What is not in this list is refused: a run gets no privileges, no folders of its host, no devices and no socket by the way
of an environment, and its image, user and GPUs are said elsewhere.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jupyter_mltrain.errors import UsageError

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE)
_TOGETHER = re.compile(r"--?[a-z][a-z-]*\s+\S")
_ULIMIT = re.compile(r"([a-z]+)=(-1|\d+)(?::(-1|\d+))?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_ELSEWHERE = {
    "--gpus": "ask for GPUs with the run (`--gpus N`)",
    "--user": "set `user` of the target",
    "-u": "set `user` of the target",
    "--volume": "data goes in as a dataset",
    "-v": "data goes in as a dataset",
    "--mount": "data goes in as a dataset",
}
_MEND = "Allowed are --shm-size, --ulimit, --memory, --cpus, --pids-limit, --env NAME=VALUE, --hostname, --ipc, --network none."


@dataclass(frozen=True)
class ContainerArguments:
    """Limits that are None are not asked for. `ulimits`: name, soft, hard. `variables`: of the run's environment."""

    shm_bytes: int | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    pids: int | None = None
    ulimits: tuple[tuple[str, int, int], ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    hostname: str = ""
    ipc: str = ""
    network: str = ""


def read(arguments: Sequence[str]) -> ContainerArguments:
    """What the arguments ask for, each as one item or as several, in any of the forms that `docker run` takes.

    Raises `UsageError` naming the one that is not allowed, or the value that cannot be.
    """
    # `--shm-size 2g` as one item; a value may have blanks of its own.
    words = [word for one in arguments for word in (one.split(None, 1) if _TOGETHER.match(one) else [one])]
    found, others = _parser().parse_known_args(words)
    others = [*(word for word in words if word == "--"), *others]
    if others:
        name = others[0].partition("=")[0]
        where = _ELSEWHERE.get(name)
        raise UsageError(
            f"docker.arguments has {others[0]!r}, which runs are not given.",
            mend=f"{where[0].upper()}{where[1:]}." if where else _MEND,
        )
    return ContainerArguments(
        found.shm_size,
        found.memory,
        found.cpus,
        found.pids_limit,
        tuple(found.ulimit),
        dict(found.env),
        found.hostname or "",
        found.ipc or "",
        found.network or "",
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"docker.arguments: {message}.", mend=_MEND)


def _parser() -> _Parser:
    made = _Parser(prog="docker.arguments", add_help=False, allow_abbrev=False)

    def add(*names: str, **how: Any) -> None:
        made.add_argument(*names, **how)

    add("--shm-size", type=_bytes)
    add("--memory", "-m", type=_bytes)
    add("--cpus", type=_cpus)
    add("--pids-limit", type=_count)
    add("--ulimit", type=_ulimit, action="append", default=[])
    add("--env", "-e", type=_assignment, action="append", default=[])
    add("--hostname", "-h", type=_hostname)
    add("--ipc", choices=("private", "none", "shareable"))
    add("--network", "--net", choices=("none",))
    # What is done anyway.
    add("--init", action="store_true")
    add("--rm", action="store_true")
    return made


def _bytes(text: str) -> int:
    found = _BYTES.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 2g")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _cpus(text: str) -> float:
    value = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of CPUs")
    return value


def _count(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes")
    return int(text)


def _ulimit(text: str) -> tuple[str, int, int]:
    found = _ULIMIT.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no limit, such as memlock=-1:-1")
    soft = int(found[2])
    return found[1], soft, int(found[3]) if found[3] else soft


def _assignment(text: str) -> tuple[str, str]:
    name, is_, value = text.partition("=")
    if not is_ or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{name!r} needs a value: NAME=VALUE")
    return name, value


def _hostname(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a host")
    return text
