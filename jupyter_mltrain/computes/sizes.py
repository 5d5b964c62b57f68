"""Sizes of nodes by name: one table (`sizes.toml`), which a workspace can correct and extend."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import UsageError

FILE = "sizes.toml"
_KEYS = {"cpus", "memory_gb", "gpus", "gpu"}


def load(own: Path | None = None) -> dict[str, Size]:
    """Name in capitals → size; those of the file `own`, where it exists, come first.

    Raises `UsageError` naming the file and the entry that cannot be read.
    """
    table = _read((files("jupyter_mltrain.computes") / FILE).read_text("utf-8"), FILE)
    if own is not None and own.is_file():
        table |= _read(own.read_text("utf-8"), str(own))
    return table


def _read(text: str, where: str) -> dict[str, Size]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: {error}.") from None
    return {name.upper(): _size(name.upper(), entry, where) for name, entry in raw.items()}


def _size(name: str, entry: Any, where: str) -> Size:
    if not isinstance(entry, dict) or not _fits(entry):  # pyright: ignore[reportUnknownArgumentType]
        raise UsageError(
            f"{where}: [{name}] is no size.", mend="It takes cpus and memory_gb, and gpus and gpu where there are any."
        )
    return Size(name, **entry)  # pyright: ignore[reportUnknownArgumentType]


def _fits(entry: Mapping[str, Any]) -> bool:
    cpus, memory, gpus = entry.get("cpus"), entry.get("memory_gb"), entry.get("gpus", 0)
    if set(entry) - _KEYS or type(cpus) is not int or type(gpus) is not int or type(memory) not in (int, float):
        return False
    return cpus > 0 and float(memory or 0) > 0 and gpus >= 0
