"""Whether an engine can be used, looked at step by step, so that the first thing that is wrong is what is told."""

from __future__ import annotations

from typing import Any

from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.core.compute import Health
from jupyter_mltrain.errors import MLTrainError


async def check(connection: Connection) -> Health:
    """Address, daemon, permission, certificates and keys; then what the engine says of itself. Never raises."""
    try:
        info: dict[str, Any]
        version: dict[str, Any]
        info, version = await connection.call(lambda client: (client.info(), client.version()))
    except MLTrainError as error:
        return Health(ok=False, problem=error.message, mend=error.mend)
    where = connection.address.words
    if info.get("OSType", "linux") != "linux":
        return Health(
            ok=False, problem=f"Containers of {where} are no Linux.", mend="Switch Docker to Linux containers there."
        )
    return Health(ok=True, steps=(f"reached {where}", _engine(info, version), _has(info)))


def _engine(info: dict[str, Any], version: dict[str, Any]) -> str:
    """`Docker 24.0.7 on Debian GNU/Linux 12 (bookworm), x86_64`."""
    system = info.get("OperatingSystem") or "Linux"
    podman = any("Podman" in part.get("Name", "") for part in version.get("Components") or ())
    return f"{'Podman' if podman else 'Docker'} {info.get('ServerVersion', '')} on {system}, {info.get('Architecture', '')}".rstrip(
        ", "
    )


def _has(info: dict[str, Any]) -> str:
    """`2 CPUs, 25.2 GB, runtimes io.containerd.runc.v2, nvidia`."""
    runtimes = sorted(info.get("Runtimes") or ())
    return f"{info['NCPU']} CPUs, {info['MemTotal'] / 1e9:.1f} GB, runtimes {', '.join(runtimes) or 'unknown'}"
