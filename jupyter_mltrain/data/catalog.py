"""The datasets of a workspace: ready-made ones, those registered, and those that a run was given without registering."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from pathlib import Path

from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.dataset import DatasetDefinition, FileDatasetDefinition, definition_id, select
from jupyter_mltrain.core.datastore import check_address, variables_in
from jupyter_mltrain.core.partition import partition_keys, partition_values
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.data import content
from jupyter_mltrain.data.datasets import Datasets, FetchedDataset, folder_of
from jupyter_mltrain.data.datastores import Datastores
from jupyter_mltrain.data.definitions import Definitions
from jupyter_mltrain.data.gathering import Gathering
from jupyter_mltrain.data.known import NAME, KnownFiles
from jupyter_mltrain.data.listing import Found, list_files, plain_folder
from jupyter_mltrain.data.sources import Log, Report
from jupyter_mltrain.errors import DatasetNotFound, UserErrorException

AnyDefinition = DatasetDefinition | FileDatasetDefinition

_ID = "id:"


class Catalog:
    """Names, versions and files of datasets. Calls block; only `fetch` and `files` may take long.

    `folder` is that of the workspace (`.mltrain`); `ready` has the ready-made datasets.
    """

    def __init__(self, folder: Path, ready: Datasets) -> None:
        self.ready = ready
        self.datastores = Datastores(folder / "datastores", folder / "datastore")
        self.definitions = Definitions(folder / "datasets", [definition.name for definition in ready.list()])
        self.known = KnownFiles(folder / NAME)

    def list(self) -> list[AnyDefinition]:
        """The newest version of each name: the workspace's own, then the ready-made."""
        return [*self.definitions.newest(), *self.ready.list()]

    def resolve(self, reference: str, version: int | None = None) -> AnyDefinition:
        """The dataset that `NAME`, `NAME:VERSION` or `id:ID` names, its newest version if none is said. Raises
        `DatasetNotFound` with the nearest names."""
        if reference.startswith(_ID):
            return self.definitions.of_id(reference.removeprefix(_ID))
        name, _, number = reference.partition(":")
        asked = number or ("" if version is None else str(version))
        versions = self.definitions.versions(name)
        if not versions:
            ready = [definition.name for definition in self.ready.list()]
            if name in ready:
                return self.ready.resolve(name, int(asked) if asked.isdigit() else None)
            raise DatasetNotFound.of(name, [definition.name for definition in self.list()])
        if asked in {"", "latest"}:
            return versions[-1]
        for definition in versions:
            if asked == str(definition.version):
                return definition
        raise DatasetNotFound.of(f"{name}:{asked}", [definition.reference for definition in versions])

    def register(
        self, given: FileDatasetDefinition, *, new_version: bool, validate: bool = True
    ) -> FileDatasetDefinition:
        """Store a version, its sources looked at first unless `validate` is False. Raises what `files` raises,
        `InvalidName`, and `UserErrorException` where the name has other files and `new_version` is not said."""
        self._check(given, validate=validate)
        return self.definitions.register(given, new_version=new_version)

    def keep(self, given: FileDatasetDefinition, *, validate: bool = True) -> FileDatasetDefinition:
        """A dataset that has an id and no name: the same one for the same meaning."""
        self._check(given, validate=validate)
        made = definition_id(given.sources, given.selection, given.partition_format)
        return self.definitions.keep(dataclasses.replace(given, id=made, name="", version=0))

    def remove(self, definition: AnyDefinition) -> None:
        """Forget a registered version. Raises `UserErrorException` for a ready-made dataset, which is always there."""
        if isinstance(definition, DatasetDefinition):
            raise UserErrorException(
                f"{definition.name!r} is ready-made and stays listed.", mend="What was fetched of it can be removed."
            )
        self.definitions.remove(definition)

    def _check(self, given: FileDatasetDefinition, *, validate: bool) -> None:
        if not given.sources:
            raise UserErrorException("A dataset needs at least one path.")
        for source in given.sources:
            check_address(source)
        partition_keys(given.partition_format)
        if validate and (given.partition_format or plain_folder(given.sources, self.datastores) is None):
            for found in self.files(given):
                if given.partition_format and partition_values(given.partition_format, found.path) is None:
                    raise UserErrorException(
                        f"The file {found.path} does not fit the partition format {given.partition_format!r}.",
                        mend="Correct the format, or take the files that fit.",
                    )

    def files(self, definition: FileDatasetDefinition, cancelled: threading.Event | None = None) -> list[Found]:
        """The files of a dataset as they are now, by their paths, after its selection. Raises what `list_files` raises,
        and `UserErrorException` for a selection that leaves none."""
        found = list_files(definition.sources, self.datastores, self.known, cancelled)
        if not definition.selection:
            return found
        chosen = set(select((one.path for one in found), definition.selection))
        if not chosen:
            steps = ", then ".join(map(str, definition.selection))
            raise UserErrorException(f"Of the {len(found):,} files none is left ({steps}).", mend="Take more of them.")
        return [one for one in found if one.path in chosen]

    def paths(self, definition: AnyDefinition) -> list[str]:
        """The paths of a dataset's files in it."""
        if isinstance(definition, DatasetDefinition):
            return sorted(file.name for file in definition.files)
        kept = self._kept(definition)
        return list(kept) if kept is not None else [found.path for found in self.files(definition)]

    def _kept(self, definition: FileDatasetDefinition) -> Iterable[str] | None:
        """What a version held when it was fetched stays what it holds, where the files are not local."""
        known = self.definitions.content(definition)
        return [file.path for file in known.files] if known and not any(f.local for f in known.files) else None

    def cached(self, definition: AnyDefinition) -> Path | None:
        """The folder (or file) of a dataset that is on this machine already, else None."""
        if isinstance(definition, DatasetDefinition):
            return self.ready.cached(definition)
        return self._gathering(definition).cached()

    def fetch(
        self,
        definition: AnyDefinition,
        *,
        log: Log = lambda _: None,
        progress: Report | None = None,
        cancelled: threading.Event | None = None,
    ) -> FetchedDataset:
        """The folder with a dataset's files, or its one file, fetched now if need be.

        Raises what `files` and `Datasets.fetch` raise; a fetch that was cut off is continued by the next call.
        """
        if isinstance(definition, DatasetDefinition):
            return self.ready.fetch(definition, log=log, progress=progress, cancelled=cancelled)
        return self._gathering(definition).fetch(log, progress, cancelled or threading.Event())

    def drop(self, definition: AnyDefinition) -> int:
        """Delete what was fetched of a dataset; how many bytes that freed. Local files are never touched."""
        if isinstance(definition, DatasetDefinition):
            return self.ready.drop(definition)
        return self._gathering(definition).drop()

    def is_here(self, definition: AnyDefinition) -> bool:
        """Whether a run could read it now with nothing fetched; asks nobody but the file system."""
        if isinstance(definition, DatasetDefinition):
            return self.ready.cached(definition) is not None
        return self._gathering(definition).is_here()

    def discard_spoiled(self, definition: AnyDefinition) -> bool:
        """Throw away what of a dataset in the cache was written to by somebody; whether there was any."""
        if isinstance(definition, DatasetDefinition):
            return self.ready.drop(definition) > 0
        return self._gathering(definition).discard_spoiled()

    def cached_bytes(self, definition: AnyDefinition) -> int:
        """Bytes of the cache that a dataset takes, those that it shares with others included."""
        if isinstance(definition, DatasetDefinition):
            folder = folder_of(definition)
            return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
        known = self.definitions.content(definition)
        kept = [f for f in known.files if not f.local and content.is_kept(f.sha256, f.size)] if known else []
        return sum({f.sha256: f.size for f in kept}.values())

    def missing_values(self, definition: AnyDefinition) -> dict[str, str]:
        """Environment variables that a fetch of it would need and has no value for; the datastore that names each, or
        an empty text."""
        if isinstance(definition, DatasetDefinition):
            return {}
        values = self.datastores.values
        needed = {name: "" for source in definition.sources for name in variables_in([source])}
        for source in definition.sources:
            if data_paths.scheme_of(source) == data_paths.DATASTORE:
                store = self.datastores.get(data_paths.datastore_of(source))
                needed |= dict.fromkeys(store.variables, store.name)
        missing = {name: store for name, store in needed.items() if name not in values}
        return missing if missing and not self.is_here(definition) else {}

    def substitutions(self, definition: AnyDefinition) -> list[Substitution]:
        """What is had from elsewhere than its sources say, by the table of addresses that no longer answer."""
        if isinstance(definition, DatasetDefinition):
            return []
        gone = [known for known in map(self.known.find, definition.sources) if known is not None and known.gone]
        folders: dict[tuple[str, str, str], int] = {}
        for known in gone:
            key = (known.address.rpartition("/")[0], known.dataset, known.reason)
            folders[key] = folders.get(key, 0) + 1
        return [
            Substitution(
                "data", f"{folder} ({count} file{'s' if count > 1 else ''})", f"{dataset} (ready-made)", reason
            )
            for (folder, dataset, reason), count in folders.items()
        ]

    def _gathering(self, definition: FileDatasetDefinition) -> Gathering:
        return Gathering(
            definition, self.definitions, self.ready, lambda stop: self.files(definition, stop), self.datastores
        )
