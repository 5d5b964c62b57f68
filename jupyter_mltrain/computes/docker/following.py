"""A run's streams: by the shim's verb `follow` while its container runs, out of its folder what is left then. Blocking."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from posixpath import basename

import docker.errors

from jupyter_mltrain.computes.docker import seeing
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.plan import ROOT, shim
from jupyter_mltrain.computes.docker.talking import OUT, Pump, execute
from jupyter_mltrain.core.compute import Frame, Handle
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.frames import CHUNK, FrameError, Parser

_GONE = (404, 409)
"""No container, or one that does not run (any more)."""
_DYING = 5.0
_TRIES = 3
_STEP = 0.05


def follow(client: Client, handle: Handle, offsets: Mapping[str, int], pump: Pump[Frame]) -> None:
    """Everything from `offsets` on, to the end of the run. Raises `EngineUnreachable` where it was cut."""
    at, tries = dict(offsets), 0
    found = seeing.states(client, handle)
    while running := [one.name for one in found if one.running]:
        began = dict(at)
        # All containers have the streams of all. Where the first ends before others, the next one sees the rest.
        followed = running[0]
        if _live(client, handle, followed, at, pump):
            return
        tries = tries + 1 if at == began else 0
        # The end of a container takes all in it along, who follows too, before the engine knows of it: a busy one, late.
        until = time.monotonic() + _DYING
        while True:
            found = seeing.states(client, handle)
            if followed not in [one.name for one in found if one.running]:
                break
            if time.monotonic() > until:
                if tries >= _TRIES:
                    raise EngineUnreachable("The stream of the run was cut.")
                break
            time.sleep(_STEP)
    _rest(client, handle, found, at, pump)


def _live(client: Client, handle: Handle, container: str, at: dict[str, int], pump: Pump[Frame]) -> bool:
    """What comes while the container runs; whether it was all."""
    parser = Parser()
    command = [*shim(handle["python"]), "follow", ROOT, json.dumps(at), "--leash"]
    try:
        talk, _ = execute(client, container, command, stdin=True)
    except docker.errors.APIError as error:
        # Between the two requests of an exec the container may end: then the engine says so with a 500.
        if error.status_code in _GONE or "is not running" in str(error.explanation):
            return False
        raise
    try:
        pump.owns(talk.close)
        for output, data in talk.pieces():
            if output != OUT:
                continue
            for piece in parser.feed(data):
                at[piece.name] = piece.offset + len(piece.data)
                pump.put(Frame(piece.name, piece.offset, piece.data))
    except FrameError:
        return False  # in place of frames, the engine's words about a container that ends just now
    finally:
        pump.owns(lambda: None)
        talk.leave()
    return parser.ended


def _rest(
    client: Client, handle: Handle, found: Sequence[seeing.Container], at: dict[str, int], pump: Pump[Frame]
) -> None:
    """What the streams hold beyond `at`, now that nobody writes to them."""

    def send(container: str) -> None:
        with (
            seeing.taken(client, container, f"{ROOT}/streams") as source,
            tarfile.open(fileobj=source, mode="r|") as members,
        ):
            for member in members:
                content = members.extractfile(member) if member.isreg() else None
                name, offset = basename(member.name), 0
                while content is not None and (data := content.read(CHUNK)):
                    skip = min(len(data), max(0, at.get(name, 0) - offset))
                    offset += len(data)
                    if skip < len(data):
                        at[name] = offset
                        pump.put(Frame(name, offset - len(data) + skip, data[skip:]))

    try:
        seeing.of_folder(client, handle, found, send)
    except docker.errors.NotFound:
        return  # nothing of the run is there (any more)
    except tarfile.ReadError as error:
        raise EngineUnreachable("The connection was lost while the run's streams were read.") from error
