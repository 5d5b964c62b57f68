"""What the keeper tells a server, over a Unix socket in the start's folder: one word, one line of JSON back.

    health   whether the event loop turns: {"ok", "draining", "requests", quantiles}
    accept   take connections from the shared listening socket
    pause    take no more (those that are open go on); `accept` takes them again
    drain    take no more, close each connection behind its next answer, then end
    socket   the listening socket itself, as a descriptor (for a keeper that comes after one that was killed)

In a thread, so that an event loop that is stuck is seen as that.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import socket
import threading
from typing import Any, Awaitable, Callable

Command = Callable[[], Awaitable[Any]]

PATIENCE = 10.0
"""Seconds that the event loop has for a command."""


class Control:
    """Answers on `folder/control.sock` with `commands`, run in `loop`."""

    def __init__(
        self, folder: str, commands: dict[str, Command], listening: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._commands, self._listening, self._loop = commands, listening, loop
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bind(self._socket, folder)
        self._socket.listen(16)
        threading.Thread(target=self._serve, daemon=True, name="control").start()

    def _serve(self) -> None:
        while True:
            client, _ = self._socket.accept()
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(PATIENCE)
            word = client.recv(64).strip().decode("ascii", "replace")
            descriptors = []
            if word == "socket":
                answer: Any = {"ok": True}
                descriptors = [self._listening]
            elif word in self._commands:
                answer = self._do(self._commands[word])
            else:
                answer = {"ok": False, "problem": f"no command {word!r}"}
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            client.sendmsg([json.dumps(answer).encode() + b"\n"], ancillary)

    def _do(self, command: Command) -> Any:
        future = asyncio.run_coroutine_threadsafe(_awaited(command), self._loop)
        try:
            return {"ok": True, **(future.result(PATIENCE) or {})}
        except BaseException as error:  # noqa: BLE001 - it is the answer
            return {"ok": False, "problem": f"{type(error).__name__}: {error}"}


async def _awaited(command: Command) -> Any:
    return await command()


def bind(listener: socket.socket, folder: str) -> None:
    """Bind to `folder/control.sock`, however long that path is: a Unix socket's address holds 108 bytes."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, "control.sock"))
        listener.bind(f"/proc/self/fd/{directory}/control.sock")
    finally:
        os.close(directory)


def ask(folder: str, word: str, seconds: float = PATIENCE) -> tuple[dict[str, Any], int | None]:
    """The answer of the server whose start's folder that is, and the descriptor that came with it. Raises OSError."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(seconds)
            client.connect(f"/proc/self/fd/{directory}/control.sock")
            client.sendall(word.encode() + b"\n")
            data, descriptor = b"", None
            while not data.endswith(b"\n"):
                part, ancillary, _, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(4))
                for _, _, raw in ancillary:
                    descriptor = array.array("i", raw[:4])[0]
                if not part:
                    raise ConnectionResetError("the server ended")
                data += part
    finally:
        os.close(directory)
    return json.loads(data), descriptor
