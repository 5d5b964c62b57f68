"""Which interface of this machine has an address: some libraries want its name, which only this machine knows."""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from typing import Mapping

_MARK = re.compile(r"<interface of ([^<>]+)>")
"""As in `core.ranks.interface_of`."""
_SIOCGIFADDR = 0x8915


def named(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with interfaces by their names; a variable is left out where this machine has none with that address."""
    found: dict[str, str] = {}
    for name, value in env.items():
        asked = _MARK.search(value)
        if asked is None:
            found[name] = value
            continue
        interface = _of(asked.group(1))
        if interface:
            found[name] = value.replace(asked.group(0), interface)
    return found


def _of(address: str) -> str:
    try:
        wanted = socket.gethostbyname(address)
    except OSError:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if _address(asking, name) == wanted:
                return name
    return ""


def _address(asking: socket.socket, name: str) -> str:
    """The IPv4 address of an interface; empty where it has none."""
    try:
        answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
    except OSError:
        return ""
    return socket.inet_ntoa(answer[20:24])
