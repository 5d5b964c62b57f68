"""The user's cache (built environments, datasets): where it is, one writer at a time, whole files or none.

Shared by all workspaces and processes of a user; content-addressed, so that anything in it can be made again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import platformdirs

from jupyter_mltrain.errors import DiskFull, MLTrainError, NoFileLocks, NotWritable

CACHE_VARIABLE = "JUPYTER_MLTRAIN_CACHE"
POLL_SECONDS = 0.1


class Stopped(Exception):  # noqa: N818 - not an error: the caller asked for it
    """The caller's `cancelled` event was set; what was under way is undone or can be continued later."""


def cache_root() -> Path:
    """The user's cache folder: `$JUPYTER_MLTRAIN_CACHE`, else the platform's place for caches."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("jupyter-mltrain"))


@contextlib.contextmanager
def exclusive(
    path: Path, cancelled: threading.Event | None = None, while_waiting: Callable[[], None] | None = None
) -> Generator[int, None, None]:
    """Hold the lock file `path` against all other threads and processes; yields its descriptor.

    A child given that descriptor (`pass_fds`) holds the lock too, so that what it writes stays guarded when this
    process is killed. `while_waiting` is called about ten times a second as long as someone else holds it. Raises
    `Stopped` if `cancelled` is set meanwhile. The file stays: removing a lock file opens a race.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor, path):
            if while_waiting is not None:
                while_waiting()
            if cancelled is None:
                time.sleep(POLL_SECONDS)
            elif cancelled.wait(POLL_SECONDS):
                raise Stopped
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise NoFileLocks(
                f"The file system of {path.parent} has no file locks.",
                mend=f"Put the cache on a local disk: set {CACHE_VARIABLE}.",
            ) from error
        raise
    return True


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash at any time, finds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_tree(folder: Path) -> None:
    """Delete a folder of the cache, read-only parts included. A folder that is not there is no error."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():  # something in it went while it was deleted
            remove_tree(folder)
    except PermissionError:
        for inner, _, _ in os.walk(folder):
            Path(inner).chmod(0o700)
        shutil.rmtree(folder)


@contextlib.contextmanager
def disk_errors(folder: Path, doing: str) -> Generator[None, None, None]:
    """Turn "no space" and "may not write" of the block into `DiskFull` and `NotWritable`, with figures and the mend."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise disk_full(folder, doing) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise not_writable(folder, doing) from error
        raise


def disk_full(folder: Path, doing: str, needed: int | None = None) -> MLTrainError:
    """The error for a full disk; `needed`: bytes that would do, if known."""
    usage = shutil.disk_usage(_existing(folder))
    wanted = f", about {_size(needed)} needed" if needed else ""
    return DiskFull(
        f"No space left on the disk of {folder} while {doing}: {_size(usage.free)} of {_size(usage.total)} free{wanted}.",
        mend=f"Free some space, or put the cache on another disk: set {CACHE_VARIABLE}.",
        free=usage.free,
        total=usage.total,
        needed=needed,
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def not_writable(folder: Path, doing: str) -> MLTrainError:
    """The error for a folder that may not be written."""
    return NotWritable(
        f"May not write in {folder} while {doing}.",
        mend=f"Give yourself the right to write there, or put the cache elsewhere: set {CACHE_VARIABLE}.",
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
