"""A dataset of a few kilobytes, mirrors on loopback that misbehave on request, an npm that is a script."""

import hashlib
import io
import stat
import tarfile
from pathlib import Path

import pytest

from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile
from tests.unit.data.local_mirror import CONTENT, LocalMirror


@pytest.fixture
def definition() -> DatasetDefinition:
    files = (DatasetFile(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENT.items())
    return DatasetDefinition("tiny", 1, tuple(files), download=4000)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def mirrors():
    made: list[LocalMirror] = []

    def make() -> LocalMirror:
        made.append(LocalMirror())
        return made[-1]

    yield make
    for mirror in made:
        mirror.close()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call with the files of a package, and what the npm on `PATH` says and does; it counts its calls in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(members: dict[str, bytes], script: str = "") -> Path:
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        path = folder / "npm"
        copy = f'for last; do :; done\ncp "{tmp_path}/package.tgz" "$last/tiny-1.tgz"'
        path.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/npm-calls"\n{script or copy}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "npm-calls"

    return make
