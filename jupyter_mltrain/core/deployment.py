"""An endpoint: a registered model that answers requests. What is asked for, what would run, and what is seen of it.

The service decides and keeps the record; an engine (`Deployer`) brings what a plan says to run, keeps it running without
the service, and reports. Names are those of the SDK's web services.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import WebserviceException

FORMAT = 1

SERVABLE = ("SavedModel", "Keras", "HDF5")
"""Formats of models (`core.model.Inspection`) that are served without an entry script."""

MEMORY_FLOOR_GB = {"TensorFlow": 0.9, "Keras": 0.9}
"""What the process of a framework needs before any model of size: with less it is ended before it answers. Measured:
TensorFlow 2.21 with an MNIST MLP peaks at 0.57 GB; the rest is room for requests (`python -m benchmarks serving`)."""

SCRIPT_FLOOR_GB = 0.2
"""The same for an entry script that loads no framework."""

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?")


def check_service_name(name: str) -> str:
    """`name`, or `WebserviceException` if the SDK would refuse it."""
    given: Any = name  # what a caller really gave
    if not (isinstance(given, str) and 3 <= len(name) <= 32 and _NAME.fullmatch(name)):
        raise WebserviceException(
            f"The service name {str(name)[:60]!r} is not allowed.",
            mend="Use 3 to 32 small letters, digits and '-'; begin with a letter, end with a letter or digit.",
        )
    return name


def service_name(text: str) -> str:
    """A service name made from a model's: `TF_MNIST.v2` → `tf-mnist-v2`."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"m-{plain}"
    return f"{plain}-model"[:32].rstrip("-") if len(plain) < 3 else plain[:32].rstrip("-")


def memory_of(asked: float | None, framework: str | None, *, script: bool) -> tuple[float | None, Substitution | None]:
    """The memory limit in GB for `asked`, and what is to be said where it had to be more. None: no limit."""
    floor = SCRIPT_FLOOR_GB if script else MEMORY_FLOOR_GB.get(framework or "", MEMORY_FLOOR_GB["TensorFlow"])
    if asked is None or asked >= floor:
        return asked, None
    reason = (
        "an entry script's process needs that much"
        if script
        else f"{framework or 'TensorFlow'} itself needs that much before any model (measured)"
    )
    return floor, Substitution("memory_gb", f"{asked:g}", f"{floor:g}", reason)


@dataclass(frozen=True)
class ServedModel:
    """A registered version that an endpoint holds. `file`: the last part of what was registered; empty for a folder
    whose name is `basename` all the same."""

    name: str
    version: int
    format: str
    basename: str
    content_hash: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class EndpointSpec:
    """One revision of an endpoint: everything that decides what its process is.

    `entry_script`: path of the script in the app's folder (`source/score.py`), None where the model's own signature
    answers. `cpu` and `memory_gb` are limits, None for none. `port`: None for one that is free, kept from then on.
    `target`: where its server is; `image`: an image there with a server of its own, in place of ours.
    """

    name: str
    revision: int
    models: tuple[ServedModel, ...]
    environment: str
    kind: str = "Local"
    entry_script: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    cpu: float | None = None
    memory_gb: float | None = None
    port: int | None = None
    target: str = "local"
    image: str | None = None
    created: float = 0.0
    substitutions: tuple[Substitution, ...] = ()
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> EndpointSpec:
        """The spec that `to_json` wrote. Unknown keys (written by a newer version) are left out."""
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in raw.items() if k in known}
        values["models"] = tuple(ServedModel(**m) for m in values["models"])
        values["substitutions"] = tuple(Substitution(**s) for s in values.get("substitutions", ()))
        values["notices"] = tuple(values.get("notices", ()))
        return cls(**values)


@dataclass(frozen=True)
class EndpointInputs:
    """All that `plan` needs beside the spec, on the service's machine. `id` is unique among all workspaces; `python`
    runs the process, `overlay` holds what that environment lacks of a server; `variables` are the environment's."""

    id: str
    folder: Path
    python: str
    overlay: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    cpus: tuple[int, ...] | None = None


@dataclass(frozen=True)
class EndpointPlan:
    """What would run, as data. `serve` is the document of the process (see `mltrain_endpoint`); `cpus`: indexes."""

    id: str
    folder: str
    revision: int
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    serve: Mapping[str, Any]
    port: int | None
    memory_bytes: int | None
    cpus: tuple[int, ...] | None
    container: Mapping[str, Any] | None = None
    """Where the server is in a container: the `core.serving.ServingOrder`. What runs here passes connections on to it."""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class EndpointObservation:
    """What is seen of an endpoint now.

    `state`: `absent`, `starting`, `running`, `restarting`, `failed` or `stopped`. `serving`: the revision that answers,
    None if none does. `handled`: the newest revision whose fate is known (it serves, or `failure` says why not).
    `kept`: whether somebody watches over it now; where not, the process may answer all the same.
    """

    state: str
    serving: int | None = None
    handled: int | None = None
    port: int | None = None
    pid: int | None = None
    restarts: int = 0
    since: float | None = None
    memory: int = 0
    failure: Mapping[str, Any] | None = None
    about: Mapping[str, Any] | None = None
    kept: bool = True


class Deployer(Protocol):
    """An engine that runs endpoints. Calls block; the service makes them in a thread."""

    @property
    def name(self) -> str: ...

    def plan(self, spec: EndpointSpec, inputs: EndpointInputs) -> EndpointPlan:
        """What would run. Pure."""
        ...

    def apply(self, plan: EndpointPlan) -> None:
        """Bring the plan's revision to run in place of the one that does, once it is healthy. Returns at once; idempotent.
        What serves goes on until then, and for good where the new one does not become healthy."""
        ...

    def keep(self, folder: Path) -> None:
        """See to it that what should run is watched over (after a restart of the machine, or a kill). Idempotent."""
        ...

    def observe(self, folder: Path) -> EndpointObservation:
        """What is seen now. An endpoint that is not there is an observation, not an error."""
        ...

    def stop(self, folder: Path, grace: float) -> list[str]:
        """End it, all its processes included; returns `pid name` of what would not end. Idempotent."""
        ...
