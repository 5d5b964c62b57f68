"""Ending a run: its shim is asked, then the engine; it is over when the engine says that nothing of the container runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence

import docker.errors

from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker import seeing
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.plan import ROOT
from jupyter_mltrain.computes.docker.removing import remove
from jupyter_mltrain.core.compute import Handle, StopEvidence
from jupyter_mltrain.errors import DiskFull
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.stop import MARGIN

_STEP = 0.1
_DYING = 20.0
"""Seconds that the engine may take to end what it was told to kill."""


async def stop(connection: Connection, handle: Handle, grace: float) -> StopEvidence:
    """TERM to all processes, by the shim; after `grace` seconds KILL, by the shim; then to the container."""
    began = time.monotonic()
    sent, killed = list[str](), list[str]()
    seen = await connection.call(lambda client: seeing.look(client, handle))
    if seen.running:
        with contextlib.suppress(DiskFull):  # the signal is enough, with the grace of the launch
            await connection.call(lambda client: _ask(client, seen, grace))
        await connection.call(lambda client: _signal(client, _running(seen), "SIGTERM"))
        if not await _over(connection, handle, grace + MARGIN):
            sent = ["SIGTERM", "SIGKILL"]
            killed = _running(await connection.call(lambda client: seeing.look(client, handle)))
            await connection.call(lambda client: _signal(client, killed, "SIGKILL"))
            await _over(connection, handle, _DYING)
        seen = await connection.call(lambda client: seeing.look(client, handle))
    for made in [one.name for one in seen.containers if one.created]:
        await connection.call(lambda client, made=made: remove(client, made))
        seen = await connection.call(lambda client: seeing.look(client, handle))
    exits = [one["exit"] for one in seen.records.values() if "exit" in one]
    signals = dict.fromkeys(name for exit_ in exits for name in exit_.get("stop_signals", ()))
    ended = [name for exit_ in exits for name in exit_.get("ended_processes", ())]
    left = _running(seen)
    ended += [f"container {name}" for name in killed if name not in left]
    return StopEvidence(
        signals=tuple(dict.fromkeys([*signals, *sent])),
        ended=tuple(ended),
        remaining=tuple(f"container {name}" for name in left),
        seconds=round(time.monotonic() - began, 3),
        container=seen.words,
    )


def _ask(client: Client, seen: seeing.Seen, grace: float) -> None:
    """Say in the run folder that the run is to end, and after what grace."""
    entries = [
        Entry(f"r{rank}.stop.json", data=json.dumps({"grace": grace}).encode(), mode=0o644)
        for rank in seen.records
        if "exit" not in seen.records[rank]
    ]
    with contextlib.suppress(docker.errors.NotFound):
        client.put_archive(_running(seen)[0], f"{ROOT}/shim", archive(entries))


def _running(seen: seeing.Seen) -> list[str]:
    return [one.name for one in seen.containers if one.running]


def _signal(client: Client, containers: Sequence[str], name: str) -> None:
    """A signal to the main process of each; one that runs no more is no error."""
    for container in containers:
        with contextlib.suppress(docker.errors.APIError):
            client.unpause(container)
        try:
            client.kill(container, name)
        except docker.errors.APIError as error:
            if error.status_code not in (404, 409):
                raise


async def _over(connection: Connection, handle: Handle, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        found = await connection.call(lambda client: seeing.states(client, handle))
        if not any(one.running for one in found):
            return True
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_STEP)
