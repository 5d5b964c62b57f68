"""One process of an endpoint: started in a shim of the run client's, found again by its records."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_mltrain import runclient
from jupyter_mltrain.deployments.place import Place
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import processes, records
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.stop import stop

_START_SECONDS = 60.0
_KEPT_STARTS = 5
MEMORY = "memory"
"""File of a start whose server is elsewhere: the bytes that it holds there."""


class Start:
    """The process whose records lie in `folder` (`starts/<revision>-<number>`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.revision, self.number = (int(part) for part in folder.name.split("-"))
        self.rank = records.Rank(str(folder), 0)
        self.began = time.monotonic()
        self.give_up_at = 0.0

    def make(self, plan: dict[str, Any]) -> None:
        """Lay out the folder of a new process, as `plan` (`core.deployment.EndpointPlan`) says. Raises OSError."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "shim").mkdir(parents=True)
        run_id = f"{plan['id']}-{self.folder.name}"
        launch = {
            "format": 1,
            "run_id": run_id,
            "rank": 0,
            "argv": [*plan["argv"], str(self.folder)],
            "cwd": plan["cwd"],
            "env": {**plan["env"], "MLTRAIN_RUN_ID": run_id},
            "log": str(Place(self.folder.parents[1]).log),
            "memory_bytes": plan["memory_bytes"],
            "cpus": plan["cpus"],
            "grace": 10,
        }
        records.write(self.rank.launch, launch)

    def launch(self, listening: int) -> None:
        """Start it, with the listening socket. Raises OSError if that cannot be; what is wrong with the process itself
        is in its exit record."""
        launch = records.read(self.rank.launch)
        assert launch is not None, "made before it is launched"
        launch["env"]["MLTRAIN_LISTEN_FD"] = str(listening)
        records.write(self.rank.launch, launch)
        shim = Path(launch["env"]["MLTRAIN_INJECT"], runclient.SHIM)
        try:
            said = subprocess.run(
                [sys.executable, "-I", "-S", shim, "launch", self.rank.launch], pass_fds=[listening],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                start_new_session=True, timeout=_START_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise OSError(f"Its supervisor did not start within {_START_SECONDS:.0f} s.") from error
        if said.returncode != 0 and not records.launched(self.rank):
            lines = said.stderr.strip().splitlines()
            raise OSError(f"Its supervisor did not start: {lines[-1] if lines else 'no reason'}.")

    def ready(self) -> dict[str, Any] | None:
        """What the server said of itself once it could answer; None before that, and after its end."""
        found = records.read(str(self.folder / "ready.json"))
        return None if found is None or self.ended() else found

    def failure(self) -> dict[str, Any] | None:
        """What the server said before it gave up."""
        return records.read(str(self.folder / "failure.json"))

    def exit(self) -> dict[str, Any] | None:
        """How it ended, as its shim saw it."""
        return records.read(self.rank.exit)

    def ended(self) -> bool:
        """Whether the process is gone."""
        # The shim writes its exit record before it frees the lock.
        if records.is_held(self.rank.lock):
            return Path(self.rank.exit).exists()
        return Path(self.rank.exit).exists() or not self._main_lives()

    def unheld(self) -> bool:
        """Whether the process goes on without its shim."""
        return not records.is_held(self.rank.lock) and not Path(self.rank.exit).exists() and self._main_lives()

    def stop(self, grace: float) -> list[str]:
        """End it with all it started; returns what would not end. Blocks, at most a little longer than `grace`."""
        launch = records.read(self.rank.launch)
        remaining: list[str] = [] if launch is None else stop(str(self.folder), launch["run_id"], grace)["remaining"]
        return remaining

    def memory(self) -> int:
        """Bytes that the server holds, as of the last second or, where it is in a container, a few."""
        try:
            if (elsewhere := self.folder / MEMORY).exists():
                return int(elsewhere.read_bytes())
            return int(Path(self.rank.beat).read_bytes().split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def forget_old(self) -> None:
        """Delete the records of all but the last few processes that ended."""
        found = sorted(self.folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in found[:-_KEPT_STARTS]:
            if Start(path).ended():
                shutil.rmtree(path, ignore_errors=True)

    def _main_lives(self) -> bool:
        start = records.read(self.rank.start)
        if start is None or start["boot_id"] != records.boot_id():
            return False
        return processes.same(start["pid"], start["start_ticks"]) is not None


def living(place: Place) -> list[Start]:
    """The processes that are there."""
    if not place.starts.exists():
        return []
    starts = [Start(path) for path in sorted(place.starts.iterdir())]
    return [start for start in starts if not start.ended()]
