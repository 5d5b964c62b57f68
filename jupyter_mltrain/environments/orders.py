"""An environment as an engine with containers is asked for it: the lock, and what installing it there needs of here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from jupyter_mltrain.core.addresses import passwords
from jupyter_mltrain.core.compute import EnvironmentOrder
from jupyter_mltrain.core.container_arguments import read
from jupyter_mltrain.core.environment import (
    BUILD,
    CURRENT,
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    EnvironmentDefinition,
    EnvironmentLock,
)
from jupyter_mltrain.environments import adaptations, compiled, conda
from jupyter_mltrain.environments.indexes import index_settings
from jupyter_mltrain.environments.substitutions import Table, image_of
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import UsageError


def order_of(
    definition: EnvironmentDefinition,
    lock: EnvironmentLock | None,
    table: Table,
    *,
    gpu: bool = False,
    environ: Mapping[str, str] | None = None,
) -> EnvironmentOrder:
    """The order for `definition`; `lock` is None where the user looks after the image. `environ` stands in for the
    process's own, for tests. Raises `UsageError` for what no container can hold."""
    docker = definition.docker
    image = image_of(definition, table)
    order = EnvironmentOrder(
        name=definition.name,
        version=definition.version,
        key=lock.key if lock else "",
        python=lock.python if lock else "",
        lock=lock.dumps() if lock else "",
        packages=lock.packages if lock else (),
        gpu=gpu,
        image="" if image in (DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE) else image,
        dockerfile=docker.base_dockerfile or "",
        built=docker.image == BUILD,
        shm_size=docker.shm_size or "",
        arguments=docker.arguments,
        variables={**definition.environment_variables, **read(docker.arguments).variables},
    )
    if lock is None:
        return replace(order, interpreter=_interpreter(definition))
    environ = os.environ if environ is None else environ
    settings = index_settings(environ)
    notices: list[str] = []
    told = _reachable({**_own(environ), **settings.variables}, notices.append)
    mirrors = conda.mirrors() if lock.conda else {}
    if mirrors:
        told[CONDA_MIRRORS] = json.dumps(mirrors)
    rest, sources = ("", []) if lock.conda else compiled.split(lock)
    hidden = [*settings.secrets, *passwords(place for places in mirrors.values() for place in places)]
    return replace(
        order,
        requirements=rest if sources else "",
        compiled=tuple(source.order for source in sources),
        imports=definition.imports,
        modules=adaptations.modules(lock.adaptations),
        conda_tool=conda.tool() if lock.conda else "",
        certificates=_certificates(told.pop(_CERTIFICATES, ""), notices.append),
        settings=told,
        flags=settings.flags,
        secrets=tuple({*hidden, *(v for n, v in told.items() if n.endswith("_PASSWORD") and len(v) >= 4)}),
        notices=tuple(notices),
    )


CONDA_MIRRORS = "MLTRAIN_CONDA_MIRRORS"
"""The variable that tells what installs conda packages of mirrors, as JSON."""
_CERTIFICATES = "SSL_CERT_FILE"
_PLACES = {
    "UV_DEFAULT_INDEX": " ",
    "UV_INDEX_URL": " ",
    "UV_INDEX": " ",
    "UV_EXTRA_INDEX_URL": " ",
    "UV_FIND_LINKS": ",",
}
"""Variables that hold addresses, with what stands between several."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_OWN = (
    *_PLACES,
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
    *("UV_INDEX_STRATEGY", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", _CERTIFICATES),
)
_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    """What uv would find in this process's environment, of what means something on another machine too."""
    return {name: value for name, value in environ.items() if value and (name in _OWN or _CREDENTIALS.fullmatch(name))}


def _reachable(told: Mapping[str, str], log: Log) -> dict[str, str]:
    """`told` without what only this machine has: folders, a keyring, client certificates."""
    kept: dict[str, str] = {}
    for name, value in told.items():
        if name in _PLACES:
            joint = _PLACES[name]
            places = [one for one in value.split(joint) if one]
            there = [one for one in places if urlsplit(one.partition("=")[2] or one).scheme in ("http", "https")]
            if len(there) < len(places):
                log(f"Not for containers, for it is a folder of this machine: {', '.join({*places} - {*there})}")
            if there:
                kept[name] = joint.join(there)
        elif name in ("UV_KEYRING_PROVIDER", "SSL_CLIENT_CERT", "UV_CONSTRAINT"):
            if name != "UV_CONSTRAINT":  # the lock is exact: nothing is left to constrain
                log(f"Not for containers: {name}")
        elif "\n" not in value:
            kept[name] = value
        if name.upper() in _PROXIES[:3] and urlsplit(value).hostname in ("localhost", "127.0.0.1", "::1"):
            log(f"{name} is a proxy of this machine alone: a container does not reach it")
    return kept


def _certificates(path: str, log: Log) -> str:
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        log(f"{_CERTIFICATES} cannot be read: {error}")
        return ""


def _interpreter(definition: EnvironmentDefinition) -> str:
    if definition.name == CURRENT:
        raise UsageError(
            "The environment 'current' is the kernel's own Python, which is in no container.",
            mend="Name another environment, for example `-e tensorflow`.",
        )
    return definition.interpreter or "python"
