"""The engine contract on a Docker engine of this machine: one that is reached by its socket, or as a remote host."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute, seeing, starting
from jupyter_mltrain.computes.docker.labels import run_volume
from jupyter_mltrain.computes.docker.plan import ROOT, volume
from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.testing.bench import PATIENCE, Bench, kill, living
from jupyter_mltrain.testing.compute_contract import ComputeContract
from jupyter_mltrain.testing.ending_contract import LONG

PYTHON = "/usr/bin/python3"


class DockerContract(ComputeContract):
    """Give it a `settings` fixture: the keywords of `DockerCompute`, with an image that has `PYTHON`."""

    python = PYTHON
    visible = "0,1"

    @pytest.fixture
    def settings(self):
        raise NotImplementedError

    @pytest.fixture
    def compute(self, settings):
        return DockerCompute(**settings)

    def again(self, compute):
        address = compute.connection.address
        return DockerCompute(
            url=address.url,
            tls_ca=address.ca,
            tls_cert=address.cert,
            tls_key=address.key,
            base_image=compute._base_image,
        )

    def here(self, handle, pid):
        """Processes of the container's own space of numbers, looked for by the run's main process."""
        spaces = set()
        for name in living(handle["run_id"]):
            with contextlib.suppress(OSError):  # who reads its streams comes and goes
                spaces.add(Path(f"/proc/{name.split()[0]}/ns/pid").readlink())
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    numbers = next(
                        line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid")
                    )
                    if numbers.split()[-1] == str(pid) and (entry / "ns/pid").readlink() in spaces:
                        return int(entry.name)
                except (OSError, StopIteration):
                    continue
        raise AssertionError(f"no process {pid} in the container of {handle['run_id']}")

    def starts(self, handle):
        compute = self._bench.compute
        start = compute.connection.do(lambda client: seeing.look(client, handle)).records[0]["start"]
        return {**start, **{name: self.here(handle, start[name]) for name in ("pid", "shim_pid")}}

    @pytest.fixture
    async def bench(self, compute, tmp_path):
        async with clean(compute, tmp_path / "workspace", self.python) as bench:
            self._bench = bench
            yield bench

    # -- what is otherwise in containers

    async def test_a_run_without_its_shim_goes_on_and_can_be_ended(self, bench):
        """A container ends with its main process, whoever else is in it: with the shim goes the run."""
        handle = await bench.run(LONG)
        await bench.said(handle, b"up")
        start = self.starts(handle)
        kill(start["shim_pid"], signal.SIGKILL)
        seen = await bench.until(handle, Phase.VANISHED)
        assert not seen.evidence["ranks"]["0"]["alive"]
        assert not living(handle["run_id"])
        assert (await bench.compute.stop(handle, 0.2)).remaining == ()

    async def test_a_run_is_released_while_somebody_looks_into_its_folder(self, bench, settings):
        handle = await bench.run("print('up')")
        await bench.exit(handle)
        connection = self.again(bench.compute).connection
        request = {
            "Image": handle["image"],
            "Cmd": ["-"],
            "HostConfig": {"Mounts": [volume(run_volume(handle["run_id"]), ROOT)]},
        }
        looking = connection.do(lambda client: client.create_container_from_config(request))["Id"]
        released = asyncio.create_task(bench.compute.remove(handle))
        await asyncio.sleep(1)
        assert not released.done()
        connection.do(lambda client: client.remove_container(looking))
        await released
        assert left(bench.compute, handle["run_id"]) == []

    async def test_a_look_at_a_run_that_is_released_leaves_nothing(self, bench):
        """An engine makes a volume that a container asks for and that is not there."""
        handle = await bench.run("print('up')")
        await bench.exit(handle)
        connection = bench.compute.connection

        class Late:
            """Between the look for the folder and the look into it somebody releases the run."""

            def __init__(self, client):
                self._client = client

            def __getattr__(self, method):
                return getattr(self._client, method)

            def create_container_from_config(self, *given):
                starting.undo(self._client, handle)
                return self._client.create_container_from_config(*given)

        seen = await connection.call(lambda client: seeing.look(Late(client), {**handle, "container": "none"}))
        assert not seen.there
        found = connection.do(lambda client: client.volumes())["Volumes"] or []
        assert run_volume(handle["run_id"]) not in [one["Name"] for one in found]

    async def test_a_command_finds_the_environments_programs(self, bench):
        handle = await bench.run("print('from python')", command=("python3", "train.py"))
        assert await bench.log(handle) == "from python\n"


@contextlib.asynccontextmanager
async def clean(compute, folder, python=PYTHON):
    """A bench on an engine on which nothing is left of its runs."""
    bench = Bench(compute, folder, python)
    yield bench
    await bench.close()
    for handle in bench.handles:
        # A stream that was left may take a last look meanwhile.
        async with asyncio.timeout(PATIENCE):
            while left(compute, handle["run_id"]):
                await asyncio.sleep(0.05)


def left(compute, run_id):
    """Names of what is on the engine for a run."""
    label = {"label": f"org.jupyter-mltrain.run={run_id}"}
    containers = compute.connection.do(lambda client: client.containers(all=True, filters=label))
    volumes = compute.connection.do(lambda client: client.volumes(filters=label))["Volumes"] or []
    networks = compute.connection.do(lambda client: client.networks(filters=label))
    return [one["Names"][0] for one in containers] + [one["Name"] for one in (*volumes, *networks)]
