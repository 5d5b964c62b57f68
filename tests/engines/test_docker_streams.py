"""The streams of a container whose engine keeps a connection to nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.testing.bench import Bench
from jupyter_mltrain.testing.ending_contract import LONG
from tests.engines.docker_contract import PYTHON
from tests.faults.world import kill
from tests.hosts.remote import RemoteHost


async def test_a_container_whose_engine_lost_its_shim_has_said_all_once_it_is_seen_to_be_gone(
    remote_host: RemoteHost, tmp_path: Path
) -> None:
    """Its connection would be silent until that counts as lost."""
    settings: dict[str, Any] = {**remote_host.tls, "base_image": remote_host.image}
    compute = DockerCompute(**settings)
    bench = Bench(compute, tmp_path / "workspace", PYTHON)
    handle = await bench.run(LONG)
    reads = asyncio.Event()

    async def read() -> bytes:
        said = b""
        async for frame in compute.stream(handle, {}):
            said += frame.data if frame.stream == "r0.log" else b""
            reads.set()
        return said

    reading = asyncio.create_task(read())
    await reads.wait()
    kill(remote_host.engine.shim(handle["container"]))
    await bench.until(handle, Phase.VANISHED)
    assert b"up" in await reading
    assert (await compute.stop(handle, 0)).remaining == ()
    await bench.close()
