"""What git says of a source folder, for the run's record."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_USER = re.compile(r"(?<=://)[^/@]+@")


def describe(folder: Path) -> dict[str, str]:
    """Commit, branch, repository address (without user or password) and whether files differ; empty outside git.

    Blocking; at most 5 s, after which what is known so far is given.
    """
    program = shutil.which("git")
    if program is None:
        return {}
    found: dict[str, str] = {}
    for key, args in {
        "commit": ["rev-parse", "HEAD"],
        "branch": ["rev-parse", "--abbrev-ref", "HEAD"],
        "repository": ["remote", "get-url", "origin"],
        "dirty": ["status", "--porcelain", "--untracked-files=no"],
    }.items():
        try:
            result = subprocess.run(
                [program, "--no-optional-locks", "-C", str(folder), *args],
                capture_output=True,
                text=True,
                timeout=5,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return found
        if result.returncode:
            if key == "commit":
                return {}
            continue
        said = result.stdout.strip()
        found[key] = ("true" if said else "false") if key == "dirty" else _USER.sub("", said)
    return found
