"""Real Debian packages, made here; an apt-get that hands them out."""

import gzip
import hashlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile
from jupyter_mltrain.data import Datasets, debian
from jupyter_mltrain.data.debian import DebianPackage
from jupyter_mltrain.errors import DownloadCorrupt, Unreachable

DIGITS = bytes(range(256)) * 100
DEFINITION = DatasetDefinition(
    "tiny", 1, (DatasetFile("digits.gz", hashlib.sha256(DIGITS).hexdigest(), len(DIGITS)),), download=100
)
STORE = Datasets(None, lambda *_: [DebianPackage("tiny-digits", "usr/share/tiny")])


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert shutil.which("dpkg-deb"), "this test needs dpkg-deb: apt-get install dpkg"

    def make(content: bytes, script: str | None = None) -> None:
        tree = tmp_path / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            "Package: tiny-digits\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n"
        )
        (tree / "usr/share/tiny").mkdir(parents=True)
        (tree / "usr/share/tiny/digits.gz").write_bytes(content)
        archive = tmp_path / "tiny.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, archive], check=True, capture_output=True)
        command = tmp_path / "bin" / "apt-get"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\n{script or f'cp {archive} tiny-digits_1_all.deb'}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")

    return make


def test_files_of_a_package(apt):
    apt(gzip.compress(DIGITS))
    fetched = STORE.fetch(DEFINITION)
    assert gzip.decompress((fetched.path / "digits.gz").read_bytes()) == DIGITS
    assert fetched.source == "Debian package tiny-digits"
    assert [path.name for path in fetched.path.iterdir()] == ["digits.gz"]


def test_an_installed_package_is_not_fetched(apt, tmp_path):
    apt(b"", "exit 1")
    place = tmp_path / "installed"
    place.mkdir()
    (place / "digits.gz").write_bytes(gzip.compress(DIGITS))
    source = DebianPackage("tiny-digits", str(place).lstrip("/"))
    assert Datasets(None, lambda *_: [source]).fetch(DEFINITION).bytes > 0


@pytest.mark.parametrize("content", [gzip.compress(DIGITS[::-1]), b"no gzip", gzip.compress(DIGITS)[:-5]])
def test_other_content_is_refused(apt, content):
    apt(content)
    with pytest.raises(DownloadCorrupt, match="tiny-digits"):
        STORE.fetch(DEFINITION)
    assert STORE.cached(DEFINITION) is None


def test_a_broken_archive_is_refused(apt):
    apt(b"", "echo junk > tiny-digits_1_all.deb")
    with pytest.raises(DownloadCorrupt, match="archive"):
        STORE.fetch(DEFINITION)


def test_apts_reason_is_passed_on(apt):
    apt(b"", "echo 'Reading lists'; echo 'E: Unable to locate package tiny-digits' >&2; exit 100")
    with pytest.raises(Unreachable, match="Unable to locate package tiny-digits"):
        STORE.fetch(DEFINITION)


def test_a_machine_without_apt(monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    with pytest.raises(Unreachable, match="no apt-get"):
        STORE.fetch(DEFINITION)
