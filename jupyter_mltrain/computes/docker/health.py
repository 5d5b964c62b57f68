"""Whether an engine can be used, looked at step by step, so that the first thing that is wrong is what is told."""

from __future__ import annotations

from typing import Any

from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.core.compute import Health
from jupyter_mltrain.errors import MLTrainError


async def check(connection: Connection) -> Health:
    """Address, daemon, permission, certificates and keys; then what the engine says of itself. Never raises."""
    try:
        info: dict[str, Any] = await connection.call(lambda client: client.info())
    except MLTrainError as error:
        return Health(ok=False, problem=error.message, mend=error.mend)
    where = connection.address.words
    if info.get("OSType", "linux") != "linux":
        return Health(
            ok=False, problem=f"Containers of {where} are no Linux.", mend="Switch Docker to Linux containers there."
        )
    return Health(ok=True)
