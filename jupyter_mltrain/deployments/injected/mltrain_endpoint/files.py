"""Whether a model's files are those that were deployed: looked at each time a process is about to load them.

`seal` notes size, time and inode of each file where the hash was checked. A process that starts compares those, which costs
next to nothing; only where one differs (a disk restored from a backup, a file that was written to) everything is hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Iterator

_BLOCK = 1 << 20


class Changed(Exception):  # noqa: N818 - one line for the user: starting again would not help
    """Files are not those that were deployed."""

    mend = "Register the model again from its run, and deploy that version."


def seal(path: str) -> dict[str, list[int]]:
    """What tells a changed file, by name."""
    found = {}
    for name, place in _files(path):
        about = os.stat(place)
        found[name] = [about.st_size, about.st_mtime_ns, about.st_ino]
    return found


def check(model: dict[str, Any]) -> None:
    """Raise `Changed` where the files at `model["path"]` have another hash than `model["hash"]`. `model["seal"]`: the file
    with what `seal` found when they had that one."""
    if not model.get("hash"):
        return  # registered by somebody who noted none
    try:
        present = seal(model["path"])
        with open(model["seal"], encoding="utf-8") as file:
            if json.load(file) == present:
                return
    except (OSError, ValueError):
        pass  # no seal that can be read: the hash tells
    try:
        same = tree_hash(model["path"]) == model["hash"]
    except OSError as error:
        raise Changed(f"The files of {_id(model)} cannot be read: {error.strerror}.") from error
    if not same:
        raise Changed(f"The files of {_id(model)} were changed after they were deployed: their hash differs.")


def tree_hash(path: str) -> str:
    """The hash of a file, or of a folder's files: that of `jupyter_mltrain.tracking.content`."""
    tree = hashlib.sha256()
    for name, place in _files(path):
        digest, size = hashlib.sha256(), 0
        with open(place, "rb", buffering=0) as file:
            while True:
                block = file.read(_BLOCK)
                if not block:
                    break
                digest.update(block)
                size += len(block)
        tree.update(f"{name}\0{size}\0{digest.hexdigest()}\n".encode(errors="surrogateescape"))
    return f"sha256:{tree.hexdigest()}"


def _files(path: str) -> Iterator[tuple[str, str]]:
    """Name (with `/`) and place of each file, by name."""
    if os.path.isfile(path):
        yield os.path.basename(path), path
        return
    found = []
    for parent, _, names in os.walk(path, onerror=_raised):
        for name in names:
            place = os.path.join(parent, name)
            found.append((os.path.relpath(place, path).replace(os.sep, "/"), place))
    yield from sorted(found)


def _raised(error: OSError) -> None:
    raise error


def _id(model: dict[str, Any]) -> str:
    return f"{model['name']}:{model['version']}"
