"""Which environments are built on this machine, what they take on disk, and removing those nobody uses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from jupyter_mltrain.cache import Stopped, cache_root, exclusive, remove_tree
from jupyter_mltrain.environments.build import disk_usage

GRACE_SECONDS = 600.0
"""One that was handed out more recently stays: its run may not have started its process yet."""


@dataclass(frozen=True)
class BuiltEnvironment:
    """A build in the user's cache, made for any workspace. Times in seconds since the epoch; `used`: handed out last.
    `complete` is false for the leavings of a build that failed or was killed, or that is under way."""

    key: str
    name: str
    folder: Path
    packages: int
    bytes: int
    built: float
    used: float
    complete: bool


def built_environments() -> list[BuiltEnvironment]:
    """All builds in the user's cache, the one used last first."""
    folders = [path for path in (cache_root() / "envs").glob("*") if path.is_dir()]
    return sorted(map(_describe, folders), key=lambda one: one.used, reverse=True)


def remove_unused(keep: Collection[str] = (), unused_for: float = 30 * 86400.0) -> list[BuiltEnvironment]:
    """Remove the builds that were not handed out for `unused_for` seconds, and leavings; returns what was removed.

    Stays: a key in `keep`, one with a process running from it, one being built. What is removed is built again when it
    is next needed.
    """
    running = _running_from()
    removed: list[BuiltEnvironment] = []
    for one in built_environments():
        recent = time.time() - one.used < max(unused_for, GRACE_SECONDS)
        if (
            one.key in keep
            or (one.complete and recent)
            or any(python.startswith(f"{one.folder}/") for python in running)
        ):
            continue
        at_once = threading.Event()
        at_once.set()
        try:
            with exclusive(one.folder.with_suffix(".lock"), at_once):
                (one.folder / "ready.json").unlink(missing_ok=True)  # first: from here on it does not count as built
                remove_tree(one.folder)
        except Stopped:  # someone is building it
            continue
        removed.append(one)
    return removed


def _describe(folder: Path) -> BuiltEnvironment:
    ready = folder / "ready.json"
    try:
        raw = json.loads(ready.read_text(encoding="utf-8"))
        used = ready.stat().st_mtime
    except (FileNotFoundError, ValueError):
        changed = folder.stat().st_mtime
        return BuiltEnvironment("", "", folder, 0, disk_usage(folder), changed, changed, complete=False)
    return BuiltEnvironment(
        raw["key"], raw["name"], folder, len(raw["packages"]), raw["bytes"], raw["built"], used, complete=True
    )


def _running_from() -> set[str]:
    """First arguments of all processes: a venv's Python shows there by the venv's path, not by its own."""
    found: set[str] = set()
    for process in psutil.process_iter(["cmdline"]):
        found.update((process.info["cmdline"] or [""])[:1])
    return found
