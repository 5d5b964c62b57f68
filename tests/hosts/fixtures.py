"""Hosts of containers for any test; `tests/conftest.py` takes these names up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator

import pytest

from tests.hosts import image, podman, registry, remote, shared
from tests.hosts.daemon import Engine
from tests.hosts.podman import Podman
from tests.hosts.programs import NoHostError
from tests.hosts.registry import ImageRegistry
from tests.hosts.remote import RemoteHost


def pytest_collection_finish(session: pytest.Session) -> None:
    """What takes a minute on a new machine is made here, where no test's time runs."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if used & {"docker_engine", "podman_engine", "remote_host"} and not session.config.option.collectonly:
        with contextlib.suppress(NoHostError):  # the fixture says it where it is needed
            image.archive()


@contextlib.contextmanager
def told() -> Generator[None]:
    """A host that cannot be had here fails the test in one line: what is missing."""
    try:
        yield
    except NoHostError as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """This machine's engine: one that runs and answers, or one of ours for this session."""
    with told(), shared.engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman_engine() -> Iterator[Podman]:
    """A Podman of this session."""
    with told(), podman.engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def remote_host_of_session() -> Iterator[RemoteHost]:
    """Another host, for this session alone; tests take `remote_host`."""
    with told(), remote.host() as host:
        yield host


@pytest.fixture(scope="session")
def image_registry(
    remote_host_of_session: RemoteHost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ImageRegistry]:
    """A registry of images that this machine's engine and the other host's reach at one address."""
    with told(), registry.registry(tmp_path_factory.mktemp("registry"), remote_host_of_session) as made:
        yield made


@pytest.fixture
def remote_host(remote_host_of_session: RemoteHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteHost]:
    """Another host, reached by TLS and by ssh; whatever a test does to it, the next one finds it whole."""
    remote_host_of_session.whole()
    monkeypatch.setenv("PATH", str(remote_host_of_session.sshd.programs), prepend=os.pathsep)
    yield remote_host_of_session
    remote_host_of_session.whole()
