"""A conda channel in a folder, with packages made by hand: what a solver and an installer need, and no network."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PYTHON = ".".join(map(str, sys.version_info[:2]))


class CondaChannel:
    """`url` is what a specification names it by. It has a `python` that is `interpreter` (default: this one), of the minor
    version `python`, in a prefix of its own."""

    def __init__(self, folder: Path, interpreter: str = sys.executable, python: str = PYTHON) -> None:
        self.folder = folder
        for subdir in ("noarch", "linux-64"):
            self._index(subdir, {})
        executable = str(Path(interpreter).resolve()) if interpreter == sys.executable else interpreter
        home = str(Path(executable).parent)
        self.package(
            "python",
            f"{python}.99",
            # What makes a prefix of a venv makes one of this: site-packages of its own, the library of the machine.
            {"pyvenv.cfg": f"home = {home}\n", f"lib/python{python}/site-packages/README.txt": "packages\n"},
            subdir="linux-64",
            links={"bin/python": executable, f"bin/python{python}": "python"},
        )

    @property
    def url(self) -> str:
        return self.folder.as_uri()

    def python_package(self, name: str, version: str = "1.0", depends: Sequence[str] = ("python",)) -> Path:
        """A module that says its version."""
        site, info = "site-packages", f"site-packages/{name}-{version}.dist-info"
        files = {
            f"{site}/{name}.py": f"version = {version!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/RECORD": "",
            f"{info}/INSTALLER": "conda",
        }
        return self.package(name, version, files, depends=depends, noarch="python")

    def package(
        self,
        name: str,
        version: str,
        files: Mapping[str, str],
        *,
        depends: Sequence[str] = (),
        noarch: str | None = None,
        subdir: str = "noarch",
        links: Mapping[str, str] | None = None,
    ) -> Path:
        links = links or {}
        index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": list(depends)}
        index |= {"subdir": subdir, **({"noarch": noarch} if noarch else {})}
        kinds = [(path, "hardlink", text.encode()) for path, text in files.items()]
        kinds += [(path, "softlink", b"") for path in links]
        paths = [
            {"_path": p, "path_type": kind, "sha256": hashlib.sha256(d).hexdigest(), "size_in_bytes": len(d)}
            for p, kind, d in kinds
        ]
        members = {
            "info/index.json": json.dumps(index),
            "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
            "info/files": "\n".join([*files, *links]),
            **files,
        }
        if noarch == "python":
            members["info/link.json"] = json.dumps({"noarch": {"type": "python"}, "package_metadata_version": 1})
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:bz2") as archive:
            for path, text in members.items():
                member = tarfile.TarInfo(path)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
            for path, to in links.items():
                member = tarfile.TarInfo(path)
                member.type, member.linkname = tarfile.SYMTYPE, to
                archive.addfile(member)
        file = self.folder / subdir / f"{name}-{version}-0.tar.bz2"
        file.write_bytes(buffer.getvalue())
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        self._index(subdir, {file.name: {**index, "sha256": digest, "size": file.stat().st_size}})
        return file

    def _index(self, subdir: str, packages: Mapping[str, object]) -> None:
        path = self.folder / subdir / "repodata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text())["packages"] if path.exists() else {}
        content = {"info": {"subdir": subdir}, "packages": {**known, **packages}, "repodata_version": 1}
        path.write_text(json.dumps(content))
