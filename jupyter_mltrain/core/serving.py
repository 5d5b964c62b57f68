"""An endpoint's server on an engine with containers: what is asked of the engine, and what it tells.

On this machine a process beside the endpoint's keeper plays the server: it takes the connections and passes them on to
where the server is (`deployments.relay`). To the keeper it is a server like any other.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

REVISION = "/mltrain/endpoint"
"""In a container: `app/`, `inject/` and `serve.json` of the revision, read-only."""
START = "/mltrain/start"
"""In a container: what this one server says (`ready.json`, `failure.json`), its keys and its home; its own."""
PORT = 8500
"""In a container: where our server listens."""
KEYS = "keys.json"


@dataclass(frozen=True)
class ServingOrder:
    """A revision of an endpoint as an engine is asked for it.

    `engine`, `settings`: how to reach it from any process (`computes.load`). `endpoint`: the endpoint's id, unique among
    all workspaces. `image`: exact. `argv` and `env` hold paths in the container; `port`: where it listens there;
    `ready`: a path that answers 200 when it can serve. `files`: the folders and files below `REVISION`, by name there,
    as paths here. `stock`: the name of the model where the image has a server of its own, TensorFlow Serving's: then
    there is no `argv`. `workspace`: the id of whose it is. `uses`: paths in the container of the environments that it uses.
    """

    engine: str
    settings: Mapping[str, Any]
    endpoint: str
    revision: int
    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    files: Mapping[str, str]
    uses: tuple[str, ...] = ()
    port: int = PORT
    ready: str = "/"
    stock: str = ""
    workspace: str = ""
    memory_bytes: int | None = None
    cpus: float | None = None
    shm_size: str = ""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ServingOrder:
        """The order that `to_json` wrote."""
        given = {**raw, "argv": tuple(raw["argv"]), "uses": tuple(raw["uses"])}
        return cls(**cast("dict[str, Any]", given))


@dataclass(frozen=True)
class Ended:
    """How a server's container ended. `code`: None where nobody knows it; `gone`: somebody removed it."""

    code: int | None
    out_of_memory: bool = False
    gone: bool = False


class Serving(Protocol):
    """One server on an engine. All calls block, come from any thread, and raise `EngineUnreachable` while the engine does
    not answer, `EngineError` for what it refuses."""

    name: str
    """Of its container."""
    where: str
    """Which engine, for people."""

    def begin(self, keys: bytes, log: Callable[[str], None]) -> None:
        """Bring it to run, in place of what an attempt before left of it."""
        ...

    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        ...

    def follow(self, say: Callable[[str], None]) -> None:
        """Pass on the lines that it has not said yet; returns when there are no more for now, at its end or sooner."""
        ...

    def read(self, name: str) -> bytes:
        """The small file `name` of its `START` folder; empty where there is none."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replace that file, readable for the server alone."""
        ...

    def dial(self) -> socket.socket:
        """A connection to its port. Raises OSError, too."""
        ...

    def drain(self) -> None:
        """Tell it to end when its clients are done. One that runs no more is no error."""
        ...

    def memory(self) -> int:
        """Bytes that it holds; 0 where the engine does not say."""
        ...

    def end(self) -> None:
        """End and remove it, with all that is its own. Idempotent."""
        ...


@runtime_checkable
class ServingHost(Protocol):
    """What an engine has beside `Compute` that runs endpoints' servers."""

    @property
    def publishes(self) -> bool:
        """Whether a server listens for its whole container: the port is one of the loopback of the engine's host."""
        ...

    def belongs_to(self, workspace: str) -> None:
        """Whose engine it is, by its id: said before it is used, so that what it makes carries it."""
        ...

    async def find_image(self, name: str, log: Callable[[str], None], progress: Callable[[str], None]) -> str:
        """The exact image of that name there, pulled if it has to be. Raises `EngineError` where it cannot be had."""
        ...

    def reach(self) -> Mapping[str, Any]:
        """Settings with which any process of this user on this machine makes the same engine; no secrets."""
        ...

    def serving(self, order: ServingOrder, start: str) -> Serving:
        """The server of that order named `start` (`3-1`). Asks nobody."""
        ...

    def clear_endpoint(self, endpoint: str, keep: Collection[str] = ()) -> list[str]:
        """Remove what is there of an endpoint but for the servers named `keep` (their `start`) and what these use; returns
        the names of what is left that should not be. Blocks. Raises `EngineUnreachable`."""
        ...
