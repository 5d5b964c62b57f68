"""A Debian package that holds a dataset's files: installed on this machine, or fetched from where apt gets packages."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.dataset import DatasetFile
from jupyter_mltrain.data.files import store_content
from jupyter_mltrain.data.programs import run_program
from jupyter_mltrain.data.sources import NotReached, Transfer
from jupyter_mltrain.errors import DownloadCorrupt


@dataclass(frozen=True)
class DebianPackage:
    """`package` with the files, gzipped, in `place` (no leading slash). Needs no root: the package is only unpacked."""

    package: str
    place: str

    @property
    def name(self) -> str:
        return f"Debian package {self.package}"

    def fetch(self, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        missing = [file for file in files if not (transfer.folder / file.name).exists()]
        installed = Path("/") / self.place
        if all((installed / file.name).is_file() for file in missing):
            self._take(installed, missing, transfer)
            return
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise NotReached("this machine has no apt-get and dpkg-deb")
        with tempfile.TemporaryDirectory(prefix="deb-", dir=transfer.folder) as name:
            folder = Path(name)
            folder.chmod(0o755)  # apt fetches as a user of its own
            code, said = run_program(["apt-get", "download", "-q", self.package], folder, transfer.cancelled)
            archives = list(folder.glob("*.deb"))
            if code != 0 or len(archives) != 1:
                lines = [line.removeprefix("E: ") for line in said.splitlines() if line.startswith("E: ")]
                raise NotReached(redact(lines[0] if lines else f"apt-get ended with exit code {code}"))
            transfer.report(archives[0].stat().st_size)
            transfer.log(f"Unpacking and checking {self.package}")
            data = folder / "data.tar"
            code, said = run_program(
                ["dpkg-deb", "--fsys-tarfile", archives[0].name], folder, transfer.cancelled, output=data
            )
            if code != 0:
                raise self._corrupt(redact(said.strip()))
            self._unpack(data, missing, folder)
            self._take(folder, missing, transfer)

    def _unpack(self, data: Path, files: Sequence[DatasetFile], folder: Path) -> None:
        try:
            with tarfile.open(data) as packed:
                for file in files:
                    member = packed.getmember(f"./{self.place}/{file.name}")
                    with packed.extractfile(member) or io.BytesIO() as content, (folder / file.name).open("wb") as out:
                        shutil.copyfileobj(content, out)
        except (tarfile.TarError, EOFError, KeyError) as error:
            raise self._corrupt(str(error)) from error

    def _take(self, folder: Path, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        for file in files:
            if transfer.cancelled.is_set():
                raise Stopped
            try:
                with gzip.open(folder / file.name) as content:
                    store_content(content, file, transfer.folder / file.name, self.name)
            except (EOFError, gzip.BadGzipFile) as error:
                raise self._corrupt(str(error)) from error

    def _corrupt(self, problem: str) -> DownloadCorrupt:
        return DownloadCorrupt(
            f"The archive of {self.name} is not what it should be: {problem}.",
            mend="Try again; if it stays so, tell the administrator of the package mirror.",
            source=self.name,
        )
