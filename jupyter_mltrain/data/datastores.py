"""The datastores of a workspace, one readable file each; and which place a dataset's source means."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jupyter_mltrain.cache import disk_errors, write_whole
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.datastore import DEFAULT, DatastoreDefinition, check_datastore, fill
from jupyter_mltrain.data.places import DriverPlace, LocalPlace, Place, WebPlace
from jupyter_mltrain.errors import ConflictError, DatastoreNotFound, UserErrorException

_LOCAL = frozenset({"", "file", "local"})


class Datastores:
    """Definitions below `folder`; `default` is the folder of the one that is always there."""

    def __init__(self, folder: Path, default: Path) -> None:
        self._folder = folder
        self._default = default
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()

    def list(self) -> list[DatastoreDefinition]:
        """All, by name, the default first."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        return [self.get(DEFAULT), *(self.get(name) for name in names if name != DEFAULT)]

    def get(self, name: str) -> DatastoreDefinition:
        """Raises `DatastoreNotFound` with the nearest names."""
        if name == DEFAULT:
            return DatastoreDefinition(DEFAULT, str(self._default))
        path = self._folder / f"{name}.json"
        if "/" in name or not path.is_file():
            raise DatastoreNotFound.of(name, [DEFAULT, *(path.stem for path in self._folder.glob("*.json"))])
        return DatastoreDefinition.from_json(json.loads(path.read_text("utf-8")))

    def register(self, definition: DatastoreDefinition) -> DatastoreDefinition:
        """Store a definition, in place of one of that name. Raises `InvalidName`, and `UserErrorException` for a secret
        that is written out or a scheme that nothing here knows."""
        check_datastore(definition)
        if definition.name == DEFAULT:
            raise ConflictError("The datastore 'default' is the workspace's own folder.", mend="Choose another name.")
        if _scheme(definition.url) in _LOCAL:
            definition = DatastoreDefinition(definition.name, _local(definition.url), definition.options)
            if not Path(definition.url).is_absolute():
                raise UserErrorException(f"The path {definition.url!r} of a datastore must be absolute.")
        elif _scheme(definition.url) not in data_paths.WEB and all(v in self.values for v in definition.variables):
            self._place(definition)
        with disk_errors(self._folder, "storing a datastore"):
            text = json.dumps(definition.to_json(), indent=1, ensure_ascii=False)
            write_whole(self._folder / f"{definition.name}.json", text.encode())
        return definition

    def remove(self, name: str) -> None:
        """Forget a definition; its files stay where they are."""
        self.get(name)
        if name == DEFAULT:
            raise ConflictError("The datastore 'default' is the workspace's own folder.")
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def lend(self, values: Mapping[str, str]) -> None:
        """Values of environment variables that definitions name; in memory only."""
        with self._lock:
            self._values |= values

    @property
    def values(self) -> Mapping[str, str]:
        """What `${NAME}` stands for: what clients lent, else this process's own variables."""
        with self._lock:
            return {**os.environ, **self._values}

    def locate(self, source: str) -> Located:
        """The place that a source means. Raises `DatastoreNotFound`, `UserErrorException`, `NotReached`."""
        scheme = data_paths.scheme_of(source)
        if scheme != data_paths.DATASTORE:
            return self._locate(DatastoreDefinition("", source), source, "")
        name, _, path = source.partition("://")[2].partition("/")
        definition = self.get(name)
        joined = f"{definition.url.rstrip('/')}/{data_paths.clean(path)}"
        if path.endswith("/") or not path:
            joined = f"{joined.rstrip('/')}/"
        located = self._locate(DatastoreDefinition(name, joined, definition.options), source, name)
        if name == DEFAULT:
            self._default.mkdir(parents=True, exist_ok=True)
        return located

    def _locate(self, definition: DatastoreDefinition, source: str, group: str) -> Located:
        scheme, url = _scheme(definition.url), definition.url
        place = self._place(definition)
        if isinstance(place, LocalPlace):
            return Located(place, _local(url), source, group)
        if isinstance(place, DriverPlace):
            stripped = place.strip(fill(url, self.values))
            slash = "/" if url.endswith("/") and not stripped.endswith("/") else ""
            return Located(place, stripped + slash, source, group or scheme)
        return Located(place, url, source, group)

    def _place(self, definition: DatastoreDefinition) -> Place:
        scheme = _scheme(definition.url)
        if scheme in _LOCAL:
            return LocalPlace()
        if scheme in data_paths.WEB:
            return WebPlace(lambda address: fill(address, self.values))
        values = self.values
        secrets = tuple(values[name] for name in definition.variables if len(values.get(name, "")) >= 4)
        return DriverPlace(scheme, fill(definition.options, values), secrets)


@dataclass(frozen=True)
class Located:
    """A source with the place that has it. `path`: the place's own, may be a pattern, ends in `/` where a folder was
    said; `group`: the datastore, or the scheme of a driver's URL, or empty."""

    place: Place
    path: str
    source: str
    group: str


def _scheme(url: str) -> str:
    return data_paths.scheme_of(url)


def _local(url: str) -> str:
    return unquote(urlsplit(url).path) if _scheme(url) else url
