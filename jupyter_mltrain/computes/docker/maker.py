"""The container that makes an environment. It is named after what it makes, so that of two who want the same, on whichever
machines, one makes it and the other watches; and it goes on when who started it is gone."""

from __future__ import annotations

import dataclasses
import functools
import json
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path, PurePosixPath
from posixpath import join
from typing import Any

from uv import find_uv_bin

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker import containers, talking
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.labels import ENVIRONMENTS, labels
from jupyter_mltrain.computes.docker.plan import ENVIRONMENTS_PLACE
from jupyter_mltrain.core.environment import EnvironmentLock
from jupyter_mltrain.core.orders import CompiledPackage, EnvironmentOrder
from jupyter_mltrain.errors import BuildFailed, EngineError, EnvironmentError_, PythonNotFound

READY = "org.jupyter-mltrain.ready"
"""Label of an image that holds an environment: what `ready.json` says of it."""

_BUILD = "/mltrain-build"
_ABANDONED_SECONDS = 300.0
"""A container that was made and not started within this time: who made it is gone."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}

Say = Callable[[str], None]


@dataclass
class Maker:
    """Makes the environment of `order` in `folder` of a container of `image` (as the engine describes it; `base` is its
    name). `link`: how uv puts files there. `pythons`: where it puts a Python that it has to fetch."""

    connection: Connection
    order: EnvironmentOrder
    image: Mapping[str, Any]
    base: str
    name: str
    folder: str
    link: str
    pythons: str
    log: Say
    progress: Say
    stop: threading.Event
    _mine: bool = field(default=False, init=False)

    def create(self) -> bool:
        """Whether the container is ours now; False where somebody else's is at work under that name."""
        arguments = [self.folder, self.order.python, self.link, version("uv"), self.pythons, *self.order.flags]

        def ask(client: Any) -> None:
            client.create_volume(ENVIRONMENTS, labels=labels("environment"))
            client.create_container(
                self.image["Id"],
                name=self.name,
                entrypoint=["sh", join(_BUILD, "build.sh")],
                command=arguments,
                user="0:0",
                working_dir="/",
                stdin_open=True,
                host_config=containers.unprivileged(
                    client, binds={ENVIRONMENTS: {"bind": ENVIRONMENTS_PLACE, "mode": "rw"}}
                ),
                labels=labels("environment", key=self.order.key),
            )

        try:
            self.connection.do(ask)
        except EngineError as error:
            if status_of(error) == 409:
                return False
            raise
        self._mine = True
        return True

    def ready(self) -> dict[str, Any] | None:
        """What the environment says of itself, if it is whole."""
        data = containers.read(self.connection, self.name, join(self.folder, "ready.json"))
        return json.loads(data) if data else None

    def make(self) -> None:
        """Make it, in the container that was created. Raises `BuildFailed` with what was said in `details["output"]`,
        `PythonNotFound`, `EnvironmentError_`, `Stopped`."""
        order, said = self.order, list[str]()
        self.log(f"Making {order.name} in a container: {len(order.packages)} packages for Python {order.python}")
        for notice in order.notices:
            self.log(notice)
        self._give()
        self._start()
        self._follow(said)
        state = containers.state(self.connection, self.name)
        if self.stop.is_set():
            raise Stopped
        if state is None:
            raise BuildFailed(f"The container that made environment {order.name!r} was removed.", mend="Run it again.")
        if state["ExitCode"] != 0:
            raise self._failed(state, said)

    def keep(self, repository: str, tag: str) -> None:
        """Keep the container's files as an image."""
        ready = self.ready() or {}
        self.log(f"Keeping it as the image {repository}:{tag}")
        self.connection.do(functools.partial(self._commit, repository, tag, ready))

    def end(self, client: Any) -> None:
        """Remove the container, if it is ours. Idempotent."""
        if self._mine:
            containers.remove(client, self.name)
            self._mine = False

    def watch_other(self) -> None:
        """Somebody else makes it: pass on their lines until they are through. What a killed one left is removed."""
        found = containers.inspect(self.connection, self.name)
        if found is None:
            return
        state = found["State"]
        if state["Running"]:
            self.log("Someone else is making this environment; waiting, with their log:")
            self._follow([])
        elif state["Status"] == "created" and containers.age(found["Created"]) < _ABANDONED_SECONDS:
            self.stop.wait(0.5)
        else:
            # Its maker looks at it and removes it in a moment; one that was killed does not.
            self.stop.wait(2.0)
            self.connection.do(lambda client: containers.remove(client, found["Id"]))

    def _give(self) -> None:
        """What the making needs, into the container that was created."""
        order, inside = self.order, files("jupyter_mltrain.computes.docker") / "inside"
        lock = EnvironmentLock.loads(order.lock)
        wanted = {
            "packages": sorted(_normal(one) for one in lock.requirement_lines if "==" in one),
            "imports": order.imports,
            "say": {"format": 1, "key": order.key, "name": order.name, "made": time.time()},
        }
        texts = {one: (inside / one).read_text("utf-8") for one in ("build.sh", "check.py", "compiling.py", "conda.py")}
        texts |= {f"modules/{one}": text for one, text in order.modules.items()}
        texts |= {
            "lock.txt": order.requirements if order.compiled else order.lock,
            "wanted.json": json.dumps(wanted),
            "ca.pem": order.certificates,
        }
        entries = [Entry(_BUILD[1:], mode=0o755), Entry(f"{_BUILD[1:]}/modules", mode=0o755)]
        if order.compiled:
            texts["compiled.json"] = json.dumps([self._compiled(one) for one in order.compiled])
            wheels = [Path(one.wheel) for one in order.compiled if one.wheel]
            entries += [Entry(f"{_BUILD[1:]}/{wheel.name}", wheel, mode=0o644) for wheel in wheels]
        if lock.conda:
            texts |= {"conda.lock": _LOCAL.sub(rf"\1{_BUILD}/channel", lock.conda), "conda.tool": order.conda_tool}
            entries += _of_folders({match[2] for match in _LOCAL.finditer(lock.conda)})
        entries += [Entry(f"{_BUILD[1:]}/{one}", data=text.encode(), mode=0o644) for one, text in texts.items()]
        self.connection.do(lambda client: client.put_archive(self.name, "/", archive(entries)))
        if containers.has(self.connection, self.name, join(ENVIRONMENTS_PLACE, "uv", version("uv"), "uv")):
            return
        own = Path(find_uv_bin())
        self._check_machine()
        self.progress(f"sending uv, {own.stat().st_size / 1e6:.0f} MB")
        self.connection.do(
            lambda client: client.put_archive(self.name, _BUILD, archive([Entry("uv", own, mode=0o755)]))
        )

    def _compiled(self, one: CompiledPackage) -> dict[str, Any]:
        """A package as `inside/compiling.py` is told of it. What is compiled in an image is kept for that image: for one
        with an older C library it may be no good."""
        kept = join(ENVIRONMENTS_PLACE, "wheels", images.digest(one.key, str(self.image["Id"])))
        return {**dataclasses.asdict(one), "wheel": Path(one.wheel).name, "kept": kept}

    def _check_machine(self) -> None:
        info: dict[str, Any] = self.connection.do(lambda client: client.info())
        here, there = platform.machine(), str(info["Architecture"])
        if _MACHINES.get(here, here) != _MACHINES.get(there, there):
            raise EnvironmentError_(
                f"No environment can be made on {self.connection.address.words}: it is {there}, and this machine's uv"
                f" {here}.",
                mend="Name a ready image (docker.base_image with user-managed dependencies).",
            )

    def _start(self) -> None:
        """Start the container and tell it what no `docker inspect` and no image may show."""
        told = {**self.order.variables, **self.order.settings}
        lines = [f"{name}={value}" for name, value in told.items() if name.isidentifier() and "\n" not in value]

        def ask(client: Any) -> None:
            talk = talking.attach(client, self.name)
            try:
                client.start(self.name)
                talk.send("".join(f"{line}\n" for line in [*lines, "go"]).encode())
                # A connection that is closed at once may take with it what is still under way in a pipe of ssh.
                next(talk.pieces(), None)
            finally:
                talk.leave()

        self.connection.do(ask)

    def _follow(self, said: list[str]) -> None:
        def lost() -> None:
            self.progress("the engine does not answer; trying again")

        containers.follow(self.connection, self.name, said, self.stop, self.log, lost)

    def _failed(self, state: Mapping[str, Any], said: list[str]) -> Exception:
        output, code, name = "\n".join(said)[-20_000:], state["ExitCode"], self.order.name
        last = said[-1].strip().removeprefix("cause: ")[:300] if said else f"exit code {code}"
        if state.get("OOMKilled"):
            return BuildFailed(f"Environment {name!r} could not be made: the host had no memory left.")
        if code == 67:
            return BuildFailed(
                f"Environment {name!r} was installed in a container, but does not work there: {last}",
                mend="Change its packages, its Python version or its base image.",
            )
        return self._image_lacks(code, last, output) or BuildFailed(
            f"Environment {name!r} could not be made in a container (exit code {code}): {last}",
            mend="The whole log is the run's build.log. Nothing of the failed build is used again.",
            output=output,
        )

    def _image_lacks(self, code: int, last: str, output: str) -> Exception | None:
        if code == 127 and "exec sh failed" in last:
            return EnvironmentError_(
                f"No environment can be made on the image {self.base}: it has no shell.",
                mend="Take an image of a whole system (docker.base_image), not one of a single program.",
            )
        if code == 65:
            return EnvironmentError_(
                f"No environment can be made on the image {self.base}: uv does not start in it.",
                mend="Take an image with glibc (Debian, Ubuntu, Red Hat …), not one of Alpine.",
            )
        if code == 66:
            return PythonNotFound(
                f"The image {self.base} has no Python {self.order.python}, and uv could not fetch one: {last}",
                mend="Take a base image with that Python (docker.base_image), or ask for the Python that is in it.",
                output=output,
            )
        if code == 68:
            # `last`: a package to compile, and the packages of Debian that its build needs.
            name, _, lacks = last.partition(": ")
            return BuildFailed(
                f"Environment {self.order.name!r} compiles {name}, which needs {', '.join(lacks.split())} in the image"
                f" {self.base}.",
                mend=f"Give docker.base_dockerfile: `FROM {self.base}` and `RUN apt-get update && apt-get install -y {lacks}`.",
            )
        return None

    def _commit(self, repository: str, tag: str, ready: Mapping[str, Any], client: Any) -> None:
        config: Mapping[str, Any] = self.image["Config"]
        before = dict(one.partition("=")[::2] for one in config.get("Env") or ())
        path = before.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        marks = {**labels("environment", key=tag), READY: json.dumps(ready)}
        changes = [
            f"ENV PATH={self.folder}/bin:{path}",
            # An empty one would leave the maker's own in place; this one starts what it is given.
            f"ENTRYPOINT {json.dumps(config.get('Entrypoint') or ['/usr/bin/env'])}",
            f"CMD {json.dumps(config.get('Cmd') or ['python'])}",
            f"WORKDIR {config.get('WorkingDir') or '/'}",
            f"USER {config.get('User') or '0'}",
            *(f"LABEL {key}={json.dumps(value)}" for key, value in marks.items()),
        ]
        params = {"container": self.name, "repo": repository, "tag": tag, "changes": "\n".join(changes)}
        # The SDK's own method has no time for an image of gigabytes.
        answer = client._post(client._url("/commit"), params=params, json={}, timeout=1800)  # noqa: SLF001
        client._raise_for_status(answer)  # noqa: SLF001


_LOCAL = re.compile(r"^( *- conda: )(?=(/\S+)$)", re.MULTILINE)
"""A package in a channel that is a folder of this machine, where a lock names it."""


def _of_folders(packages: set[str]) -> Iterator[Entry]:
    """Members of the archive: packages that only this machine has, below `channel` where they are here."""
    here = PurePosixPath(_BUILD[1:], "channel")
    folders = {parent for one in packages for parent in PurePosixPath(one[1:]).parents}
    yield from (Entry(str(here / folder), mode=0o755) for folder in sorted(folders))
    yield from (Entry(str(here / one[1:]), Path(one), mode=0o644) for one in sorted(packages))


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package.partition("==")[0].partition("[")[0].strip()).lower()
