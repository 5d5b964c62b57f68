"""Files of a run: to and from its place as a tar stream (for engines that share no folder with it), and deletion."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile


def unpack(folder: str) -> None:
    """Make `folder` from the archive on standard input, whole or not at all; does nothing where it is already. Names that
    lead out of it are refused."""
    if os.path.exists(folder):
        return
    partial = f"{folder}.{os.getpid()}.partial"
    os.makedirs(partial)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            _check(member)
            archive.extract(member, partial, set_attrs=not member.isdir(), **_FILTER)
    try:
        os.rename(partial, folder)
    except OSError:
        if not os.path.isdir(folder):
            raise
        delete(partial)  # somebody else was quicker


def pack(folder: str, *names: str) -> None:
    """Write the entries `names` of `folder` (those that exist) to standard output: regular files, folders and links."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.lexists(path):
                keep_what_links_reach(path, folder)
                archive.add(os.path.realpath(path), arcname=name, filter=_sendable)


def remove(folder: str, *names: str) -> None:
    """Delete the entries `names` of `folder`; what is not there is no error."""
    for name in names:
        delete(os.path.join(folder, name))


def delete(path: str) -> None:
    """Delete a file or tree, also one whose folders a script made read-only."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.chmod(path, stat.S_IRWXU)
        for parent, folders, _ in os.walk(path):
            for name in folders:
                folder = os.path.join(parent, name)
                if not os.path.islink(folder):  # chmod would reach what it points to
                    os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def keep_what_links_reach(source: str, work: str) -> None:
    """Make links out of `source` to things elsewhere in `work` those things: `work` goes away, `source` stays."""
    top, inside = os.path.realpath(work), os.path.realpath(source)
    for parent, folders, files in os.walk(source):
        for name in folders + files:
            link = os.path.join(parent, name)
            if not os.path.islink(link):
                continue
            reached = os.path.realpath(link)
            # A link to a folder that holds it would have no end as a copy.
            holds_it = _within(os.path.realpath(parent), reached)
            if os.path.exists(reached) and _within(reached, top) and not _within(reached, inside) and not holds_it:
                os.unlink(link)
                copy(reached, link)


def copy(source: str, target: str) -> None:
    """Copy a file or tree in bounded memory. A link at the top is followed, links below stay links; pipes and sockets are
    left out. Each file is whole or absent."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in sorted(os.listdir(source)):
            below, there = os.path.join(source, name), os.path.join(target, name)
            if not os.path.islink(below):
                copy(below, there)
            elif not os.path.lexists(there):
                os.symlink(os.readlink(below), there)
        shutil.copystat(source, target)
    elif os.path.isfile(source):
        partial = os.path.join(os.path.dirname(target), f".{os.getpid()}.partial")
        shutil.copyfile(source, partial)
        shutil.copystat(source, partial)
        os.replace(partial, target)


_FILTER = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _check(member: tarfile.TarInfo) -> None:
    parts = member.name.split("/")
    if os.path.isabs(member.name) or ".." in parts or not (member.isreg() or member.isdir() or member.issym()):
        raise ValueError(f"not taken from an archive: {member.name!r}")


def _sendable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member if member.isreg() or member.isdir() or member.issym() else None
