"""What a run needs and what it made, as tar archives: for engines that share no files with the service.

Archives are made while they are sent and taken apart while they come, so that none is ever in memory. Blocking; engines
call it in a thread.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import join, normpath
from typing import IO

from jupyter_mltrain import runclient
from jupyter_mltrain.computes.workfolder import KEPT, blob, snapshot_files
from jupyter_mltrain.errors import EngineError, EngineUnreachable

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Entry:
    """One member of an archive: the file at `path` (a link is what it leads to), else a symbolic `link`, else `data`,
    else a folder."""

    name: str
    path: Path | None = None
    link: str | None = None
    data: bytes | None = None
    mode: int | None = None
    """Permissions; default: those of the file at `path`, 0600, of a folder 0700."""


def archive(entries: Iterable[Entry], owner: tuple[int, int] = (0, 0)) -> Iterator[bytes]:
    """The archive of `entries`, owned by user and group `owner`. Raises `EngineError` for a file that cannot be read."""
    for entry in entries:
        if entry.path is not None:
            yield from _file(entry, entry.path, owner)
        else:
            kind = tarfile.SYMTYPE if entry.link is not None else tarfile.REGTYPE
            kind = tarfile.DIRTYPE if entry.link is None and entry.data is None else kind
            mode = entry.mode if entry.mode is not None else 0o700 if kind == tarfile.DIRTYPE else 0o600
            data = entry.data or b""
            yield _header(entry.name, mode, owner, len(data), kind=kind, link=entry.link or "")
            yield data + bytes(-len(data) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(entry: Entry, path: Path, owner: tuple[int, int]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            seen = os.fstat(file.fileno())
            mode = stat.S_IMODE(seen.st_mode) if entry.mode is None else entry.mode
            yield _header(entry.name, mode, owner, left := seen.st_size, changed=int(seen.st_mtime))
            while left:
                data = file.read(min(left, _CHUNK))
                if not data:
                    raise EngineError(f"{path} became shorter while it was sent.", mend="Submit the run again.")
                left -= len(data)
                yield data
            yield bytes(-seen.st_size % tarfile.BLOCKSIZE)
    except OSError as error:
        # As it is, it would look like an error of the connection.
        raise EngineError(f"{path} cannot be sent: {error.strerror}.") from error


def _header(
    name: str,
    mode: int,
    owner: tuple[int, int],
    size: int,
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    changed: int = 0,
) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname, member.mtime = kind, mode, size, link, changed
    member.uid, member.gid = owner
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def of_client(folder: str = "") -> Iterator[Entry]:
    """The run client, with the shim in it."""
    top = runclient.folder()
    made: set[str] = set()
    for path in sorted(top.rglob("*.*")):
        if path.is_file():
            name = join(folder, path.relative_to(top).as_posix())
            yield from _parents(name, folder, made)
            yield Entry(name, path)


def of_work(record: Path, blobs: Path, links: Mapping[str, str], folder: str = "") -> Iterator[Entry]:
    """A run's working folder: the files of its snapshot, folders for its outputs, and `links` (place to path there).

    Raises `EngineError` for data that would stand on a file's place.
    """
    made = {join(folder, name) for name in KEPT}
    yield from (Entry(name) for name in sorted(made))
    files: set[str] = set()
    for path, sha256, mode in snapshot_files(record):
        name = join(folder, path.as_posix())
        files |= {name, *map(str, PurePosixPath(name).parents)}
        yield from _parents(name, folder, made)
        yield Entry(name, blob(blobs, sha256), mode=stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)
    for place, target in links.items():
        name = join(folder, place)
        if name in files:
            raise EngineError(
                f"The data cannot stand at {place!r} in the working folder: a file of the script's folder is there.",
                mend="Choose another path_on_compute.",
            )
        yield from _parents(name, folder, made)
        yield Entry(name, link=target)


def of_tree(data: Path) -> Iterator[Entry]:
    """The files of a dataset; links lead out of it, and are sent as what they lead to."""
    if data.is_file():
        yield Entry(data.name, data)
        return
    made: set[str] = set()
    for path in sorted(data.rglob("*")):
        if path.is_file():
            name = path.relative_to(data).as_posix()
            yield from _parents(name, "", made)
            yield Entry(name, path)


def _parents(name: str, top: str, made: set[str]) -> Iterator[Entry]:
    """Folders on the way to `name`: who unpacks would make them with an owner of its own."""
    for parent in reversed(list(map(str, PurePosixPath(name).parents))):
        if parent not in {".", top, *made} and (not top or parent.startswith(top + "/")):
            made.add(parent)
            yield Entry(parent)


class Unpacked:
    """What came of an archive: `links`, those in it by their place, which are not made here."""

    def __init__(self) -> None:
        self.links: dict[str, str] = {}
        self.refused: list[str] = []


def unpack(source: IO[bytes], into: Path, *, top: str) -> Unpacked:
    """Put the files and folders of an archive whose members all lie below the name `top` into `into`. Each file is whole
    or absent; what is there is replaced.

    Whoever wrote the archive is not trusted: what would lie elsewhere is refused, and so is all that is no file or
    folder. Raises `EngineUnreachable` for an archive that was cut.
    """
    found = Unpacked()
    try:
        with tarfile.open(fileobj=source, mode="r|") as members:
            for member in members:
                inner = _inside(member.name, top)
                if inner is None:
                    found.refused.append(member.name)
                elif member.issym():
                    found.links[inner] = member.linkname
                else:
                    _put(members, member, into, inner, top, found)
    except tarfile.ReadError as error:
        raise EngineUnreachable("The connection was lost while files were fetched.") from error
    return found


def _put(members: tarfile.TarFile, member: tarfile.TarInfo, into: Path, inner: str, top: str, found: Unpacked) -> None:
    target = into / inner
    linked = _inside(member.linkname, top) if member.islnk() else None
    if _through_link(into, target) or not (member.isdir() or member.isreg() or linked is not None):
        found.refused.append(member.name)
    elif member.isdir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        if linked is not None:
            _copy_of(into, into / linked, target, found, member.name)
            return
        content = members.extractfile(member)
        assert content is not None, "a regular file"
        _write(content, target, stat.S_IMODE(member.mode) & 0o755 | 0o600)


def _write(content: IO[bytes], target: Path, mode: int) -> None:
    partial = target.with_name(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            while data := content.read(_CHUNK):
                file.write(data)
        partial.chmod(mode)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _copy_of(into: Path, first: Path, target: Path, found: Unpacked, name: str) -> None:
    """A second name of a file that came before."""
    if _through_link(into, first) or first.is_symlink() or not first.is_file():
        found.refused.append(name)
        return
    with first.open("rb") as content:
        _write(content, target, stat.S_IMODE(first.stat().st_mode))


def _inside(name: str, top: str) -> str | None:
    """The path below `top` ("" for itself); None for what does not lie there."""
    if name.startswith("/") or ".." in name.split("/"):
        return None
    path = normpath(name)
    if path == top:
        return ""
    return path[len(top) + 1 :] if path.startswith(top + "/") else None


def _through_link(into: Path, target: Path) -> bool:
    """Whether a folder on the way to `target` is a link: it may lead anywhere."""
    between = [parent for parent in target.parents if parent != into and into in parent.parents]
    return any(parent.is_symlink() for parent in between)


def pieces(source: Iterator[bytes]) -> IO[bytes]:
    """A stream to read from what comes in pieces."""
    return io.BufferedReader(_Pieces(source), _CHUNK)


class _Pieces(io.RawIOBase):
    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = iter(source)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._source, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
