"""Folders in which something may be mounted: what a killed debootstrap or dockerd leaves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def take_away(folder: Path) -> None:
    """Remove a folder, and nothing of what is mounted in it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split()[4].replace("\\040", " ") for line in lines]
    for place in sorted((place for place in places if place.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)
    shutil.rmtree(folder)
