"""The GPUs of this machine, as the driver names them."""

from __future__ import annotations

import shutil
import subprocess

_QUERY = ("--query-gpu=name", "--format=csv,noheader")
_PATIENCE = 15.0


def names() -> tuple[str, ...]:
    """Names by index; none where there is no NVIDIA driver, or it does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        said = subprocess.run([command, *_QUERY], capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in said.stdout.splitlines() if line.strip())
