"""Where the files of datasets lie: a local folder, a web server, or what one of fsspec's drivers reaches."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from jupyter_mltrain.cache import Stopped, disk_errors
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.data.sources import NotReached, Transfer
from jupyter_mltrain.data.web import Missing, ask, download, open_address
from jupyter_mltrain.errors import MLTrainError, UserErrorException

ANSWER_SECONDS = 15.0
"""How long a server may take to say what an address has."""
PAUSE_SECONDS = 0.5
"""Before a cut download is continued; doubled each time."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file at a place: its path there; bytes, None where the place does not say; and a `stamp` that changes when the
    content does (ETag, times), empty where the place has none."""

    path: str
    size: int | None
    stamp: str


Enter = Callable[[str], bool]
"""Whether a folder, by its path at the place, is worth looking into."""


def _any_folder(_: str) -> bool:
    return True


class Place(Protocol):
    """A file system of one kind. Calls block; they raise `NotReached` with the reason, in one line."""

    @property
    def local(self) -> bool:
        """Whether its files are used where they are."""
        ...

    def look(self, path: str) -> Entry | Literal["folder"] | None:
        """What is at `path`."""
        ...

    def walk(self, folder: str, enter: Enter = _any_folder) -> Iterator[Entry]:
        """All files below a folder, as they come; of its folders those whose path `enter` takes."""
        ...

    def address(self, path: str) -> str:
        """What identifies the file for everybody, without secrets."""
        ...

    def name(self, path: str) -> str:
        """Who has it, as shown to users: a host."""
        ...

    def fetch(self, entry: Entry, part: Path, transfer: Transfer) -> None:
        """Get what `part` lacks of the file; what came stays when this raises."""
        ...


class LocalPlace:
    """Files of this machine; paths are absolute."""

    local = True

    def look(self, path: str) -> Entry | Literal["folder"] | None:
        try:
            found = os.stat(path)  # noqa: PTH116 - a text that may be no valid path
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise NotReached(f"{path}: {error.strerror}") from error
        if stat.S_ISDIR(found.st_mode):
            return "folder"
        return Entry(path, found.st_size, stamp_of(found)) if stat.S_ISREG(found.st_mode) else None

    def walk(self, folder: str, enter: Enter = _any_folder) -> Iterator[Entry]:
        """Pipes, sockets and devices are left out; links are followed, but never round in a circle."""
        yield from _walk(folder.rstrip("/") or "/", enter, frozenset())

    def address(self, path: str) -> str:
        return path

    def name(self, path: str) -> str:  # noqa: ARG002 - as the protocol has it
        return "this machine"

    def fetch(self, entry: Entry, part: Path, transfer: Transfer) -> None:
        with Path(entry.path).open("rb") as content:
            _copy(content, part, transfer)


def stamp_of(found: os.stat_result) -> str:
    """The stamp of a local file."""
    return str(found.st_mtime_ns)


def _walk(folder: str, enter: Enter, above: frozenset[tuple[int, int]]) -> Iterator[Entry]:
    try:
        here = os.stat(folder)  # noqa: PTH116 - one call per folder of many
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise NotReached(f"{folder}: {error.strerror}") from error
    inside = above | {(here.st_dev, here.st_ino)}
    for entry in found:
        with contextlib.suppress(FileNotFoundError):  # a link to nothing, a file that went
            seen = entry.stat()
            if stat.S_ISREG(seen.st_mode):
                yield Entry(entry.path, seen.st_size, stamp_of(seen))
            elif stat.S_ISDIR(seen.st_mode) and (seen.st_dev, seen.st_ino) not in inside and enter(entry.path):
                yield from _walk(entry.path, enter, inside)


@dataclass(frozen=True)
class WebPlace:
    """A web server: single files, for it has no listing. `fill` puts the values of `${NAME}` into an address."""

    fill: Callable[[str], str] = str
    local: bool = field(default=False, init=False)

    def look(self, path: str) -> Entry | Literal["folder"] | None:
        try:
            headers = ask(open_address(self.fill(path)), path, ANSWER_SECONDS, threading.Event())
        except Missing:
            return None
        length = headers.get("Content-Length", "")
        size = int(length) if length.isdigit() and not headers.get("Content-Encoding") else None
        return Entry(path, size, (headers.get("ETag") or headers.get("Last-Modified") or "").strip())

    def walk(self, folder: str, enter: Enter = _any_folder) -> Iterator[Entry]:  # noqa: ARG002 - as the protocol has it
        raise UserErrorException(
            f"{folder} cannot be listed: web servers have no folders.", mend="Give the address of each file."
        )

    def address(self, path: str) -> str:
        return path

    def name(self, path: str) -> str:
        return urlsplit(path).hostname or path

    def fetch(self, entry: Entry, part: Path, transfer: Transfer) -> None:
        what = entry.path.rpartition("/")[2]
        # Weak ETags promise no equal bytes, and may not be asked for so.
        same = "" if entry.stamp.startswith("W/") else entry.stamp
        source = self.name(entry.path)
        download(open_address(self.fill(entry.path)), part, what, source, transfer, pause=PAUSE_SECONDS, same=same)


class DriverPlace:
    """What an fsspec driver reaches. `protocol` is the URL's scheme, `options` are the driver's."""

    local = False

    def __init__(self, protocol: str, options: Mapping[str, Any], secrets: tuple[str, ...] = ()) -> None:
        self._protocol = protocol
        self._secrets = secrets
        self._fs = self._driver(dict(options))

    def _driver(self, options: dict[str, Any]) -> Any:
        fsspec = importlib.import_module("fsspec")
        known: Mapping[str, Any] = importlib.import_module("fsspec.registry").known_implementations
        if self._protocol not in {*known, *fsspec.available_protocols()}:
            raise UserErrorException(
                f"Nothing here knows addresses that begin with {self._protocol}://.",
                mend="Local paths, http and https, and fsspec's schemes are known: s3, gs, abfs, sftp, …",
            )
        try:
            made = fsspec.filesystem(self._protocol, **options)
        except ImportError as error:
            raise UserErrorException(
                f"Addresses that begin with {self._protocol}:// need a driver that is not installed: {error}.",
                mend="pip install 'jupyter-mltrain[data]' (s3, gs, abfs) beside the kernel, then run again.",
            ) from error
        except Exception as error:  # each driver has errors of its own: mapped here, at the edge
            raise self._told(error) from error
        made.invalidate_cache()  # drivers are kept, and with them what a folder held when it was last listed
        return made

    def look(self, path: str) -> Entry | Literal["folder"] | None:
        try:
            found = self._fs.info(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # see above
            raise self._told(error) from error
        return "folder" if found["type"] == "directory" else self._entry(found)

    def walk(self, folder: str, enter: Enter = _any_folder) -> Iterator[Entry]:
        try:
            for _, folders, files in self._fs.walk(folder, detail=True, on_error="raise"):
                for name in [name for name, found in folders.items() if not enter(str(found["name"]))]:
                    del folders[name]  # fsspec then does not go there
                for name in sorted(files):
                    if name:  # S3 shows a folder as a file without a name in itself
                        yield self._entry(files[name])
        except FileNotFoundError:
            return
        except (MLTrainError, NotReached):
            raise
        except Exception as error:  # see above
            raise self._told(error) from error

    def _entry(self, found: Mapping[str, Any]) -> Entry:
        stamps = (found.get(key) for key in ("ETag", "etag", "md5Hash", "last_modified", "LastModified", "mtime"))
        stamp = next((str(value) for value in stamps if value), "")
        size = found.get("size")
        return Entry(str(found["name"]), int(size) if size is not None else None, stamp)

    def address(self, path: str) -> str:
        return f"{self._protocol}://{path.lstrip('/')}"

    def name(self, path: str) -> str:
        return f"{self._protocol}://{path.lstrip('/').split('/')[0]}"

    def fetch(self, entry: Entry, part: Path, transfer: Transfer) -> None:
        try:
            with self._fs.open(entry.path, "rb") as content:
                _copy(content, part, transfer)
        except (MLTrainError, NotReached, Stopped):
            raise
        except Exception as error:  # see above
            raise self._told(error) from error

    def put(self, source: Path, path: str) -> None:
        """Write a file."""
        try:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(source), path)
        except Exception as error:  # see above
            raise self._told(error) from error

    def strip(self, url: str) -> str:
        """The driver's own path of a URL."""
        return str(self._fs._strip_protocol(url))  # noqa: SLF001 - fsspec's documented way for callers, by an odd name

    def _told(self, error: Exception) -> NotReached:
        said = " ".join(str(error).split()) or type(error).__name__
        return NotReached(f"{self._protocol}: {redact(said, self._secrets)[:300]}")


def _copy(content: Any, part: Path, transfer: Transfer) -> None:
    have = part.stat().st_size if part.exists() else 0
    with disk_errors(part.parent, "fetching data"), part.open("ab") as out:
        if have:
            content.seek(have)
        while True:
            try:
                block = content.read(_BLOCK)
            except OSError as error:  # the source's, not the disk's
                raise NotReached(str(error.strerror or error)) from error
            if not block:
                break
            if transfer.cancelled.is_set():
                raise Stopped
            out.write(block)
            have += len(block)
            transfer.report(have)
        out.flush()
        os.fsync(out.fileno())
