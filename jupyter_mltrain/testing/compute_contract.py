"""The suite that every engine has to pass. In a test module of the engine's author:

    class TestMine(ComputeContract):
        @pytest.fixture
        def compute(self, tmp_path):
            return MyCompute(...)

The scripts that it runs need a Linux with /proc where they run, and the suite looks for their processes on this machine.
Override `again` for an engine that is not made from settings alone; `python` and `visible` where runs see another file
system and other GPUs than this machine's; `starts` and `here` where they count their processes otherwise.
"""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.core.compute import Compute, Grant, Mount, Phase
from jupyter_mltrain.core.engines import Foretelling
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, Resources
from jupyter_mltrain.errors import DatasetNotFound
from jupyter_mltrain.testing.bench import PATIENCE, Bench, add
from jupyter_mltrain.testing.ending_contract import LONG, EndingContract


class ComputeContract(EndingContract):
    """Tests of `core.compute.Compute`. Give it a `compute` fixture."""

    python = sys.executable
    """The interpreter of runs, as they see it."""
    visible = "1,3"
    """How a run is told of GPUs 1 and 3 of its target."""

    @pytest.fixture
    def compute(self, tmp_path: Path) -> Compute:
        raise NotImplementedError

    @pytest.fixture
    async def bench(self, compute: Compute, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = Bench(compute, tmp_path / "workspace", self.python)
        yield bench
        await bench.close()

    def again(self, compute: Compute) -> Compute:
        """The engine as a restarted service makes it: a new object that remembers nothing."""
        raise NotImplementedError

    # -- the engine itself

    async def test_is_there_and_has_something_to_give(self, compute: Compute) -> None:
        assert (await compute.check()).ok
        capacity = await compute.capacity()
        assert capacity.slots >= 1
        assert capacity.cpus >= 1
        assert capacity.memory_gb > 0

    # -- plan

    async def test_plan_is_pure_and_says_everything(self, bench: Bench, tmp_path: Path) -> None:
        data = tmp_path / "data"
        data.mkdir()
        mount = Mount("mnist", data, "MLTRAIN_DATA_MNIST", "k1")
        options: dict[str, Any] = {
            "arguments": ("--data", DATA_PLACEHOLDER + "mnist", f"--x={DATA_PLACEHOLDER}mnist", "--lr", "0.1"),
            "variables": {"A": "1", "TOKEN": "never shown"},
            "secrets": ("TOKEN",),
            "resources": Resources(max_run_seconds=60, memory_gb=2),
            "grant": Grant(gpus=(1, 3), cpus=1),
            "mounts": (mount,),
        }
        plan = bench.prepare("pass", **options)
        before = sorted(tmp_path.rglob("*"))
        record = json.loads((bench.record(plan.run_id) / "snapshot.json").read_text())
        assert record["files"]
        from_json = json.loads(json.dumps(plan.to_json()))
        assert sorted(tmp_path.rglob("*")) == before
        (rank,) = plan.ranks
        folder = rank.env["MLTRAIN_DATA_MNIST"]
        assert rank.argv[1:] == ("train.py", "--data", folder, f"--x={folder}", "--lr", "0.1")
        assert rank.env["CUDA_VISIBLE_DEVICES"] == self.visible
        assert rank.env["MLTRAIN_RUN_ID"] == rank.env["AZUREML_RUN_ID"] == plan.run_id
        assert rank.env["PYTHONPATH"].startswith(plan.root)
        assert rank.env["A"] == "1"
        assert "TOKEN" not in rank.env
        assert (plan.max_run_seconds, plan.memory_bytes, plan.cpus) == (60, 2_000_000_000, 1)
        assert from_json["engine"] == bench.compute.name

    async def test_plan_of_the_same_spec_is_the_same(self, bench: Bench) -> None:
        plan = bench.prepare("pass", variables={"B": "2", "A": "1"})
        spec_twin = bench.prepare("pass", variables={"A": "1", "B": "2"})

        def text(one: Any) -> str:
            return json.dumps(one.to_json()).replace(one.run_id, "ID")

        assert text(plan) == text(spec_twin)

    async def test_no_gpus_granted_means_none_visible(self, bench: Bench) -> None:
        assert bench.prepare("pass").ranks[0].env["CUDA_VISIBLE_DEVICES"] == "-1"

    async def test_a_dataset_that_the_run_does_not_read_is_refused(self, bench: Bench) -> None:
        with pytest.raises(DatasetNotFound):
            bench.prepare("pass", arguments=(DATA_PLACEHOLDER + "cifar",))

    # -- a run from launch to removal

    async def test_runs_and_streams_to_the_end(self, bench: Bench) -> None:
        handle = await bench.run(
            "from jupyter_mltrain import Run\nimport sys\nrun = Run.get_context()\n"
            "print('to out'); print('to err', file=sys.stderr)\n"
            "for i in range(3): run.log('loss', 1 / (i + 1), step=i)\n"
        )
        streams = await bench.streams(handle)
        assert sorted(streams.pop("r0.log").split(b"\n")) == [b"", b"to err", b"to out"]
        (metrics,) = (data for name, data in streams.items() if name.endswith(".metrics"))  # samples stream beside it
        points = [json.loads(line) for line in metrics.splitlines()]
        assert [(name, step, value) for name, step, _, value in points] == [("loss", i, 1 / (i + 1)) for i in range(3)]
        ended = await bench.exit(handle)
        assert (ended.code, ended.signal, ended.error, ended.stopped) == (0, None, "", "")

    async def test_the_script_is_where_the_contract_says(self, bench: Bench, tmp_path: Path) -> None:
        data = tmp_path / "data"
        (data / "deep").mkdir(parents=True)
        (data / "deep" / "x.txt").write_text("content")
        code = (
            "import json, os, sys\n"
            "print(json.dumps([dict(os.environ), sys.argv, os.getcwd(), sorted(os.listdir()), sys.stdin.read(), "
            "open(os.environ['MLTRAIN_DATA_D'] + '/deep/x.txt').read(), open('pkg/ü.txt').read()]))"
        )
        plan = bench.prepare(
            code,
            files={"pkg/ü.txt": "ü".encode()},
            arguments=("--name", "日本語 <script> $HOME", ""),
            variables={"FROM_SPEC": "1"},
            secrets=("TOKEN",),
            mounts=(Mount("d", data, "MLTRAIN_DATA_D", "k1"),),
        )
        handle = await bench.launch(plan, {"TOKEN": "s3cret-value"})
        env, argv, cwd, files, stdin, data_text, package_text = json.loads(await bench.log(handle))
        assert argv == ["train.py", "--name", "日本語 <script> $HOME", ""]
        assert Path(cwd).name == "work"
        assert files == ["logs", "outputs", "pkg", "train.py"]
        assert (stdin, data_text, package_text) == ("", "content", "ü")
        assert env["TOKEN"] == "s3cret-value"
        assert env["FROM_SPEC"] == env["PYTHONUNBUFFERED"] == "1"
        assert env["MLTRAIN_RANK"] == "0"
        assert Path(env["MLTRAIN_STREAMS"]).is_absolute()
        assert "MLTRAIN_PYTHON" in env
        for path in [*tmp_path.rglob("*")]:
            if path.is_file():
                assert b"s3cret-value" not in path.read_bytes() or path.name == "r0.log", f"the secret is in {path}"

    async def test_data_of_every_form_stands_where_it_was_asked_for(self, bench: Bench, tmp_path: Path) -> None:
        """A folder of links to elsewhere, a single file, and a folder that is to stand in the working folder."""
        elsewhere, links = tmp_path / "elsewhere", tmp_path / "links"
        elsewhere.mkdir()
        links.mkdir()
        (elsewhere / "a.txt").write_text("a")
        (links / "deep").mkdir()
        (links / "deep" / "to-a.txt").symlink_to(elsewhere / "a.txt")
        code = (
            "import json, os\n"
            "print(json.dumps([open(os.environ['MLTRAIN_DATA_L'] + '/deep/to-a.txt').read(), "
            "open(os.environ['MLTRAIN_DATA_F']).read(), open('in/side/a.txt').read(), "
            "os.path.samefile(os.environ['MLTRAIN_DATA_P'], 'in/side'), json.loads(os.environ['MLTRAIN_INPUTS'])]))"
        )
        mounts = (
            Mount("L", links, "MLTRAIN_DATA_L", "k2"),
            Mount("F", elsewhere / "a.txt", "MLTRAIN_DATA_F", "k3-file"),
            Mount("P", elsewhere, "MLTRAIN_DATA_P", "k4", "in/side"),
        )
        plan = bench.prepare(code, mounts=mounts)
        handle = await bench.launch(plan, {})
        *read, same, inputs = json.loads(await bench.log(handle))
        assert read == ["a", "a", "a"]
        assert same
        assert inputs == {name: plan.ranks[0].env[f"MLTRAIN_DATA_{name}"] for name in "LFP"}
        await bench.exit(handle)
        await bench.compute.remove(handle)
        assert (elsewhere / "a.txt").read_text() == "a", "removing the run reached its data"

    async def test_resumes_anywhere_with_the_same_bytes(self, bench: Bench) -> None:
        handle = await bench.run(
            "from jupyter_mltrain import Run\nimport time\nrun = Run.get_context()\n"
            "for i in range(200):\n    run.log('loss', i); print('line', i); time.sleep(0.005)\n"
        )
        whole: dict[str, bytearray] = {}
        for taken in (1, 7, 30, 10_000_000):
            offsets = {name: len(data) for name, data in whole.items()}
            parts: dict[str, bytearray] = {}
            count = 0
            async for frame in bench.compute.stream(handle, offsets):
                add(parts, frame, offsets)
                count += len(frame.data)
                if count > taken:
                    break
            for name, data in parts.items():
                whole.setdefault(name, bytearray()).extend(data)
        assert {name: bytes(data) for name, data in whole.items()} == await bench.streams(handle)
        assert whole["r0.log"].splitlines() == [b"line %d" % i for i in range(200)]

    async def test_a_restarted_service_finds_the_run(self, bench: Bench, compute: Compute) -> None:
        code = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('down'), exit(0)))\nprint('up')\ntime.sleep(600)"
        plan = bench.prepare(code)
        handle = await bench.launch(plan)
        await bench.said(handle, b"up")
        bench.compute = self.again(compute)
        if isinstance(compute, Foretelling):  # it may have been killed before it had the handle
            handle = compute.foretold(plan)
        handle = json.loads(json.dumps(handle))
        assert (await bench.compute.observe(handle)).phase is Phase.RUNNING
        await bench.compute.stop(handle, PATIENCE)
        assert await bench.log(handle) == "up\ndown\n"
        assert (await bench.exit(handle)).code == 0

    async def test_double_launch_is_one_run(self, bench: Bench, compute: Compute) -> None:
        plan = bench.prepare("import os, time; print(os.getpid()); time.sleep(0.5)")
        handles = await asyncio.gather(bench.launch(plan), bench.launch(plan), self.again(compute).launch(plan, {}))
        assert len((await bench.log(handles[0])).split()) == 1
        await bench.exit(handles[0])
        await bench.launch(plan)  # after its end, too
        assert (await bench.compute.observe(handles[0])).phase is Phase.EXITED
        assert len((await bench.log(handles[0])).split()) == 1

    async def test_heartbeats_go_on(self, bench: Bench) -> None:
        """How often they come is for a benchmark: a busy machine is late with them. That they come again is the contract."""
        handle = await bench.run(LONG)
        await bench.said(handle, b"up")
        fresh = 0
        async with asyncio.timeout(PATIENCE):
            while fresh < 3:
                seen = await bench.compute.observe(handle)
                assert seen.phase is Phase.RUNNING
                assert seen.started is not None
                assert seen.beat_age is not None
                fresh += seen.beat_age == 0
                await asyncio.sleep(0.1)

    # -- much that is said

    async def test_every_acknowledged_record_is_there_once(self, bench: Bench) -> None:
        handle = await bench.run(
            "from jupyter_mltrain import Run\nimport os, signal\nrun = Run.get_context()\n"
            "for i in range(5000): run.log('loss', float(i), step=i)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        streams = await bench.streams(handle)
        (metrics,) = (data for name, data in streams.items() if name.endswith(".metrics"))
        assert [json.loads(line)[1] for line in metrics.splitlines()] == list(range(5000))
        assert (await bench.exit(handle)).signal == signal.SIGKILL

    async def test_any_bytes_pass_the_log(self, bench: Bench) -> None:
        handle = await bench.run(
            "import sys; sys.stdout.buffer.write(bytes(range(256)) * 300 + b'F 0 9 r0.log\\nE\\n')"
        )
        assert (await bench.streams(handle))["r0.log"] == bytes(range(256)) * 300 + b"F 0 9 r0.log\nE\n"

    async def test_a_line_of_100_mb_in_bounded_memory(self, bench: Bench) -> None:
        handle = await bench.run("import sys\nfor _ in range(100): sys.stdout.write('x' * 1_000_000)")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = largest = 0
        async for frame in bench.compute.stream(handle, {}):
            if frame.stream != "r0.log":
                continue  # samples of what it uses
            assert frame.data.count(b"x") == len(frame.data)
            size += len(frame.data)
            largest = max(largest, len(frame.data))
        assert size == 100_000_000
        assert largest <= 1 << 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # kB

    # -- resources

    async def test_cpus_are_those_granted(self, bench: Bench) -> None:
        handle = await bench.run("import os; print(len(os.sched_getaffinity(0)))", grant=Grant(cpus=1))
        assert await bench.log(handle) == "1\n"

    # -- files

    async def test_collects_all_that_the_run_made(self, bench: Bench) -> None:
        code = (
            "import os\n"
            "os.makedirs('outputs/a/b'); open('outputs/a/b/model.bin', 'wb').write(bytes(3_000_000))\n"
            "open('outputs/' + 'é' * 127 + 'x', 'w').write('long'); open('outputs/<script>.txt', 'w').write('s')\n"
            "open('logs/events', 'w').write('e'); os.mkdir('ckpt'); open('ckpt/w', 'w').write('weights')\n"
            "os.symlink('../ckpt', 'outputs/link'); os.symlink('/nonexistent', 'outputs/broken')\n"
            "os.symlink('a', 'outputs/inner'); os.mkfifo('outputs/pipe'); open('outputs/empty', 'w')\n"
            "open('train.py', 'a').write('# changed'); os.chmod('outputs/a/b', 0o500)\n"
        )
        plan = bench.prepare(code)
        handle = await bench.launch(plan)
        assert (await bench.exit(handle)).code == 0, await bench.log(handle)
        into = bench.record(plan.run_id)
        for _ in range(2):
            await bench.compute.collect(handle, into)
        outputs = into / "outputs"
        assert (outputs / "a/b/model.bin").stat().st_size == 3_000_000
        assert (outputs / ("é" * 127 + "x")).read_text() == "long"
        assert (outputs / "<script>.txt").read_text() == "s"
        assert (outputs / "empty").read_bytes() == b""
        assert (outputs / "inner/b/model.bin").exists()
        assert (into / "logs/events").read_text() == "e"
        for _ in range(2):
            await bench.compute.remove(handle)
        # What lay elsewhere in the working folder is gone with it, but not what the outputs pointed to.
        assert (outputs / "link/w").read_text() == "weights"
        assert not (into / "work").exists()
        rerun = bench.prepare(code)
        assert (bench.record(rerun.run_id) / "snapshot.json").read_text() == (into / "snapshot.json").read_text()
        blobs = [path for path in bench.blobs.rglob("*") if path.is_file()]
        assert all(b"# changed" not in path.read_bytes()[-12:] for path in blobs)
