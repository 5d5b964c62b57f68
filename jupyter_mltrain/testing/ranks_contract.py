"""What every engine with `capabilities.multi_node` keeps of a run of several processes; beside `compute_contract`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.core.compute import Compute, Exit, Phase
from jupyter_mltrain.core.ranks import PEER_FAILED, PEERS_DONE
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution
from jupyter_mltrain.testing.bench import PATIENCE, Bench, living

MEETING = """
import json, os, socket, sys
config = json.loads(os.environ["TF_CONFIG"])
own = config["task"]
workers = config["cluster"]["worker"]
def listen(address):
    found = socket.create_server(("", int(address.rpartition(":")[2])))
    found.settimeout(120)
    return found
def reach(address):
    host, _, port = address.rpartition(":")
    import time
    until = time.monotonic() + 120
    while True:
        try:
            return socket.create_connection((host, int(port)), 120)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
here = listen(config["cluster"][own["type"]][own["index"]])
if (own["type"], own["index"]) == ("worker", 0):
    told = []
    while len(told) < 3:
        told.append(here.accept()[0].makefile().readline().strip())
    print("met", *sorted(told))
else:
    name = f"{own['type']}{own['index']}"
    reach(workers[0]).sendall(f"{name}\\n".encode())
open(f"outputs/from-{os.environ['MLTRAIN_RANK']}", "w").write(os.environ["TOKEN"][::-1])
print("ended", own["type"], own["index"])
if own["type"] == "ps":
    __import__("time").sleep(600)
"""
"""Two workers and two servers tell the first worker that they are there; servers do not end."""

WAITING = "import os, time\nprint('up', os.environ['MLTRAIN_RANK'])\ntime.sleep(600)"


class RanksContract:
    """Give it a `compute` fixture and, where runs are not by this interpreter, `python`."""

    python = ""

    @pytest.fixture
    async def bench(self, compute: Compute, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = Bench(compute, tmp_path / "workspace", *([self.python] if self.python else []))
        yield bench
        await bench.close()

    def again(self, compute: Compute) -> Compute:
        """The engine as a restarted service makes it: a new object that remembers nothing."""
        raise NotImplementedError

    async def test_ranks_find_each_other_and_end_together(self, bench: Bench, compute: Compute) -> None:
        """Launched by two services at once: a server beside each of two workers, which are the run's end."""
        asked = Distribution(TENSORFLOW, 2, parameter_servers=2)
        plan = bench.prepare(MEETING, distribution=asked, secrets=("TOKEN",))
        assert [(one.role, one.node) for one in plan.ranks] == [
            ("worker 0", 0), ("worker 1", 1), ("ps 0", 0), ("ps 1", 1),
        ]  # fmt: skip
        assert "TOKEN" not in json.dumps(plan.to_json()["ranks"])
        secrets = {"TOKEN": "s3cret-value"}
        handle, *_ = await asyncio.gather(bench.launch(plan, secrets), self.again(compute).launch(plan, secrets))
        streams = await bench.streams(handle)
        seen = await bench.until(handle, Phase.EXITED)
        assert streams["r0.log"] == b"met ps0 ps1 worker1\nended worker 0\n"
        assert [streams[f"r{rank}.log"] for rank in (1, 2, 3)] == [
            b"ended worker 1\n",
            b"ended ps 0\n",
            b"ended ps 1\n",
        ]
        assert [(one.rank, one.stopped) for one in by_rank(seen.exits)] == [
            (0, ""), (1, ""), (2, PEERS_DONE), (3, PEERS_DONE),
        ]  # fmt: skip
        into = bench.record(plan.run_id)
        for _ in range(2):
            await bench.compute.collect(handle, into)
        assert [(into / "outputs" / f"from-{rank}").read_text() for rank in range(4)] == ["eulav-terc3s"] * 4
        await bench.launch(plan, secrets)  # after its end nothing begins again
        assert (await bench.compute.observe(handle)).phase is Phase.EXITED

    async def test_a_rank_that_fails_ends_the_others(self, bench: Bench) -> None:
        code = "import os, sys, time\nprint('up')\nif os.environ['MLTRAIN_RANK'] == '1': sys.exit(3)\ntime.sleep(600)"
        handle = await bench.run(code, distribution=Distribution(TENSORFLOW, 2))
        first, second = by_rank((await bench.until(handle, Phase.EXITED)).exits)
        assert (first.signal, first.stopped) == (15, PEER_FAILED)
        assert (second.code, second.stopped) == (3, "")
        assert not living(handle["run_id"])

    async def test_stop_ends_all(self, bench: Bench, compute: Compute) -> None:
        handle = await bench.run(WAITING, distribution=Distribution(TENSORFLOW, 2, parameter_servers=1))
        await up(bench, handle, 3)
        again = self.again(compute)
        seen = await again.observe(handle)
        assert (seen.phase, seen.exits) == (Phase.RUNNING, ())
        evidence = await again.stop(handle, PATIENCE)
        assert (evidence.signals, evidence.remaining) == (("SIGTERM",), ())
        assert len(evidence.ended) == 3
        ends = [(one.signal, one.stopped) for one in (await bench.until(handle, Phase.EXITED)).exits]
        assert ends == [(15, "requested")] * 3
        assert not living(handle["run_id"])


def by_rank(exits: tuple[Exit, ...]) -> list[Exit]:
    return sorted(exits, key=lambda one: one.rank)


async def up(bench: Bench, handle: dict[str, Any], count: int) -> None:
    """Wait until that many ranks have said so, and what they use of the machine is told of each."""
    said: dict[str, bytes] = {}
    async with asyncio.timeout(PATIENCE):
        async for frame in bench.compute.stream(handle, {}):
            said[frame.stream] = said.get(frame.stream, b"") + frame.data
            there = sum(b"up" in text for name, text in said.items() if name.endswith(".log"))
            if there == count and {f"r{rank}.system" for rank in range(count)} <= set(said):
                return
    raise AssertionError(f"the run ended: {said}")
