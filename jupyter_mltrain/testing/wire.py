"""A thin wire to another machine: run a command there, send bytes, receive bytes; and its faults, by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import IO, TypeVar

from jupyter_mltrain.errors import EngineError, EngineUnreachable

_T = TypeVar("_T")
CHUNK = 1 << 16


class Wire:
    """Runs commands "over there" (on this machine, in `there`), and carries their input and output.

    Faults, to be set at any time: `reachable = False` refuses every command and cuts open streams; `cut_after = n` ends the
    next stream after n bytes, as a lost connection would; `delay` waits so many seconds before each command and each piece
    of a stream.
    """

    def __init__(self, there: Path) -> None:
        self.there = there
        self.reachable = True
        self.cut_after: int | None = None
        self.delay = 0.0
        self.commands: list[list[str]] = []
        there.mkdir(parents=True, exist_ok=True)

    async def run(self, command: Sequence[str], *, give: Callable[[IO[bytes]], None] | None = None) -> bytes:
        """The output of `command`; `give` writes its input. Raises `EngineUnreachable`, or `EngineError` with what the
        command said when it fails."""
        return await self.take(command, lambda out: out.read(), give=give)

    async def take(
        self,
        command: Sequence[str],
        take: Callable[[IO[bytes]], _T],
        *,
        give: Callable[[IO[bytes]], None] | None = None,
    ) -> _T:
        """What `take` makes of the output of `command`, piece by piece."""
        await self._check()
        self.commands.append(list(command))
        return await asyncio.to_thread(self._talk, command, take, give)

    async def stream(self, command: Sequence[str]) -> AsyncIterator[bytes]:
        """The output of `command` as it comes; a connection that is lost raises `EngineUnreachable`."""
        await self._check()
        self.commands.append(list(command))
        left, self.cut_after = self.cut_after, None
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.there, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            while data := await process.stdout.read(CHUNK):
                await asyncio.sleep(self.delay)
                if left is not None and len(data) >= left:
                    yield data[:left]
                    raise EngineUnreachable("The connection was lost.")
                if not self.reachable:
                    raise EngineUnreachable("The other machine does not answer.")
                left = None if left is None else left - len(data)
                yield data
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _check(self) -> None:
        await asyncio.sleep(self.delay)
        if not self.reachable:
            raise EngineUnreachable("The other machine does not answer.", mend="Check the network, then wait.")

    def _talk(
        self, command: Sequence[str], take: Callable[[IO[bytes]], _T], give: Callable[[IO[bytes]], None] | None
    ) -> _T:
        with subprocess.Popen(
            command, cwd=self.there, env=_environment(), stdin=subprocess.PIPE if give else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            if give is not None:
                assert process.stdin is not None
                # A command that needs no input may be done before it was given.
                with contextlib.suppress(BrokenPipeError):
                    give(process.stdin)
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            taken = take(process.stdout)
            said = process.stderr.read()
        if process.returncode != 0:
            text = said.decode("utf-8", "replace").strip()
            raise EngineError(f"A command failed there: {text[-300:]}", code=process.returncode)
        return taken


def _environment() -> dict[str, str]:
    """The other machine's environment: nothing of this process's."""
    return {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8"}
