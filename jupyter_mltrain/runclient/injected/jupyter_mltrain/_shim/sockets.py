"""TCP sockets as /proc shows them: who listens at a port, and who has come to others."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Iterable, Iterator, NamedTuple

from . import processes

_ESTABLISHED, _LISTENS = "01", "0A"


class _Socket(NamedTuple):
    port: int
    peer: int
    state: str
    inode: str


def taken(port: int) -> bool:
    """Whether nobody else can listen at a port of this machine, on any address, because somebody does."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of before do not take it
        try:
            one.bind(("", port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Who listens at a port, `pid name`; empty where that cannot be seen."""
    inodes = {one.inode for one in _sockets() if one.port == port and one.state == _LISTENS}
    for name in os.listdir("/proc") if inodes else ():
        if name.isdigit() and _has(int(name), inodes):
            found = processes.find(int(name))
            if found is not None:
                return str(found)
    return ""


def came(pids: Iterable[int], listens: int, others: Iterable[int]) -> bool:
    """Whether one of these processes listens at its port, or has a connection to one of the `others`'."""
    ports = set(others)
    inodes = {
        one.inode
        for one in _sockets()
        if (one.state == _LISTENS and one.port == listens) or (one.state == _ESTABLISHED and one.peer in ports)
    }
    return bool(inodes) and any(_has(pid, inodes) for pid in pids)


def _sockets() -> Iterator[_Socket]:
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            next(file, None)
            for line in file:
                fields = line.split()
                local, peer = (int(fields[n].rpartition(":")[2], 16) for n in (1, 2))
                yield _Socket(local, peer, fields[3], fields[9])


def _has(pid: int, inodes: set[str]) -> bool:
    links = {f"socket:[{inode}]" for inode in inodes}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{name}") in links:
                    return True
    except OSError:
        pass
    return False
