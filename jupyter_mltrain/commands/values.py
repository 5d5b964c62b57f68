"""How the values of options are read: durations, `K=V`, `NAME[:VERSION]`, `[ARG=]NAME[:VERSION]`, memory, counts."""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass

from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(GB|G|MB|M)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """`NAME[:VERSION]`; no version means the newest."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}:{self.version}"


@dataclass(frozen=True)
class DataOption:
    """`[ARG=]NAME[:VERSION]`. `argument` is the script's option (`--data-folder`), "" for none, None if not said."""

    dataset: Named
    argument: str | None = None


def duration(text: str) -> float:
    """Seconds: `90s`, `10m`, `2h`, `1d`, joined (`1h30m`), or a plain number of seconds. More than zero."""
    plain = text.strip().lower()
    if _NUMBER.fullmatch(plain):
        seconds = float(plain)
    elif _DURATION.fullmatch(plain):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(plain))
    else:
        raise UsageError(f"{text!r} is not a duration.", mend="Write 90s, 10m, 2h or 1h30m.")
    if not 0 < seconds < math.inf:
        raise UsageError(f"The duration {text!r} must be more than nothing.", mend="Write 90s, 10m, 2h or 1h30m.")
    return seconds


def idle(text: str) -> float:
    """Seconds, as in `duration`; or nothing, `0`."""
    return 0.0 if text.strip() in {"0", "0s"} else duration(text)


def named(text: str, what: str = "Environment") -> Named:
    """`NAME[:VERSION]`; the version is a whole number from 1 on, or `latest`. `what` is for the message."""
    name, colon, version = text.partition(":")
    check_name(name, what)
    if not colon or version == "latest":
        return Named(name)
    if not (version.isascii() and version.isdigit() and int(version) > 0):
        raise UsageError(
            f"{version!r} in {text!r} is not a version.",
            mend="Versions count from 1: `NAME:2`; leave it out for the newest.",
        )
    return Named(name, int(version))


def environment(text: str) -> Named:
    """`NAME[:VERSION]` of an environment; `current`, the kernel's own interpreter, has no versions."""
    found = named(text, "Environment")
    if found.name == "current" and found.version is not None:
        raise UsageError(f"{text!r}: the kernel's own interpreter has no versions.", mend="Write `-e current`.")
    return found


def data(text: str) -> DataOption:
    """`[ARG=]NAME[:VERSION]`: `mnist`, `mnist:2`, `test-folder=mnist` (the script gets `--test-folder PATH`), `=mnist`
    (no argument). An ARG that starts with `-` is taken as it is."""
    argument, equals, name = text.rpartition("=")
    dataset = named(name, "Dataset")
    if not equals:
        return DataOption(dataset)
    if any(c.isspace() or c == "=" for c in argument):
        raise UsageError(
            f"{argument!r} in {text!r} cannot be the name of a script's argument.",
            mend="Write `--data ARG=NAME[:VERSION]`.",
        )
    if argument and not argument.startswith("-"):
        argument = f"--{argument}"
    return DataOption(dataset, argument)


def variable(text: str) -> str:
    """The name of an environment variable."""
    if not _VARIABLE.fullmatch(text):
        raise UsageError(f"{text!r} is not the name of an environment variable.", mend="Use letters, digits and '_'.")
    return text


def assignment(text: str) -> tuple[str, str]:
    """`K=V` of an environment variable; V may be empty and may hold further `=`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(
            f"`--set {text}` gives no value.", mend=f"Write `--set {text}=VALUE`; the kernel's own: `--secret {text}`."
        )
    return variable(key), value


def tag(text: str) -> tuple[str, str]:
    """`K[=V]` of a tag; without V the value is empty."""
    key, _, value = text.partition("=")
    if not key.strip():
        raise UsageError(f"The tag {text!r} has no name.", mend="Write `--tag NAME` or `--tag NAME=VALUE`.")
    return key.strip(), value


def count(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{text!r} is not a whole number.", mend="Write 0, 1, 2, …")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if count(text) == 0:
        raise UsageError("0 is too few.", mend="Write 1, 2, 3, …")
    return int(text)


def number(text: str) -> float:
    """A number above 0: `2`, `0.5`."""
    if not _NUMBER.fullmatch(text) or float(text) == 0:
        raise UsageError(f"{text!r} is not a number above 0.", mend="Write 1, 2 or 0.5.")
    return float(text)


def port(text: str) -> int:
    """A port: 1 to 65535."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise UsageError(f"{text!r} is not a port.", mend="Write a number from 1 to 65535, such as 8501.")
    return int(text)


def memory(text: str) -> float:
    """Gigabytes (10⁹ bytes): `8`, `1.5`, `8GB`, `512MB`."""
    match = _MEMORY.fullmatch(text.strip())
    gigabytes = 0.0 if match is None else float(match[1]) / (1000 if (match[2] or "G").upper().startswith("M") else 1)
    if not 0 < gigabytes < math.inf:
        raise UsageError(f"{text!r} is not an amount of memory.", mend="Write gigabytes: 8, 1.5 or 512MB.")
    return gigabytes


def python_name(text: str) -> str:
    """The name of a variable in the notebook."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise UsageError(
            f"{text!r} cannot be the name of a Python variable.", mend="Write `--as NAME`, such as `--as baseline`."
        )
    return text
