"""A place for runs to outlive their session: systemd ends what a user left behind at logout, but not a scope."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


def in_scope(command: list[str], run_id: str) -> list[str] | None:
    """`command` in a scope of its own of the user's systemd; None where there is no such systemd.

    The scope delegates its cgroup, so that the shim can limit the run's memory there.
    """
    systemd_run = shutil.which("systemd-run")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # The socket is there only while the user's manager lives; the program alone says nothing (containers have it too).
    if systemd_run is None or not runtime or not Path(runtime, "systemd", "private").exists():
        return None
    unit = "mltrain-" + re.sub(r"[^A-Za-z0-9_.-]", "-", run_id)[-200:]
    return [
        systemd_run, "--user", "--scope", "--quiet", "--collect", f"--unit={unit}", "--property=Delegate=yes",
        "--", *command,
    ]  # fmt: skip
