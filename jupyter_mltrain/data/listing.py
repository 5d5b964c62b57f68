"""From the sources of a dataset to its files: in order, bounded, each with its path in the dataset."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.data.datastores import Datastores, Located
from jupyter_mltrain.data.known import KnownFile, KnownFiles
from jupyter_mltrain.data.places import Entry, LocalPlace, Place, WebPlace
from jupyter_mltrain.data.sources import NotReached
from jupyter_mltrain.errors import PathNotFound, Unreachable, UserErrorException

MOST_FILES = 100_000
"""Files of a dataset that are listed one by one; a plain local folder may hold more."""
MOST_SEEN = 1_000_000
"""Files that a pattern is held against before it is given up."""


@dataclass(frozen=True)
class Found:
    """A file of a dataset: its path in it, and where it lies. `known`: what it held, if its own host is not asked."""

    path: str
    place: Place
    entry: Entry
    known: KnownFile | None = None


@dataclass(frozen=True)
class _Part:
    """What one source gives: files, and `kind` of the source: file, folder or pattern. `base` is what lies before its
    files' own paths."""

    located: Located
    kind: str
    base: str
    files: tuple[tuple[Entry, KnownFile | None], ...]


def list_files(
    sources: Sequence[str],
    datastores: Datastores,
    known: KnownFiles,
    cancelled: threading.Event | None = None,
    most: int = MOST_FILES,
) -> list[Found]:
    """The files of `sources`, by their paths in the dataset.

    Raises `PathNotFound` for a source that matches nothing, `Unreachable` naming the one that cannot be asked,
    `UserErrorException` for more than `most` files, for two that would have the same path, and for what has no listing.
    """
    stop = cancelled or threading.Event()
    bounds = _Bounds(most, stop)
    with ThreadPoolExecutor(min(8, max(1, len(sources))), "list data") as pool:
        parts = list(pool.map(lambda source: _part(source, datastores, known, bounds), sources))
    found: dict[str, Found] = {}
    for path, one in _placed(parts):
        other = found.setdefault(path, one)
        if other.place.address(other.entry.path) != one.place.address(one.entry.path):
            raise UserErrorException(
                f"{one.entry.path} and {other.entry.path} would both stand at {path!r} in the dataset.",
                mend="Make two datasets of them.",
            )
    return [found[path] for path in sorted(found)]


def plain_folder(sources: Sequence[str], datastores: Datastores) -> str | None:
    """The local folder that a dataset is, if it is that and nothing else."""
    if len(sources) != 1 or data_paths.scheme_of(sources[0]) not in {"", "file", "local", data_paths.DATASTORE}:
        return None
    located = datastores.locate(sources[0])
    if not isinstance(located.place, LocalPlace) or located.place.look(located.path) != "folder":
        return None
    return located.path.rstrip("/") or "/"


class _Bounds:
    """Counts for all sources together."""

    def __init__(self, most: int, cancelled: threading.Event) -> None:
        self._most, self._cancelled = most, cancelled
        self._seen = self._taken = 0

    def watch(self, entries: Iterable[Entry], source: str, pattern: re.Pattern[str] | None) -> Iterator[Entry]:
        for entry in entries:
            self._seen += 1
            if self._cancelled.is_set():
                raise Stopped
            if pattern is None or pattern.match(entry.path):
                self._taken += 1
                yield entry
            if self._taken > self._most or self._seen > MOST_SEEN:
                what = f"{self._most:,} files" if self._taken > self._most else f"{MOST_SEEN:,} files to look at"
                raise UserErrorException(
                    f"{source} has more than {what}.",
                    mend="Give a narrower pattern; a local folder as a whole may have more, and is mounted as it is.",
                )


def _part(source: str, datastores: Datastores, known: KnownFiles, bounds: _Bounds) -> _Part:
    found = known.find(source)
    elsewhere = None
    if found is not None:
        entry = Entry(source, None, f"sha256:{found.sha256}")
        elsewhere = _Part(Located(WebPlace(), source, source, ""), "file", "", ((entry, found),))
        if found.gone:
            return elsewhere
    try:
        return _look(datastores.locate(source), found, bounds)
    except PathNotFound:
        if elsewhere is None:
            raise
        return elsewhere
    except NotReached as error:
        if elsewhere is not None:
            return elsewhere
        raise Unreachable(
            f"{source} cannot be reached: {error}.",
            mend="Check the address, the network and the proxy (`HTTPS_PROXY`), then try again.",
        ) from error


def _look(located: Located, known: KnownFile | None, bounds: _Bounds) -> _Part:
    place, path = located.place, located.path
    seen = place.look(path)
    if isinstance(seen, Entry):
        return _Part(located, "file", path.rpartition("/")[0], ((seen, known),))
    if seen == "folder":
        files = tuple((entry, None) for entry in bounds.watch(place.walk(path), located.source, None))
        if not files:
            raise PathNotFound(f"The folder {located.source} has no files.", mend="Check its name, or put files in it.")
        return _Part(located, "folder", path.rstrip("/"), files)
    if data_paths.is_pattern(located.source):
        return _match(located, bounds)
    raise PathNotFound(f"There is nothing at {located.source}.", mend="Check its spelling; patterns take *, ? and **.")


def _match(located: Located, bounds: _Bounds) -> _Part:
    from fsspec.utils import glob_translate  # noqa: PLC0415 - 130 ms that a service without patterns need not pay

    base = data_paths.base_of(located.path)
    try:
        pattern = re.compile(glob_translate(located.path.rstrip("/")))
    except (ValueError, re.error) as error:
        raise UserErrorException(f"The pattern {located.source} cannot be read: {error}.") from error
    exists = located.place.look(base or "/") == "folder"
    enter = _may_hold_matches(located.path.rstrip("/"))
    walked = bounds.watch(located.place.walk(base or "/", enter), located.source, pattern) if exists else ()
    files = tuple((entry, None) for entry in walked)
    if not files:
        raise PathNotFound(
            f"No file matches {located.source}.", mend="Check the pattern: `*` does not go into folders, `**/` does."
        )
    return _Part(located, "pattern", base, files)


def _may_hold_matches(pattern: str) -> Callable[[str], bool]:
    """Tells of a folder whether a match of the pattern can be below it: by its parts, as far as there is no `**`."""
    from fsspec.utils import glob_translate  # noqa: PLC0415 - see above

    parts = pattern.lstrip("/").split("/")
    fixed = parts.index("**") if "**" in parts else len(parts)
    expressions = [re.compile(glob_translate(part)) for part in parts[:fixed]]

    def may(folder: str) -> bool:
        names = folder.strip("/").split("/")
        if fixed == len(parts) and len(names) >= len(parts):
            return False
        return all(expression.match(name) for expression, name in zip(expressions, names, strict=False))

    return may


def _placed(parts: Sequence[_Part]) -> Iterator[tuple[str, Found]]:
    """Each file under its path in the dataset (the rules: `core.data_paths`)."""
    below = [part for part in parts if not _stands_by_url(part)]
    groups = {part.located.group for part in below}
    commons = {
        group: data_paths.common_folder([_anchor(part) for part in below if part.located.group == group])
        for group in groups
    }
    for part in parts:
        group, place = part.located.group, part.located.place
        for entry, known in part.files:
            if len(parts) == 1:
                # Of a single file its name stays, without a web address's query.
                path = (
                    entry.path.partition("?")[0].rpartition("/")[2]
                    if part.kind == "file"
                    else entry.path[len(part.base) :]
                )
            elif _stands_by_url(part):
                path = data_paths.path_of_url(place.address(entry.path))
            else:
                path = entry.path[len(commons[group]) :]
                path = f"{group}/{path}" if len(groups) > 1 and group else path
            path = data_paths.clean(path)
            yield path, Found(path, place, entry, known)


def _stands_by_url(part: _Part) -> bool:
    place = part.located.place
    by_datastore = data_paths.scheme_of(part.located.source) == data_paths.DATASTORE
    return isinstance(place, WebPlace) or not (isinstance(place, LocalPlace) or by_datastore)


def _anchor(part: _Part) -> str:
    """What `common_folder` takes: of a pattern something in its folder."""
    return f"{part.base}/*" if part.kind == "pattern" else part.located.path
