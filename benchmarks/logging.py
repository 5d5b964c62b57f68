"""`run.log` in a training process whose run is being followed; and what is left of it after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import time

from benchmarks.place import SCRIPTS, Place, end, other_loggers, submit, until, wait
from benchmarks.table import Row
from jupyter_mltrain.api.run import Run

BAR = 100_000


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("logging")
    rates, kept, acknowledged = [], 0, 0
    for number in range(1 if quick else 5):
        rate, count = place.folder / f"rate-{number}", place.folder / f"count-{number}"
        run = submit(workspace, "storm.py", str(20_000 if quick else 300_000), str(rate), str(count))
        rates.append(float(until(rate, run)))
        time.sleep(0.2 + 0.13 * number)
        os.kill(_training_process(run), signal.SIGKILL)
        returned = struct.unpack("<q", count.read_bytes())[0]
        wait(run, "Failed")
        found = {s["name"]: s["count"] for s in workspace.connection.get(f"/v1/runs/{run.id}/metrics")["series"]}
        # The call that was under way may be in the record as well.
        if not returned <= found["until-killed"] <= returned + 1:
            raise RuntimeError(f"{returned} calls returned, {found['until-killed']} are in the record of {run.id}.")
        acknowledged += returned
        kept += found["until-killed"]
    end(workspace)
    rates.sort()
    median = rates[len(rates) // 2]
    others = _others(place, 0.1 if quick else 1.0)
    return [
        Row(
            "run.log calls per second, in a run",
            f"{median:,.0f} ({rates[0]:,.0f}–{rates[-1]:,.0f})",
            "≥ 100,000",
            ", ".join(f"{name} {rate:,.0f}" for name, rate in others.items()),
            median >= BAR,
        ),
        Row(
            f"  … then SIGKILL, {len(rates)} times",
            f"{acknowledged:,} calls returned, {kept:,} in the records",
            "none missing",
            "",
            kept >= acknowledged,
        ),
    ]


def _training_process(run: Run) -> int:
    folder = run.workspace.root / ".mltrain" / "runs" / run.id
    return int(json.loads((folder / "shim" / "r0.start.json").read_text(encoding="utf-8"))["pid"])


def _others(place: Place, share: float) -> dict[str, float]:
    folder = place.folder / "other-loggers"
    folder.mkdir()
    command = [other_loggers(), "-P", SCRIPTS / "other_loggers.py", folder, str(share)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder).stdout
    return json.loads(out.splitlines()[-1])
