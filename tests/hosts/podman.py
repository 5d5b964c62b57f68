"""A Podman of the tests: its service, which speaks Docker's API, with all that belongs to it in folders of its own."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.hosts import image
from tests.hosts.daemon import Engine
from tests.hosts.locks import Lock, alone
from tests.hosts.mounts import take_away
from tests.hosts.programs import folder, program, root_needed

_PATIENCE = 60.0
_PROCESSES = 4096


class Podman(Engine):
    """`root`: where its images and containers lie; `state`: a short path (it takes no long one), with its socket."""

    def __init__(self, root: Path, state: Path) -> None:
        super().__init__(f"unix://{state / 'podman.sock'}")
        self.root = root
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        service = [*self._podman(), "system", "service", "--time", "0", self.url]
        with (self.root / "podman.log").open("ab") as log:
            process = subprocess.Popen(service, stdout=log, stderr=log, start_new_session=True, env=self._environment())
        deadline = time.monotonic() + _PATIENCE
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"podman does not start:\n{(self.root / 'podman.log').read_text()[-3000:]}")
            time.sleep(0.05)
        self._process = process

    def load(self) -> None:
        """Have the image here, as it is: tests on Podman need no web."""
        self.image = image.plain(self.command)

    def end(self) -> None:
        """End it and all that it ran, and remove its folders. Also one that another session began."""
        for what in (["rm", "--all", "--force", "--time", "0"], ["volume", "rm", "--all", "--force"]):
            with contextlib.suppress(subprocess.TimeoutExpired):
                command = [*self._podman(), *what]
                subprocess.run(command, env=self._environment(), timeout=60, capture_output=True, check=False)
        # Whoever watches what was executed in a container goes on for five minutes after its end.
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(_PATIENCE)
        for place in (self.root, self._state):
            if place.exists():
                take_away(place)

    def _processes(self) -> Iterator[int]:
        """Its service and its watchers of containers, all of which name the folder."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                own = any(word.startswith(os.fsencode(self.root) + b"/") for word in words)
                if own and Path(os.fsdecode(words[0])).name in {"podman", "conmon"}:
                    yield int(entry.name)

    def _podman(self) -> list[str | Path]:
        places = ["--root", self.root / "storage", "--runroot", self._state / "run", "--tmpdir", self._state / "tmp"]
        return [program("podman"), *places, "--cgroup-manager", "cgroupfs"]

    def _environment(self) -> dict[str, str]:
        # It would raise its containers' limits to the system's, which root in a container may not.
        settings = self.root / "containers.conf"
        if not settings.exists():
            files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            limits = f'default_ulimits = ["nofile={files}:{files}", "nproc={_PROCESSES}:{_PROCESSES}"]'
            settings.write_text(f"[containers]\n{limits}\n")
        return {**os.environ, "CONTAINERS_CONF": str(settings)}


@contextlib.contextmanager
def engine() -> Iterator[Podman]:
    """One for this session alone, with the image in it."""
    root_needed("A Podman with containers of other users")
    program("podman")
    with alone(folder() / "podman.lock"):
        _sweep()
        home = Path(tempfile.mkdtemp(dir=folder(), prefix="podman-"))
        owner = Lock(home / "owner").exclusive()
        state = Path(tempfile.mkdtemp(prefix="mltpod"))
        (home / "state").write_text(str(state))
    made = Podman(home, state)
    try:
        made.start()
        made.load()
        yield made
    finally:
        made.end()
        owner.close()


def _sweep() -> None:
    """Take away what sessions left that were killed."""
    for home in folder().glob("podman-*/"):
        owner = Lock(home / "owner")
        try:
            if owner.nobody_else():
                state = home / "state"
                Podman(home, Path(state.read_text() if state.exists() else home / "none")).end()
        finally:
            owner.close()
