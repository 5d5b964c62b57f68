"""Worlds of containers for the tests beside the catalog, whose hosts are this session's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.containers import ContainerWorld
from tests.hosts.remote import RemoteHost


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "60")


@pytest.fixture
def by_tls(tmp_path: Path, own_folders: None, remote_host: RemoteHost) -> Iterator[ContainerWorld]:
    with ContainerWorld(tmp_path / "w", remote_host, remote_host.tls) as made:
        yield made
        remote_host.whole()  # first the way to the host, then the end of the service


@pytest.fixture
def by_ssh(tmp_path: Path, own_folders: None, remote_host: RemoteHost) -> Iterator[ContainerWorld]:
    with ContainerWorld(tmp_path / "w", remote_host, {"url": remote_host.ssh_url}) as made:
        yield made
        remote_host.whole()
