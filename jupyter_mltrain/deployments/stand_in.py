"""Answers 503 on an endpoint's socket while it has no server, so that nobody waits for a process that takes long."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

HOLD = 5.0
"""Seconds that connections wait in the socket before that: most crashes are over by then, and nobody notices."""
LINGER = 2.0
"""Seconds that a client has for the rest of its request: closed before that is read, it might not see the answer."""
_MOST = 64 << 20
_CLIENTS = 8
_LOOK = 0.1


class StandIn:
    """Takes connections of `listening` until `stop`; each is answered once and closed. `seconds`: when to come again."""

    def __init__(self, listening: socket.socket, name: str, seconds: int) -> None:
        body = json.dumps({"error": f"The endpoint {name} is being started. Try again in some seconds."}).encode()
        self._answer = (
            f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: {max(1, seconds)}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        ).encode() + body
        self._listening = listening
        self._over = threading.Event()
        self._clients = ThreadPoolExecutor(_CLIENTS, "client")
        self._thread = threading.Thread(target=self._run, daemon=True, name="stand-in")
        self._thread.start()

    def stop(self) -> None:
        """Take no more; returns when that is so. Those taken before are still answered."""
        self._over.set()
        self._thread.join()
        self._clients.shutdown(wait=False)

    def _run(self) -> None:
        while not self._over.is_set():
            readable, _, _ = select.select([self._listening], [], [], _LOOK)
            if not readable:
                continue
            # A server that shares the socket made it one that does not block.
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client, _ = self._listening.accept()
                self._clients.submit(self._one, client)

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(LINGER)
            read = len(client.recv(1 << 16))
            client.sendall(self._answer)
            client.shutdown(socket.SHUT_WR)
            while 0 < read < _MOST:
                more = len(client.recv(1 << 16))
                read = read + more if more else 0
