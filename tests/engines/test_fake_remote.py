"""A wire that is cut, slow or closed loses nothing, and no local path ever crosses it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.testing.bench import Bench, add
from jupyter_mltrain.testing.fake_remote import FakeRemoteCompute

TALKATIVE = """
from jupyter_mltrain import Run
import time
run = Run.get_context()
for i in range(300):
    run.log("loss", i)
    print("line", i, "x" * 50)
    time.sleep(0.003)
"""


@pytest.fixture
def compute(tmp_path: Path) -> FakeRemoteCompute:
    return FakeRemoteCompute(root=tmp_path / "there")


@pytest.fixture
async def bench(compute: FakeRemoteCompute, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(compute, tmp_path / "here")
    yield bench
    compute.wire.reachable = True
    compute.wire.delay = 0
    await bench.close()


async def test_a_cut_in_the_middle_of_a_frame_loses_and_repeats_nothing(
    bench: Bench, compute: FakeRemoteCompute
) -> None:
    handle = await bench.run(TALKATIVE)
    whole: dict[str, bytearray] = {}
    cuts = [1, 13, 20, 300, 2_000, 9_000, 1 << 30]
    ended = False
    for cut in cuts:
        compute.wire.cut_after = cut
        try:
            async for frame in compute.stream(handle, {name: len(data) for name, data in whole.items()}):
                add(whole, frame, {})
            ended = True
        except EngineUnreachable:
            continue
    assert ended
    assert {name: bytes(data) for name, data in whole.items()} == await bench.streams(handle)
    assert len(whole["r0.log"].splitlines()) == 300


async def test_what_cannot_be_reached_has_not_ended(bench: Bench, compute: FakeRemoteCompute) -> None:
    handle = await bench.run(TALKATIVE)
    compute.wire.reachable = False
    health = await compute.check()
    assert not health.ok
    assert health.problem
    assert health.mend
    for call in (compute.observe(handle), compute.stop(handle, 1), compute.collect(handle, bench.record("x"))):
        with pytest.raises(EngineUnreachable):
            await call
    with pytest.raises(EngineUnreachable):
        await bench.log(handle)
    await asyncio.sleep(0.3)
    compute.wire.reachable = True
    assert len((await bench.log(handle)).splitlines()) == 300
    assert (await bench.exit(handle)).code == 0


async def test_a_stream_is_cut_when_the_machine_goes_away(bench: Bench, compute: FakeRemoteCompute) -> None:
    handle = await bench.run(TALKATIVE)
    stream = compute.stream(handle, {})
    assert (await anext(stream)).data
    compute.wire.reachable = False
    with pytest.raises(EngineUnreachable):
        _ = [frame async for frame in stream]


async def test_a_slow_wire_only_takes_longer(bench: Bench, compute: FakeRemoteCompute) -> None:
    compute.wire.delay = 0.05
    handle = await bench.run("print('slow')")
    assert await bench.log(handle) == "slow\n"


async def test_the_run_needs_nothing_of_this_machine(bench: Bench, compute: FakeRemoteCompute, tmp_path: Path) -> None:
    code = "import time; time.sleep(0.5); print(open('extra.txt').read()); open('outputs/o', 'w').write('kept')"
    plan = bench.prepare(code, files={"extra.txt": b"sent along"})
    handle = await bench.launch(plan)
    here = str(bench.folder)
    assert here not in json.dumps(compute.wire.commands)
    assert here not in json.dumps([rank.env for rank in plan.ranks])
    for path in (tmp_path / "there").rglob("*"):
        if path.is_file() and path.suffix in {".json", ".txt", ".log"}:
            assert here.encode() not in path.read_bytes(), path
    shutil.move(bench.folder, tmp_path / "moved")
    assert await bench.log(handle) == "sent along\n"
    assert (await bench.exit(handle)).code == 0
    shutil.move(tmp_path / "moved", bench.folder)
    await compute.collect(handle, bench.record(plan.run_id))
    assert (bench.record(plan.run_id) / "outputs" / "o").read_text() == "kept"


async def test_after_removal_the_run_is_absent_there(bench: Bench, compute: FakeRemoteCompute, tmp_path: Path) -> None:
    handle = await bench.run("pass")
    await bench.exit(handle)
    await compute.remove(handle)
    assert not (tmp_path / "there" / "runs" / handle["run_id"]).exists()
    assert (await compute.observe(handle)).phase is Phase.ABSENT
    assert (await compute.stop(handle, 0)).remaining == ()
