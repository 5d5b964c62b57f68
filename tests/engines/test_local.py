"""The local engine on its bad days: killed shims, used-again pids, a full disk, a reboot, no cgroup."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mltrain import runclient
from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.core.compute import Grant, Phase
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.errors import DiskFull, EngineError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records
from jupyter_mltrain.testing.bench import Bench, gone, kill, living


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.fail("this test mounts a small tmpfs: run it as root (CI does)")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def shim_records(handle: dict[str, str]) -> records.Rank:
    return records.Rank(handle["root"], 0)


# -- one process, whoever starts it


async def test_two_services_that_launch_at_once_start_one_process(bench: Bench) -> None:
    plan = bench.prepare("import os, time; print(os.getpid()); time.sleep(0.5)")
    code = textwrap.dedent("""
        import asyncio, json, sys
        from pathlib import Path
        from jupyter_mltrain.computes.local import LocalCompute
        from jupyter_mltrain.core.compute import LaunchPlan, RankPlan
        raw = json.loads(sys.argv[1])
        raw["ranks"] = tuple(RankPlan(r["rank"], tuple(r["argv"]), r["env"]) for r in raw["ranks"])
        raw["mounts"] = ()
        print(json.dumps(asyncio.run(LocalCompute().launch(LaunchPlan(**raw), {}))))
    """)
    command = [sys.executable, "-c", code, json.dumps(plan.to_json())]
    services = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    handles = [json.loads(service.communicate(timeout=120)[0]) for service in services]
    bench.handles.append(handles[0])
    assert len((await bench.log(handles[0])).split()) == 1
    assert (await bench.exit(handles[0])).code == 0


async def test_the_run_survives_the_one_who_launched_it(bench: Bench) -> None:
    plan = bench.prepare("import time; print('up'); time.sleep(1); print('down')")
    handle = await bench.launch(plan)
    start = records.read(shim_records(handle).start)
    assert start is not None
    # Neither session nor parent nor pipe ties the shim to this process.
    assert os.getsid(start["shim_pid"]) != os.getsid(0)
    assert os.getpgid(start["pid"]) == start["pid"]
    stat = Path(f"/proc/{start['shim_pid']}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid()
    assert await bench.log(handle) == "up\ndown\n"


async def test_a_shim_killed_at_any_moment_leaves_a_true_record(bench: Bench) -> None:
    chance = random.Random(4)
    for _ in range(10):
        handle = await bench.run("import time\nfor i in range(20): print(i); time.sleep(0.02)")
        start = records.read(shim_records(handle).start)
        assert start is not None
        await asyncio.sleep(chance.random() * 0.5)
        kill(start["shim_pid"], signal.SIGKILL)
        seen = await bench.until(handle, Phase.VANISHED, Phase.EXITED)
        if seen.phase is Phase.EXITED:
            assert seen.exits[0].code == 0
        await bench.compute.stop(handle, 0.1)
        assert not living(handle["run_id"])
        log = await bench.log(handle)
        assert log.split() == [str(i) for i in range(len(log.split()))]


async def test_a_child_that_leaves_with_a_dead_shim_is_found_by_the_runs_id(bench: Bench) -> None:
    code = """
    import os, subprocess, sys, time
    subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); print('away'); time.sleep(600)"])
    time.sleep(600)
    """
    handle = await bench.run(textwrap.dedent(code))
    await bench.said(handle, b"away")
    start = records.read(shim_records(handle).start)
    assert start is not None
    kill(start["shim_pid"], signal.SIGKILL)
    await bench.until(handle, Phase.VANISHED)
    kill(start["pid"], signal.SIGKILL)
    while not gone(start["pid"]):
        await asyncio.sleep(0.01)
    assert len(living(handle["run_id"])) == 1
    evidence = await bench.compute.stop(handle, 5)
    assert evidence.signals == ("SIGTERM",)
    assert not living(handle["run_id"])


async def test_a_stuck_shim_is_ended_with_its_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.stop.MARGIN", 0.3)
    handle = await bench.run("import time; print('up'); time.sleep(600)")
    await bench.said(handle, b"up")
    start = records.read(shim_records(handle).start)
    assert start is not None
    kill(start["shim_pid"], signal.SIGSTOP)
    evidence = await bench.compute.stop(handle, 0.2)
    assert gone(start["pid"])
    assert gone(start["shim_pid"])
    assert evidence.remaining == ()


# -- pids name nobody


async def test_a_pid_that_is_somebody_elses_is_left_alone(bench: Bench) -> None:
    handle = await bench.run("pass")
    await bench.exit(handle)
    paths = shim_records(handle)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        start = records.read(paths.start)
        assert start is not None
        forged = {**start, "pid": stranger.pid, "shim_pid": stranger.pid}
        Path(paths.exit).unlink()
        records.write(paths.start, forged)
        seen = await bench.until(handle, Phase.VANISHED)
        assert not seen.evidence["ranks"]["0"]["alive"]
        evidence = await bench.compute.stop(handle, 0)
        assert evidence.ended == evidence.signals == ()
        assert stranger.poll() is None
        stranger.kill()


async def test_after_a_reboot_nothing_is_touched(bench: Bench) -> None:
    handle = await bench.run("pass")
    await bench.exit(handle)
    paths = shim_records(handle)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        ticks = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
        Path(paths.exit).unlink()
        before = {"pid": stranger.pid, "start_ticks": ticks, "shim_pid": stranger.pid, "shim_start_ticks": ticks}
        records.write(paths.start, {**before, "boot_id": "another-boot", "time": 1.0})
        seen = await bench.until(handle, Phase.VANISHED)
        assert seen.detail == "machine restarted"
        await bench.compute.stop(handle, 0)
        assert stranger.poll() is None
        stranger.kill()


async def test_a_reboot_before_the_record_reached_the_disk(bench: Bench) -> None:
    handle = await bench.run("pass")
    await bench.exit(handle)
    for path in (shim_records(handle).start, shim_records(handle).exit):
        Path(path).unlink()
    seen = await bench.until({**handle, "boot_id": "another-boot"}, Phase.VANISHED)
    assert seen.detail == "machine restarted"


# -- storage


async def test_a_full_disk_loses_no_exit_and_no_written_record(small_disk: Path) -> None:
    bench = Bench(LocalCompute(), small_disk)
    code = """
    from jupyter_mltrain import Run
    import os, sys
    run = Run.get_context()
    for i in range(2000): run.log("before", i, step=i)
    fd = os.open("filler", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)): pass
    except OSError as error:
        pass
    for i in range(5000): run.log("while", i, step=i)
    os.close(fd)
    os.unlink("filler")
    for i in range(2000): run.log("after", i, step=i)
    """
    handle = await bench.run(textwrap.dedent(code))
    ended = await bench.exit(handle)
    assert (ended.code, ended.stopped) == (0, "")
    streams = await bench.streams(handle)
    (metrics,) = (data for name, data in streams.items() if name.endswith(".metrics"))
    points: dict[str, list[int]] = {"before": [], "while": [], "after": []}
    for line in metrics.splitlines():
        name, step, _, value = json.loads(line)  # each line whole, also where the disk was full
        assert step == value
        points[name].append(step)
    assert points["before"] == points["after"] == list(range(2000))
    assert points["while"] == list(range(len(points["while"])))
    assert len(points["while"]) < 5000
    log = streams["r0.log"].decode()
    assert "No space left on device" in log  # said at the end: the log lies on the same disk
    assert f"{5000 - len(points['while'])} records of this run could not be written" in log
    await bench.close()


async def test_an_exit_is_recorded_on_a_disk_that_stays_full(small_disk: Path) -> None:
    bench = Bench(LocalCompute(), small_disk)
    handle = await bench.run("import sys\nwhile True:\n    sys.stdout.buffer.write(bytes(4096)); sys.stdout.flush()")
    # Somebody else takes every byte that becomes free.
    filler = "import os, sys\nfd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\nwhile True:\n    try: os.write(fd, b'x' * 512)\n    except OSError: pass"
    with subprocess.Popen([sys.executable, "-c", filler, small_disk / "filler"]) as other:
        try:
            ended = await bench.exit(handle)
            assert ended.code not in (0, None)
            # A stop cannot write its wish there; there is nothing to stop, and that is what it says.
            assert (await bench.compute.stop(handle, 1)).remaining == ()
        finally:
            other.kill()
    await bench.close()


async def test_no_room_to_launch_is_one_clear_error(small_disk: Path) -> None:
    bench = Bench(LocalCompute(), small_disk)
    plan = bench.prepare("pass")
    await asyncio.to_thread(runclient.inject, bench.record(plan.run_id) / "inject")
    fd = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(fd, bytes(4096)):
            pass
    os.close(fd)
    with pytest.raises((DiskFull, OSError)) as caught:
        await bench.compute.launch(plan, {})
    assert "No space left" in str(caught.value)
    (small_disk / "filler").unlink()
    handle = await bench.launch(plan)  # once there is room, the same launch works
    assert (await bench.exit(handle)).code == 0
    await bench.close()


# -- limits


async def test_memory_is_watched_where_no_cgroup_can_be_made(bench: Bench) -> None:
    code = "import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', 'kept = bytearray(500_000_000); kept[::4096] = b\"x\" * len(kept[::4096]); import time; time.sleep(600)'])"
    handle = await _launch_without_cgroup(bench, code, Resources(memory_gb=0.2))
    ended = await bench.exit(handle)
    assert ended.stopped == "memory limit"
    assert ended.signal == signal.SIGKILL
    assert ended.oom_kills == 0
    assert ended.limit_bytes == 200_000_000
    assert ended.peak_bytes > 200_000_000


async def test_memory_that_forked_workers_share_counts_once(bench: Bench) -> None:
    code = """
    import os, time
    kept = bytearray(100_000_000); kept[::4096] = b"x" * len(kept[::4096])
    for _ in range(3):
        if os.fork() == 0:
            sum(kept[::4096]); time.sleep(1.5); os._exit(0)
    time.sleep(1.5)
    """
    handle = await _launch_without_cgroup(bench, textwrap.dedent(code), Resources(memory_gb=0.25))
    assert (await bench.exit(handle)).code == 0


async def _launch_without_cgroup(bench: Bench, code: str, resources: Resources) -> dict[str, str]:
    """Launch with a shim that is told that there are no cgroups."""
    plan = bench.prepare(code, resources=resources)
    bench_python = bench.folder / "python"
    shim = textwrap.dedent(f"""\
        #!{sys.executable} -S
        import sys
        if "launch" not in sys.argv:
            import os
            os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
        sys.path.insert(0, {plan.root + "/inject"!r})
        from jupyter_mltrain._shim import memory, verbs
        memory.group = lambda name, limit: None
        verbs.main(sys.argv[sys.argv.index("launch"):])
    """)
    bench_python.write_text(shim)
    bench_python.chmod(0o755)
    rank = plan.ranks[0]
    object.__setattr__(rank, "env", {**rank.env, "MLTRAIN_PYTHON": str(bench_python)})
    return await bench.launch(plan)


async def test_two_runs_do_not_share_a_cpu_unasked(bench: Bench) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this test needs two CPUs")
    code = "import os, time; print(os.sched_getaffinity(0)); time.sleep(600)"
    handles = [await bench.run(code, grant=Grant(cpus=1)) for _ in range(2)]
    assert handles[0]["cpus"] != handles[1]["cpus"]
    for handle in handles:
        await bench.said(handle, str(set(handle["cpus"])).encode())


async def test_the_services_own_environment_stays_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_API_TOKEN", "MLTRAIN_RUN_ID", "MLFLOW_TRACKING_TOKEN", "PYTHONPATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "of the service")
    monkeypatch.setenv("HTTPS_PROXY", "kept")
    env = json.loads(await bench.log(await bench.run("import json, os; print(json.dumps(dict(os.environ)))")))
    assert "of the service" not in env.values()
    assert env["HTTPS_PROXY"] == "kept"


async def test_an_interpreter_that_is_gone_is_one_clear_error(bench: Bench) -> None:
    plan = bench.prepare("pass")
    rank = plan.ranks[0]
    object.__setattr__(rank, "env", {**rank.env, "MLTRAIN_PYTHON": "/no/such/python"})
    with pytest.raises(EngineError, match="/no/such/python"):
        await bench.compute.launch(plan, {})


async def test_what_an_earlier_attempt_made_is_there_after_a_launch_that_fails(bench: Bench) -> None:
    plan = bench.prepare("pass")
    checkpoint = Path(plan.record, "outputs", "checkpoint")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("step 7")
    rank = plan.ranks[0]
    object.__setattr__(rank, "env", {**rank.env, "MLTRAIN_PYTHON": "/no/such/python"})
    with pytest.raises(EngineError, match="/no/such/python"):
        await bench.compute.launch(plan, {})
    assert checkpoint.read_text() == "step 7"
    assert not Path(plan.root, "work").exists()


async def test_twenty_runs_at_once(bench: Bench) -> None:
    handles = await asyncio.gather(*(bench.run("print('x' * 1000)") for _ in range(20)))
    logs = await asyncio.gather(*(bench.log(handle) for handle in handles))
    assert all(log == "x" * 1000 + "\n" for log in logs)
    exits = [await bench.exit(handle) for handle in handles]
    assert all(ended.code == 0 for ended in exits)
