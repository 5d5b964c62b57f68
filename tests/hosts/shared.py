"""The engine of this machine for all test sessions that run at once: one that is there, or one of ours.

Two engines in one network would take each other's bridge away, hence one. Who comes first starts it; who leaves last
ends it; whoever is killed in between has left.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.hosts.daemon import Daemon, Engine
from tests.hosts.locks import Lock, alone
from tests.hosts.programs import NoHostError, call, folder, program, root_needed


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """An engine of this machine with the image in it."""
    if (found := running()) is not None:
        with alone(folder() / "engine.lock"):
            found.load()
        yield found
        return
    try:
        root_needed("Starting dockerd")
    except NoHostError as missing:
        raise NoHostError(f"No container engine answers here, and none can be started. {missing}") from None
    users = Lock(folder() / "engine.users")
    try:
        with alone(folder() / "engine.lock"):
            ours = _ours()
            users.shared()
            ours.load()
        yield ours
    finally:
        with alone(folder() / "engine.lock"):
            if users.nobody_else() and (left := _named()) is not None:
                left.end()
                _note().unlink()
        users.close()


def running() -> Engine | None:
    """The engine that the user's own `docker` reaches, where it is one of this machine."""
    try:
        docker = program("docker")
    except NoHostError:
        return None
    url = os.environ.get("DOCKER_HOST")
    if not url:
        try:
            url = call(docker, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        except RuntimeError:
            return None
    if not url.startswith("unix://") or not Path(url.removeprefix("unix://")).exists():
        return None
    found = Engine(url)
    return found if found.answers() else None


def _ours() -> Daemon:
    """Ours, started if it does not answer."""
    ours = _named()
    if ours is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if ours.answers():
                return ours
        ours.end()
    ours = Daemon(folder() / f"engine-{uuid.uuid4().hex[:8]}")
    ours.folder.mkdir()
    _note().write_text(json.dumps({"folder": str(ours.folder)}))
    ours.start()
    return ours


def _named() -> Daemon | None:
    try:
        named = Path(json.loads(_note().read_text())["folder"])
    except FileNotFoundError:
        return None
    return Daemon(named) if named.exists() else None


def _note() -> Path:
    return folder() / "engine.json"
