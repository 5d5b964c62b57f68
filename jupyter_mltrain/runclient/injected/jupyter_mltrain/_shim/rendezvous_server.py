"""Where Horovod's processes find each other: Horovod's own server.

    python rendezvous_server.py FOLDER ADDRESS PORT NODES

NODES are the numbers of ranks of each node, as JSON. Run by the environment's interpreter, which has Horovod. It says `ready`
on standard output, leaves a file `r<rank>.joined` in FOLDER for each rank that comes, and ends with who started it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1


def serve(folder: str, address: str, port: int, nodes: Any) -> None:
    from horovod.runner.common.util.hosts import SlotInfo
    from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

    size = sum(nodes)

    class Handler(RendezvousHandler):
        def do_PUT(self) -> None:  # noqa: N802 - the name is the server's
            scope, _, key = self.path.strip("/").partition("/")
            rank = re.match(r"\d+", key)
            if scope.startswith("global") and rank and int(rank.group()) < size:
                with open(os.path.join(folder, f"r{int(rank.group())}.joined"), "w"):
                    pass
            super().do_PUT()

    server = RendezvousHTTPServer((address, port), Handler, 0)
    places = [(node, local, count) for node, count in enumerate(nodes) for local in range(count)]
    server.init(
        [
            SlotInfo(f"node{node}", rank, local, node, size, count, len(nodes))
            for rank, (node, local, count) in enumerate(places)
        ]
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose modules have names that others have too
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
