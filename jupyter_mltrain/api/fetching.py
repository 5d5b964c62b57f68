"""Fetching a dataset, with a line that shows how far it is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_mltrain.errors import MLTrainError

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace

PATIENCE = 24 * 3600.0
"""Seconds that a fetch may take; one that is given up goes on where it stopped."""
_BEAT = 0.5
_WIDTH = 24


def fetch_dataset(workspace: Workspace, reference: str, *, show_progress: bool = True) -> dict[str, Any]:
    """Bring a dataset to this machine, unless it is there, and tell where it is and where it came from.

    Raises `DatasetNotFound`, `Unreachable`, `DownloadCorrupt`, `DiskFull`.
    """
    path = f"/v1/datasets/{quote(reference, safe='')}/fetch"
    over = threading.Event()
    shower = threading.Thread(target=_show, args=(workspace, path, over), daemon=True)
    if show_progress:
        shower.start()
    try:
        return workspace.connection.post(path, timeout=PATIENCE)
    finally:
        over.set()
        if show_progress:
            shower.join(5)


def files_below(root: Path) -> list[str]:
    """Paths of all files in a folder, in order; links are followed, but never round in a circle."""
    found: list[str] = []
    for folder, names, files in os.walk(root, followlinks=True):
        inside = os.path.realpath(folder)
        names[:] = [name for name in names if not _holds(os.path.realpath(os.path.join(folder, name)), inside)]  # noqa: PTH118
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]  # noqa: PTH118
    return sorted(path for path in found if (root / path).is_file())


def _holds(folder: str, other: str) -> bool:
    return other == folder or other.startswith(folder.rstrip("/") + "/")


def _show(workspace: Workspace, path: str, over: threading.Event) -> None:
    shown = 0
    while not over.wait(_BEAT):
        try:
            now = workspace.connection.get(path, timeout=5)
        except MLTrainError:
            continue  # the fetch itself says what is wrong
        if now["state"] == "fetching" and now["done"]:
            line = progress_line(now["source"], now["done"], now["total"])
            sys.stdout.write("\r" + line.ljust(shown))
            sys.stdout.flush()
            shown = len(line)
    if shown:
        sys.stdout.write("\n")
        sys.stdout.flush()


def progress_line(source: str, done: int, total: int) -> str:
    """`████░░░░ 5.2 of 11.6 MB from host`; bytes."""
    share = min(1.0, done / total) if total else 0.0
    full = round(share * _WIDTH)
    bar = "█" * full + "░" * (_WIDTH - full)
    return f"{bar} {done / 1e6:.1f} of {total / 1e6:.1f} MB from {source}"
