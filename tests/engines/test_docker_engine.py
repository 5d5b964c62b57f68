"""A container engine on its bad days: no GPUs, no image, somebody else's hands, a launch that was cut short."""

from __future__ import annotations

import asyncio
import json

import pytest

from jupyter_mltrain.computes.docker import DockerCompute, starting, talking
from jupyter_mltrain.core.compute import FROM_OUTSIDE, Grant, Phase
from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.testing.bench import Bench
from jupyter_mltrain.testing.ending_contract import LONG
from tests.engines.docker_contract import PYTHON, left


@pytest.fixture
def compute(docker_engine):
    return DockerCompute(url=docker_engine.url, base_image=docker_engine.image)


@pytest.fixture
async def bench(compute, tmp_path):
    bench = Bench(compute, tmp_path, PYTHON)
    yield bench
    await bench.close()


async def test_gpus_that_the_engine_cannot_give_are_refused_and_nothing_is_left(bench, compute, monkeypatch):
    """There is none here: so what is looked at is the request that the engine gets, and what it makes of it."""
    plan = bench.prepare(LONG, grant=Grant(gpus=(1, 3)))
    asked = {}
    filled = starting.fill

    def look(client, plan, container, secrets):
        asked.update(client.inspect_container(container)["HostConfig"])
        filled(client, plan, container, secrets)

    monkeypatch.setattr(starting, "fill", look)
    with pytest.raises(EngineError, match="has no GPU runtime") as caught:
        await bench.launch(plan)
    (request,) = asked["DeviceRequests"]
    assert request["DeviceIDs"] == ["1", "3"]
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]
    assert "NVIDIA Container Toolkit" in caught.value.mend
    assert "\n" not in caught.value.message
    assert left(compute, plan.run_id) == []
    assert (await compute.capacity()).gpus == ()


async def test_what_no_container_can_be_made_from_is_one_clear_error(bench, compute):
    plan = bench.prepare("pass", python="/no/such/python")
    with pytest.raises(EngineError, match="The interpreter /no/such/python cannot be started"):
        await bench.launch(plan)
    assert left(compute, plan.run_id) == []
    compute._base_image = "no-such-image:at-all"
    plan = bench.prepare("pass")
    with pytest.raises(EngineError, match="'no-such-image:at-all' is not on the engine"):
        await bench.launch(plan)
    assert left(compute, plan.run_id) == []


async def test_a_container_that_somebody_removes_leaves_what_the_run_said_and_made(bench, docker_engine):
    handle = await bench.run("import time; open('outputs/kept', 'w').write('k'); print('up'); time.sleep(600)")
    await bench.said(handle, b"up")
    docker_engine.docker("rm", "--force", handle["container"])
    seen = await bench.until(handle, Phase.VANISHED)
    assert seen.detail.endswith("the container is gone")
    assert await bench.log(handle) == "up\n"
    into = bench.record(handle["run_id"])
    await bench.compute.collect(handle, into)
    assert (into / "outputs" / "kept").read_text() == "k"
    assert (await bench.compute.stop(handle, 1)).container == "the container is gone"


async def test_a_container_that_somebody_stops_was_not_asked_to_by_us(bench, docker_engine):
    code = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\nprint('up')\ntime.sleep(600)"
    handle = await bench.run(code)
    await bench.said(handle, b"up")
    docker_engine.docker("stop", handle["container"])
    ended = await bench.exit(handle)
    assert (ended.code, ended.stopped) == (0, FROM_OUTSIDE)


async def test_a_launch_that_was_cut_short_is_taken_up_by_the_next(bench, compute, monkeypatch):
    plan = bench.prepare("print('once')")
    monkeypatch.setattr(starting, "_ABANDONED", 0.3)

    def made_and_left(client):
        client.create_volume(f"mltrain-run-{plan.run_id}", labels=plan.container["Labels"])
        client.create_container_from_config(dict(plan.container), name=f"mltrain-{plan.run_id}")

    await compute.connection.call(made_and_left)
    handle = await bench.launch(plan)
    assert await bench.log(handle) == "once\n"


async def test_a_launch_that_is_given_up_leaves_nothing(bench, compute):
    plan = bench.prepare(LONG)
    launching = asyncio.create_task(compute.launch(plan, {}))
    while not left(compute, plan.run_id):
        await asyncio.sleep(0.01)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert left(compute, plan.run_id) == []


async def test_a_stream_that_is_left_leaves_no_process_in_the_container(bench, docker_engine):
    handle = await bench.run(LONG)
    for _ in range(3):
        await bench.said(handle, b"up")
    for _ in range(100):
        inside = docker_engine.docker("top", handle["container"])
        if "follow" not in inside:
            break
        await asyncio.sleep(0.1)
    assert "follow" not in inside


async def test_secrets_are_in_no_words_of_the_engine(bench, docker_engine):
    code = "import os, time; print(os.environ['TOKEN'][::-1]); time.sleep(600)"
    plan = bench.prepare(code, secrets=("TOKEN",))
    handle = await bench.launch(plan, {"TOKEN": "s3cret-value"})
    await bench.said(handle, b"eulav-terc3s")
    said = docker_engine.docker("inspect", handle["container"]) + docker_engine.docker("logs", handle["container"])
    assert "s3cret-value" not in said
    assert "s3cret-value" not in docker_engine.docker("top", handle["container"], "-eo", "pid,args")
    copied = docker_engine.docker("cp", f"{handle['container']}:/mltrain/run/shim/r0.launch.json", "-")
    assert "s3cret-value" not in copied
    assert '"secrets": ["TOKEN"]' in copied


async def test_links_out_of_the_working_folder_are_left_out(bench):
    code = (
        "import os\n"
        "os.symlink('/etc/passwd', 'outputs/host'); os.symlink('../../shim/r0.launch.json', 'outputs/shim')\n"
        "os.symlink('../../../../../../etc', 'outputs/etc'); os.symlink('..', 'outputs/up')\n"
        "os.symlink('loop', 'outputs/loop'); os.symlink('../train.py', 'outputs/script')\n"
        "os.symlink(os.path.abspath('outputs/script'), 'outputs/absolute')\n"
    )
    handle = await bench.run(code)
    assert (await bench.exit(handle)).code == 0
    into = bench.record(handle["run_id"])
    await bench.compute.collect(handle, into)
    names = {path.name for path in (into / "outputs").iterdir()}
    assert names == {"script", "absolute", "loop"}
    assert not (into / "outputs" / "script").is_symlink()
    assert (into / "outputs" / "absolute").read_text() == code
    assert json.loads((into / "snapshot.json").read_text())["files"]


async def test_a_launch_whose_secrets_were_lost_with_its_launcher_fails_and_leaves_nothing(bench, compute, monkeypatch):
    monkeypatch.setattr(starting, "_ready", lambda _: pytest.fail("the connection was cut by then"))
    plan = bench.prepare(LONG, secrets=("TOKEN",))

    def started_and_killed(client):
        (made,) = starting.take(client, plan, {"run_id": plan.run_id, "container": f"mltrain-{plan.run_id}"}) or ()
        starting.fill(client, plan, made, ["TOKEN"])
        client.start(made)
        talking.attach(client, made).leave()  # whoever was to tell them has gone: an end of input

    await compute.connection.call(started_and_killed)
    with pytest.raises(EngineError, match="supervisor did not start"):
        await bench.launch(plan, {"TOKEN": "s3cret"})
    assert left(compute, plan.run_id) == []
