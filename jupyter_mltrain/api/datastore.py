"""A named place for files: a folder, a bucket, whatever fsspec reaches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_mltrain.core.datastore import DEFAULT, variables_in
from jupyter_mltrain.errors import PathNotFound, UserErrorException

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace

_BATCH_FILES, _BATCH_BYTES = 200, 256_000_000
"""What one request uploads at most, so that progress is seen and a cut-off upload loses little."""


class Datastore:
    """A place that datasets can name. `Datastore.get(ws, "name")`, `ws.get_default_datastore()`.

    `Datastore.register(ws, "raw", "s3://bucket/raw", key="${AWS_ACCESS_KEY_ID}", secret="${AWS_SECRET_ACCESS_KEY}")`:
    options are those of fsspec's driver. `${NAME}` stands for an environment variable of the kernel that uses it; its
    value is never stored.
    """

    def __init__(self, workspace: Workspace, entry: Mapping[str, Any]) -> None:
        self.workspace = workspace
        self._entry = entry

    @classmethod
    def register(cls, workspace: Workspace, name: str, url: str | Path, **options: Any) -> Datastore:
        """Store a datastore's definition, in place of one of that name.

        `url`: any fsspec scheme, or a local folder. Raises `InvalidName`, and `UserErrorException` for a secret that is
        written out, an unknown scheme, or a driver that is not installed (it names the package).
        """
        place = str(url) if "://" in str(url) else str(Path(url).expanduser().absolute())
        body = {
            "name": name,
            "url": place,
            "options": options,
            "values": values_of([place, *map(str, options.values())]),
        }
        return cls(workspace, workspace.connection.post("/v1/datastores", body))

    @classmethod
    def get(cls, workspace: Workspace, datastore_name: str) -> Datastore:
        """The datastore of that name. Raises `DatastoreNotFound`, a `UserErrorException`, with the nearest names."""
        found = cls(workspace, workspace.connection.get(f"/v1/datastores/{quote(datastore_name, safe='')}"))
        found.lend()
        return found

    @classmethod
    def get_default(cls, workspace: Workspace) -> Datastore:
        """The datastore that is always there: the folder `.mltrain/datastore`."""
        return cls.get(workspace, DEFAULT)

    @classmethod
    def list(cls, workspace: Workspace) -> dict[str, Datastore]:
        """Name → datastore."""
        entries = workspace.connection.get("/v1/datastores")["datastores"]
        return {entry["name"]: cls(workspace, entry) for entry in entries}

    @property
    def name(self) -> str:
        return str(self._entry["name"])

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._entry["url"])

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataPath:  # noqa: ARG002 - the SDK's
        """A file, folder or pattern in it, for `Dataset.File.from_files`."""
        return DataPath(self, path or "")

    def upload_files(
        self,
        files: Sequence[str | Path],
        relative_root: str | Path | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataPath:
        """Copy local files to `target_path` in it (default: its top), below the paths that they have under
        `relative_root` (default: the folder that all of them are in). One that is there stays unless `overwrite`.

        Raises `PathNotFound` for a file that is not there, before anything is copied.
        """
        paths = [Path(file).expanduser().absolute() for file in files]
        for path in paths:
            if not path.is_file():
                raise PathNotFound(f"There is no file {path} to upload.", mend="Check its name; folders: upload(…).")
        root = Path(relative_root).expanduser().absolute() if relative_root else _common(paths)
        outside = [path for path in paths if not path.is_relative_to(root)]
        if outside:
            raise UserErrorException(f"{outside[0]} is not in the folder {root}.", mend="Give another relative_root.")
        pairs = [(path, "/".join([*_parts(target_path), *path.relative_to(root).parts])) for path in paths]
        self._upload(pairs, overwrite=overwrite, show_progress=show_progress)
        return DataPath(self, target_path or "")

    def upload(
        self,
        src_dir: str | Path,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataPath:
        """Copy all files of a local folder to `target_path` in it. Raises `PathNotFound`."""
        root = Path(src_dir).expanduser().absolute()
        if not root.is_dir():
            raise PathNotFound(f"There is no folder {root} to upload.")
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return self.upload_files(files, root, target_path, overwrite, show_progress)

    def unregister(self) -> None:
        """Forget its definition; its files stay where they are."""
        self.workspace.connection.post(f"/v1/datastores/{quote(self.name, safe='')}/remove")

    def lend(self) -> None:
        """Give the service the values of the environment variables that it names; they stay in its memory."""
        values = {name: os.environ[name] for name in self._entry["variables"] if name in os.environ}
        if values:
            path = f"/v1/datastores/{quote(self.name, safe='')}/values"
            self._entry = self.workspace.connection.post(path, {"values": values})

    def _upload(self, pairs: Sequence[tuple[Path, str]], *, overwrite: bool, show_progress: bool) -> None:
        total, done, skipped = len(pairs), 0, 0
        if show_progress:
            _say(f"Uploading {total} files to {self.name!r}")
        for batch in _batches(pairs):
            body = {"files": [(str(path), target) for path, target in batch], "overwrite": overwrite}
            path = f"/v1/datastores/{quote(self.name, safe='')}/upload"
            answer = self.workspace.connection.post(path, body, timeout=3600)
            done += len(batch)
            skipped += answer["skipped"]
            if show_progress:
                _say(f"Uploaded {done} of {total} files")
        if show_progress and skipped:
            _say(f"{skipped} of them were there already and stayed as they are (overwrite=True replaces them)")

    def __repr__(self) -> str:
        return f"Datastore(name={self.name!r}, url={self.url!r})"


@dataclass(frozen=True)
class DataPath:
    """A file, folder or pattern in a datastore."""

    datastore: Datastore
    path_on_datastore: str

    def __iter__(self) -> Iterator[Any]:
        return iter((self.datastore, self.path_on_datastore))


def values_of(texts: Sequence[str]) -> dict[str, str]:
    """This process's values of the environment variables that are named in `texts`."""
    return {name: os.environ[name] for name in variables_in(list(texts)) if name in os.environ}


def _batches(pairs: Sequence[tuple[Path, str]]) -> Iterator[list[tuple[Path, str]]]:
    batch: list[tuple[Path, str]] = []
    size = 0
    for pair in pairs:
        batch.append(pair)
        size += pair[0].stat().st_size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths])) if paths else Path.cwd()


def _parts(path: str | None) -> list[str]:
    return [part for part in (path or "").replace("\\", "/").split("/") if part not in {"", "."}]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
