"""What an environment's `docker.arguments` change in the request for a container: never more than the run was granted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_mltrain.core.container_arguments import read


def apply(request: dict[str, Any], arguments: Sequence[str]) -> None:
    """Change `request`, the body of the API's, as they ask. Raises `UsageError` for one that is not allowed."""
    asked, host = read(arguments), request["HostConfig"]
    if asked.shm_bytes is not None:
        host["ShmSize"] = asked.shm_bytes
    if asked.memory_bytes is not None:
        host["Memory"] = host["MemorySwap"] = min(asked.memory_bytes, host.get("Memory", asked.memory_bytes))
    if asked.cpus is not None:
        nano = round(asked.cpus * 1e9)
        host["NanoCpus"] = min(nano, host.get("NanoCpus", nano))
    if asked.pids is not None:
        host["PidsLimit"] = min(asked.pids, host["PidsLimit"])
    if asked.ulimits:
        host["Ulimits"] = [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in asked.ulimits]
    if asked.ipc:
        host["IpcMode"] = asked.ipc
    if asked.network:
        host["NetworkMode"] = asked.network
    if asked.hostname:
        request["Hostname"] = asked.hostname
