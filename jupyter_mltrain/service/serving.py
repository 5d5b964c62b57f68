"""The server's own packages, for whatever environment a model needs: a small environment beside it, on the end of its path.

So a model is served with the very packages it was trained with, built once for both, and gets of ours only what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from jupyter_mltrain.core.compute import ReadyEnvironment
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.environments import Environments

PACKAGES = ("uvicorn>=0.30", "uvloop>=0.19", "httptools>=0.6", "orjson>=3.10", "prometheus-client>=0.20")

_NEEDED = frozenset({"uvicorn", "prometheus-client"})
"""Without these there is no server; the others make it faster."""


def server_packages(environments: Environments, ready: ReadyEnvironment, log: Callable[[str], None]) -> tuple[str, ...]:
    """Folders for the end of the process's `sys.path`; none where the environment has a server itself."""
    if not lacks_server(ready):
        return ()
    definition = definition_of(ready)
    stored = environments.register(definition, log=log)
    built = environments.prepare(f"{stored.name}:{stored.version}", log=log)
    python = Path(built.prepared.python)
    return (str(python.parents[1] / "lib" / f"python{definition.python}" / "site-packages"),)


def lacks_server(ready: ReadyEnvironment) -> bool:
    """Whether an environment has no server itself."""
    names = {re.split(r"[=@ \[]", package, maxsplit=1)[0].lower().replace("_", "-") for package in ready.packages}
    return not names >= _NEEDED


def definition_of(ready: ReadyEnvironment) -> EnvironmentDefinition:
    """The small environment that stands beside `ready`."""
    minor = ".".join(ready.python_version.split(".")[:2])
    return EnvironmentDefinition(
        name=f"serving-{minor}",
        python=minor,
        pip=PACKAGES,
        imports=("uvicorn", "prometheus_client"),
        description=f"The server of endpoints, added to the model's own environment (Python {minor}).",
    )
