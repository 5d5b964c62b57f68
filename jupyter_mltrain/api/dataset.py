"""Datasets: files that lie somewhere, by name and version; and how a run gets them."""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from glob import has_magic, iglob
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from jupyter_mltrain.api.consumption import DatasetConsumptionConfig
from jupyter_mltrain.api.datastore import DataPath, Datastore, values_of
from jupyter_mltrain.api.fetching import fetch_dataset, files_below
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.dataset import Selected
from jupyter_mltrain.core.datastore import check_address
from jupyter_mltrain.core.partition import partition_keys
from jupyter_mltrain.errors import ConflictError, PathNotFound, UserErrorException

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace

OnePath = str | Path | DataPath | tuple[Datastore, str]


class FileDatasetFactory:
    """`Dataset.File`."""

    @staticmethod
    def from_files(
        path: OnePath | Sequence[OnePath],
        validate: bool = True,
        partition_format: str | None = None,
        is_file: bool = False,
    ) -> FileDataset:
        """The files at `path`: local paths, folders and patterns (`*`, `**/`), URLs of any scheme that fsspec has a
        driver for, `(datastore, "folder/")`, or a list of these. Data stays where it is.

        With `validate`, local paths are looked at now, others when a workspace first sees the dataset; what is not there
        raises `PathNotFound`, a `UserErrorException`. `is_file`: the path is one file, never a folder.
        `partition_format` says which keys the files' paths hold (`{state}/{date:yyyy/MM/dd}/data.csv`).
        """
        given = _each(path)
        if not given:
            raise UserErrorException(
                "A dataset needs at least one path.", mend="Give a path, URL or (datastore, path)."
            )
        stores = [store for one in given if (store := _datastore_of(one)) is not None]
        sources = tuple(_source(one) for one in given)
        if is_file and len(sources) != 1:
            raise UserErrorException("is_file=True is for a single path.")
        for source in sources if validate else ():
            _check_local(source, is_file=is_file)
        partition_keys(partition_format or "")
        workspace = stores[0].workspace if stores else None
        return FileDataset(sources, workspace=workspace, partition_format=partition_format or "", validate=validate)

    @staticmethod
    def upload_directory(
        src_dir: str | Path,
        target: DataPath | tuple[Datastore, str],
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Copy a local folder (of it, what matches `pattern`) into a datastore, and the dataset of it there."""
        store, place = target
        root = Path(src_dir).expanduser().absolute()
        files = sorted(p for p in (root.glob(pattern) if pattern else root.rglob("*")) if p.is_file())
        if not files:
            raise PathNotFound(f"There are no files in {root}" + (f" that match {pattern!r}." if pattern else "."))
        store.upload_files(files, root, place, overwrite, show_progress)
        return FileDatasetFactory.from_files((store, place.rstrip("/") + "/"))


class FileDataset:
    """Files, and which of them. Made by `Dataset.File.from_files`; each change gives a new one.

    `name` and `version` are None until it is registered.
    """

    def __init__(
        self,
        sources: Sequence[str],
        selection: Sequence[Selected] = (),
        *,
        partition_format: str = "",
        validate: bool = True,
        workspace: Workspace | None = None,
        entry: Mapping[str, Any] | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._selection = tuple(selection)
        self._partition_format = partition_format
        self._validate = validate
        self._workspace = workspace
        self._entry: Mapping[str, Any] = entry or {}

    @classmethod
    def of(cls, workspace: Workspace, entry: Mapping[str, Any]) -> FileDataset:
        """The dataset that the service described."""
        selection = [Selected(**step) for step in entry.get("selection", ())]
        pattern = str(entry.get("partition_format", ""))
        return cls(entry.get("sources", ()), selection, partition_format=pattern, workspace=workspace, entry=entry)

    @property
    def name(self) -> str | None:
        return self._entry.get("name") or None

    @property
    def version(self) -> int | None:
        return self._entry["version"] if self.name else None

    @property
    def id(self) -> str | None:
        """Of this version; None before it is registered or used."""
        return self._entry.get("id") or None

    @property
    def description(self) -> str:
        return str(self._entry.get("description", ""))

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._entry.get("tags", {}))

    @property
    def notes(self) -> list[str]:
        """What is had from elsewhere than its sources say, a line each."""
        return [f"{s['given']} for {s['asked']}: {s['reason']}" for s in self._entry.get("substitutions", ())]

    @property
    def partition_keys(self) -> list[str]:
        """The keys that the files' paths hold."""
        return list(partition_keys(self._partition_format))

    def register(
        self,
        workspace: Workspace,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> FileDataset:
        """Keep it in the workspace as a version of `name`, and return that.

        The same files again are the same version, unless `create_new_version`; other files without it raise
        `UserErrorException`. So does a source that is not there, or cannot be reached (`Unreachable`).
        """
        body = {
            **self._body(),
            "name": name,
            "description": description or "",
            "tags": {str(key): str(value) for key, value in (tags or {}).items()},
            "create_new_version": create_new_version,
        }
        self._lend(workspace)
        return self.of(workspace, workspace.connection.post("/v1/datasets", body, timeout=600))

    def unregister(self) -> None:
        """Forget this version; the files stay where they are, and what was fetched stays in the cache."""
        path = f"/v1/datasets/{quote(self.reference(self._where()), safe='')}/remove"
        self._where().connection.post(path, {"what": "definition"})

    def to_path(self) -> list[str]:
        """Paths of its files in it, each with a `/` in front: `/folder/file`."""
        workspace = self._where()
        reference = quote(self.reference(workspace), safe="")
        found = workspace.connection.get(f"/v1/datasets/{reference}/paths", timeout=600)["paths"]
        return [f"/{path}" for path in found]

    def download(
        self, target_path: str | Path | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> list[str]:
        """Copy its files into a local folder (default: a new one below the current), and return their paths.

        Raises `ConflictError` for a file that is there, unless `overwrite`, before anything is copied.
        """
        workspace = self._where()
        fetched = fetch_dataset(workspace, self.reference(workspace), show_progress=show_progress)
        source = Path(fetched["path"])
        target = Path(target_path or f"dataset-{secrets.token_hex(4)}").expanduser().absolute()
        if source.is_file():
            pairs = [(source, target / source.name)]
        else:
            pairs = [(source / path, target / path) for path in files_below(source)]
        there = [new for _, new in pairs if os.path.lexists(new)]
        if there and not overwrite:
            raise ConflictError(f"{there[0]} is there already.", mend="Say overwrite=True, or choose another folder.")
        for old, new in pairs:
            new.parent.mkdir(parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            shutil.copyfile(old, new)
        return [str(new) for _, new in pairs]

    def skip(self, count: int) -> FileDataset:
        """Without its first `count` files, in the order of their paths."""
        return self._with(Selected("skip", count=_count(count)))

    def take(self, count: int) -> FileDataset:
        """Its first `count` files, in the order of their paths."""
        return self._with(Selected("take", count=_count(count)))

    def take_sample(self, probability: float, seed: int | None = None) -> FileDataset:
        """Each of its files with that probability; the same ones each time."""
        return self._with(Selected("sample", share=_share(probability), seed=_seed(seed)))

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[FileDataset, FileDataset]:
        """Two datasets: that share of its files (0 to 1), drawn at random, and the others; the same ones each time."""
        share, drawn = _share(percentage), _seed(seed)
        first, second = (Selected("split", share=share, seed=drawn, part=part) for part in (0, 1))
        return self._with(first), self._with(second)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """For `ScriptRunConfig(arguments=[…])`: the script gets the path of its files, not to be written to."""
        return DatasetConsumptionConfig(None, self, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Like `as_mount`, with a copy of its own for the run, which it may change."""
        return DatasetConsumptionConfig(None, self, "download", path_on_compute)

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """For the arguments of a run: `Run.get_context().input_datasets[name]` is its path."""
        return DatasetConsumptionConfig(name, self, "direct", None)

    def reference(self, workspace: Workspace) -> str:
        """`NAME:VERSION`, or `id:ID`: how requests name it. One that is not registered is kept in the workspace now."""
        self._lend(workspace)
        if self.name:
            return f"{self.name}:{self.version}"
        if not self.id or self._workspace is not workspace:
            self._entry = workspace.connection.post("/v1/datasets", self._body(), timeout=600)
            self._workspace = workspace
        return f"id:{self.id}"

    def _where(self) -> Workspace:
        if self._workspace is None:
            from jupyter_mltrain.api.workspace import Workspace  # noqa: PLC0415 - each knows the other

            self._workspace = Workspace.from_config()
        return self._workspace

    def _with(self, step: Selected) -> FileDataset:
        if self._entry.get("kind") == "ready-made":
            raise UserErrorException(
                f"{self.name!r} is ready-made and used as a whole.",
                mend="Take a dataset of files: Dataset.File.from_files.",
            )
        return FileDataset(
            self._sources,
            (*self._selection, step),
            partition_format=self._partition_format,
            validate=self._validate,
            workspace=self._workspace,
        )

    def _body(self) -> dict[str, Any]:
        return {
            "sources": list(self._sources),
            "selection": [dataclasses.asdict(step) for step in self._selection],
            "partition_format": self._partition_format,
            "validate_sources": self._validate,
        }

    def _lend(self, workspace: Workspace) -> None:
        """Give the service the values that the sources need: those of their datastores, and of `${NAME}` in URLs."""
        for source in self._sources:
            if data_paths.scheme_of(source) == data_paths.DATASTORE:
                Datastore.get(workspace, data_paths.datastore_of(source))
            elif values := values_of([source]):
                workspace.connection.post("/v1/datastores/default/values", {"values": values})

    def __repr__(self) -> str:
        name = f"{self.name}:{self.version}" if self.name else "not registered"
        steps = f",\nSelection: {'; '.join(map(str, self._selection))}" if self._selection else ""
        sources = ", ".join(self._sources[:3]) + (
            f" and {len(self._sources) - 3} more" if len(self._sources) > 3 else ""
        )
        return f"FileDataset({name},\nSource: {sources or 'ready-made'}{steps})"


class Dataset:
    """`Dataset.File.from_files(…)` makes one; `Dataset.get_by_name(ws, "mnist")` finds one."""

    File = FileDatasetFactory

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> FileDataset:
        """A registered or ready-made dataset. Raises `DatasetNotFound`, a `UserErrorException`, with the nearest names."""
        reference = name if version in {"latest", None} else f"{name}:{version}"
        return FileDataset.of(workspace, workspace.connection.get(f"/v1/datasets/{quote(reference, safe='')}"))

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> FileDataset:  # noqa: A002 - the SDK's argument
        """The dataset of that id, registered or not. Raises `DatasetNotFound`."""
        return FileDataset.of(workspace, workspace.connection.get(f"/v1/datasets/{quote(f'id:{id}', safe='')}"))

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, FileDataset]:
        """Name → newest version."""
        entries = workspace.connection.get("/v1/datasets", timeout=60)["datasets"]
        return {entry["name"]: Dataset.get_by_name(workspace, entry["name"]) for entry in entries}


def _each(path: OnePath | Sequence[OnePath]) -> list[OnePath]:
    """What was given, one by one; a tuple may be a list of paths too."""
    if isinstance(path, str | Path | DataPath):
        return [path]
    if isinstance(path, tuple) and path and isinstance(path[0], Datastore):
        return [cast("tuple[Datastore, str]", path)]
    return list(cast("Sequence[OnePath]", path))


def _datastore_of(given: OnePath) -> Datastore | None:
    return None if isinstance(given, str | Path) else next(iter(given))


def _source(given: OnePath) -> str:
    """A path as the definition keeps it."""
    if isinstance(given, DataPath | tuple):
        store, path = given
        return f"{data_paths.DATASTORE}://{store.name}/{str(path).lstrip('/')}"
    text = str(given)
    if not text.strip():
        raise UserErrorException("An empty path is no dataset.", mend="Give a path, URL or (datastore, path).")
    if data_paths.scheme_of(text):
        return check_address(text)
    slash = "/" if text.endswith("/") else ""
    return os.path.abspath(Path(text).expanduser()) + slash  # noqa: PTH100 - `..` is taken out, links stay


def _check_local(source: str, *, is_file: bool) -> None:
    if data_paths.scheme_of(source):
        return
    path = Path(source)
    if is_file and path.is_dir():
        raise UserErrorException(f"{source} is a folder, and is_file=True was said.")
    if path.exists():
        return
    if not has_magic(source):
        raise PathNotFound(f"There is nothing at {source}.", mend="Check its spelling and the current folder.")
    if next(iglob(source, recursive=True, include_hidden=True), None) is None:  # noqa: PTH207 - stops at the first
        mend = "Check the pattern: `*` does not go into folders, `**/` does."
        raise PathNotFound(f"No file matches {source}.", mend=mend)


def _count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise UserErrorException(f"{count!r} is no number of files.", mend="Give 0, 1, 2, …")
    return count


def _share(share: Any) -> float:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UserErrorException(f"{share!r} is no share of the files.", mend="Give a number from 0 to 1.")
    return float(share)


def _seed(seed: int | None) -> int:
    return secrets.randbelow(2**31) if seed is None else int(seed)
