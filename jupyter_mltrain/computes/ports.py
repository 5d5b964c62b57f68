"""Free ports of this machine, for processes that are told of them before they listen there."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

from jupyter_mltrain.errors import EngineError

_LEAST, _MOST = 20_000, 32_000
"""Below those that the kernel gives to connections that go out: so nobody gets one of them by chance meanwhile."""


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens at, on any address. Raises `EngineError` where there are too few."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(range(_LEAST, _MOST), _MOST - _LEAST) if count else ():
            one = held.enter_context(socket.socket())
            try:
                one.bind(("", port))
            except OSError:
                one.close()
                continue
            found.append(port)
            if len(found) == count:
                return found
    if count:
        raise EngineError(f"The run needs {count} free ports from {_LEAST} to {_MOST}, and {len(found)} are.")
    return []
