"""A `dockerd` of the tests, with all that belongs to it in one folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hosts import image
from tests.hosts.mounts import take_away
from tests.hosts.programs import call, program

_PATIENCE = 120.0


class Engine:
    """An engine that answers: `url` as users name it, `image` to make containers from."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.image = ""

    @property
    def command(self) -> list[str]:
        """What to begin a command line with that speaks to this engine, whatever the user's contexts say."""
        return [program("docker"), "--host", self.url]

    def docker(self, *arguments: str | Path, seconds: float = 60) -> str:
        """What `docker ARGUMENTS` prints."""
        return call(*self.command, *arguments, seconds=seconds)

    def answers(self) -> bool:
        try:
            call(*self.command, "version", "--format", "{{.Server.Version}}", seconds=60)
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return True

    def load(self) -> None:
        """Have the image here."""
        self.image = image.load(self.command)

    def ours(self) -> dict[str, list[str]]:
        """What carries a label of jupyter_mltrain: names of containers and volumes, for a test that nothing is left."""
        label = "label=org.jupyter-mltrain.kind"
        containers = self.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}")
        volumes = self.docker("volume", "ls", "--filter", label, "--format", "{{.Name}}")
        return {"containers": sorted(containers.split()), "volumes": sorted(volumes.split())}


class Daemon(Engine):
    """`enter`: what to begin its command line with (a network namespace); `options`: more of its own."""

    def __init__(self, folder: Path, *, enter: list[str] | None = None, options: list[str] | None = None) -> None:
        super().__init__(f"unix://{folder / 'docker.sock'}")
        self.folder = folder
        self._enter = enter or []
        self._options = options or []

    @property
    def pid(self) -> int | None:
        """Of the living `dockerd`."""
        try:
            pid = int((self.folder / "docker.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if any(pid == found and "dockerd" in command for found, command in self._processes()) else None

    def start(self) -> None:
        """Returns once it answers. Its containerd is a process beside it, as Debian has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not any(
            "containerd" in Path(command.split()[0]).name and "-shim" not in command for _, command in self._processes()
        ):
            self._containerd()
        folders = ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        files = ["--pidfile", self.folder / "docker.pid", "--host", self.url, "--containerd", self._socket]
        if mtu := _mtu():
            # Packets of containers pass the same link as this machine's, which may be narrower than most.
            files += ["--mtu", str(mtu)]
        process = self._begin("dockerd", *folders, *files, *self._options)
        deadline = time.monotonic() + _PATIENCE
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd does not start:\n{(self.folder / 'dockerd.log').read_text()[-3000:]}")
            time.sleep(0.05)

    @property
    def _socket(self) -> Path:
        return self.folder / "containerd.sock"

    def _containerd(self) -> None:
        settings = self.folder / "containerd.toml"
        root, state = self.folder / "containerd", self.folder / "containerd-state"
        # Its part for Kubernetes would claim a port of this machine.
        settings.write_text(
            f'version = 2\nroot = "{root}"\nstate = "{state}"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self._socket}"\n'
        )
        self._begin("containerd", "--config", settings)

    def _begin(self, name: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._enter, program(name), *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        # Who started it need not be who ends it, so nobody waits for it in the end.
        _reaped.append(process)
        return process

    def kill(self) -> None:
        """SIGKILL `dockerd` alone: its containerd, the containers and their shims go on."""
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
            _until(lambda: _gone(pid), "dockerd does not die")
            (self.folder / "docker.pid").unlink()

    def shim(self, container: str) -> int:
        """Process id of containerd's shim for a container."""
        whole = self.docker("inspect", "--format", "{{.Id}}", container)
        [pid] = [pid for pid, command in self._processes() if "containerd-shim" in command and whole in command]
        return pid

    def end(self) -> None:
        """End it and all that it ran, and remove its folder. Also after any of it was killed."""
        if pid := self.pid:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                if left := self.docker("ps", "--all", "--quiet").split():
                    self.docker("rm", "--force", "--volumes", *left)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                _until(lambda: self.pid is None, "dockerd does not end")
        for parent in [pid for pid, _ in self._processes()]:
            for child in [*descendants(parent), parent]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        _until(lambda: not list(self._processes()), f"processes of {self.folder} are left")
        take_away(self.folder)

    def _processes(self) -> Iterator[tuple[int, str]]:
        """dockerd, containerd and its shims, all of which name the folder."""
        mark = os.fsencode(self.folder) + b"/"
        for name in (entry.name for entry in Path("/proc").iterdir()):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    command = Path(f"/proc/{name}/cmdline").read_bytes()
                except OSError:
                    continue
                words = command.split(b"\0")
                if mark in command and words and Path(os.fsdecode(words[0])).name.startswith(("dockerd", "containerd")):
                    yield int(name), b" ".join(words).decode(errors="replace")
        for process in _reaped:
            process.poll()


_reaped: list[subprocess.Popen[bytes]] = []
"""Daemons started here: `poll` takes their zombies away."""


def _until(holds: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    """Whether not even a zombie is left, which the next dockerd would take for a living one."""
    for process in _reaped:
        process.poll()
    return not Path(f"/proc/{pid}").exists()


def descendants(parent: int) -> list[int]:
    """Processes that a process started, the deepest first."""
    try:
        tasks = list(Path(f"/proc/{parent}/task").iterdir())
        children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*(deeper for child in children for deeper in descendants(child)), *children]


def _mtu() -> int | None:
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        device, destination, *_ = line.split()
        if destination == "00000000":
            return int(Path(f"/sys/class/net/{device}/mtu").read_text())
    return None
