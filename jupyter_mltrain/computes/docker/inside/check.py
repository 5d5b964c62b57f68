"""Says that an environment is ready, once it has every package of its lock and imports what it is for: writes `ready.json`.

Started by the environment's own Python, of any version from 3.8 on: `check.py FOLDER WANTED`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path


def main(folder: Path, wanted: Path) -> None:
    asked = json.loads(wanted.read_text(encoding="utf-8"))
    names = {re.sub("[-_.]+", "-", one.metadata["Name"]).lower() for one in importlib.metadata.distributions()}
    missing = sorted(set(asked["packages"]) - names)
    if missing:
        sys.exit(f"Not installed: {', '.join(missing[:5])}")
    if asked["imports"]:
        sys.stdout.write(f"Checking that {', '.join(asked['imports'])} can be imported\n")
        sys.stdout.flush()
    for name in asked["imports"]:
        importlib.import_module(name)
    ready = {"python_version": "{}.{}.{}".format(*sys.version_info[:3]), "bytes": used(folder), **asked["say"]}
    partial = folder / "ready.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(ready, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / "ready.json")


def used(folder: Path) -> int:
    """Bytes that the files below `folder` take on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
