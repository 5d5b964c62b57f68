"""Horovod's server of rendezvous beside the first rank (`rendezvous_server.py`), and who came to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Mapping

from . import records

MISSING = "the environment has no Horovod, which these processes are to find each other by"
MEND = "Name one that has it, such as `-e tensorflow-horovod`."


class UnavailableError(Exception):
    """The server cannot be had: a line that says why, and one with the mend or nothing."""


def start(launch: Mapping[str, Any], env: Mapping[str, str], folder: str) -> subprocess.Popen[bytes]:
    """The server's process, once it listens. It ends when this one does."""
    asked = launch["rendezvous"]
    server = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rendezvous_server.py")
    python = env.get("MLTRAIN_PYTHON") or sys.executable
    command = [
        python,
        server,
        folder,
        env["HOROVOD_GLOO_RENDEZVOUS_ADDR"],
        str(asked["port"]),
        json.dumps(asked["nodes"]),
    ]
    try:
        process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
        )
    except OSError as error:
        raise UnavailableError(f"Horovod's rendezvous: {python}: {error.strerror}") from None
    assert process.stdout is not None
    if process.stdout.readline() == b"ready\n":
        return process
    said = process.communicate()[1].decode("utf-8", "replace").strip()
    last = said.splitlines()[-1] if said else f"exit code {process.returncode}"
    raise UnavailableError(
        f"{MISSING}\n{MEND}" if "No module named 'horovod'" in last else f"Horovod's rendezvous: {last}"
    )


def note(launch: Mapping[str, Any], rank: records.Rank) -> str:
    """What is to be said of a rank that ended: that it never came to find the others."""
    awaited = int(launch.get("ranks", 1)) > 1 and "HOROVOD_GLOO_RENDEZVOUS_PORT" in launch["env"]
    folder = os.path.dirname(rank.exit)
    # Who came is noted beside the first rank, which may be on another host.
    known = os.path.exists(os.path.join(folder, "r0.launch.json"))
    came = os.path.exists(os.path.join(folder, f"r{rank.rank}.joined"))
    return "never called hvd.init(), and trained alone" if awaited and known and not came else ""
