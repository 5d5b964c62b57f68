"""A smoke prediction: the model loaded and asked once, in a process that can do little harm and does not live long."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_mltrain import runclient
from jupyter_mltrain.deployments.causes import cause
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

SECONDS = 300.0
"""Longest time of a smoke prediction, TensorFlow's own start included."""
MEMORY = 4_000_000_000
"""Bytes that it may take."""
_MACHINE = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def predict(
    folder: Path,
    *,
    python: str,
    overlay: Sequence[str],
    variables: Mapping[str, str],
    files: Path,
    kind: str,
    sample: Any,
) -> dict[str, Any]:
    """The model at `files` asked for `sample` (None: zeros), as `core.wire_endpoints.SmokePrediction`. Blocking.

    `folder` is scratch. The process is a shim's: it ends with all it started when it takes too long or too much.
    """
    isolated = no_network()
    (folder / "shim").mkdir(parents=True)
    asked = {"path": str(files), "format": kind, "overlay": list(overlay), "sample": sample}
    records.write(str(folder / "asked.json"), asked)
    here = Path(__file__).parent / "injected" / "mltrain_endpoint"
    program = [python, str(here), "--smoke", str(folder / "asked.json"), str(folder)]
    launch = {
        "format": 1,
        "run_id": f"smoke-{folder.name}",
        "rank": 0,
        "argv": [*isolated, *program],
        "cwd": str(folder),
        "env": {
            "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2", **variables, "CUDA_VISIBLE_DEVICES": "-1",
            "MLTRAIN_RUN_ID": f"smoke-{folder.name}",
        },
        "log": str(folder / "log"),
        "memory_bytes": MEMORY,
        "max_run_seconds": SECONDS,
        "cpus": None,
        "grace": 2,
    }  # fmt: skip
    rank = records.Rank(str(folder), 0)
    records.write(rank.launch, launch)
    shim = runclient.folder() / runclient.SHIM
    env = {name: os.environ[name] for name in _MACHINE if name in os.environ}
    subprocess.run(
        [sys.executable, "-I", "-S", shim, "launch", rank.launch, "--wait"], env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, check=False,
        timeout=SECONDS + 60,
    )  # fmt: skip
    found: dict[str, Any] = {
        "ok": False, "outputs": None, "shapes": {}, "framework": "", "seconds": 0.0, "predict_ms": None,
        "network": not isolated, "failure": None,
    }  # fmt: skip
    said = records.read(str(folder / "answer.json"))
    if said is not None:
        return found | said | {"ok": True}
    exit_record = records.read(rank.exit)
    why = cause(exit_record, records.read(str(folder / "failure.json")))
    if exit_record is not None and exit_record.get("stopped") == "time limit":
        why["title"] = f"It took longer than {SECONDS:.0f} s."
    return found | {"failure": why}


@functools.cache
def no_network() -> tuple[str, ...]:
    """What starts a program without network; empty where this machine lets nobody do that."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    for options in (("-n",), ("-r", "-n")):  # as root; as anybody, where user namespaces are allowed
        command = (program, *options, "--")
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return ()
