"""Files to and from the place of a run as a tar stream, for engines that share no folder with it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tarfile


def unpack(folder: str) -> None:
    """Extract the archive on standard input into `folder`; names that lead out of it are refused."""
    os.makedirs(folder, exist_ok=True)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            _check(member)
            archive.extract(member, folder, set_attrs=not member.isdir(), **_FILTER)


def pack(folder: str, *names: str) -> None:
    """Write the entries `names` of `folder` (those that exist) to standard output, regular files, folders and links."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.lexists(path):
                archive.add(path, arcname=name, filter=_sendable)


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


_FILTER = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}


def _check(member: tarfile.TarInfo) -> None:
    parts = member.name.split("/")
    if os.path.isabs(member.name) or ".." in parts or not (member.isreg() or member.isdir() or member.issym()):
        raise ValueError(f"not taken from an archive: {member.name!r}")


def _sendable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member if member.isreg() or member.isdir() or member.issym() else None
