"""Containers on this machine's engine: a run's first line and its outputs beside `docker run` by hand; environments."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.place import SCRIPTS, Place, end, wait
from benchmarks.samples import in_turns, median_difference, milliseconds, spread
from benchmarks.table import Row
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.docker import DockerCompute as Box
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.target import ComputeTarget
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.computes.docker import DockerCompute, maker
from jupyter_mltrain.core.compute import EnvironmentOrder, ReadyEnvironment
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.environments import Environments
from tests.hosts import shared
from tests.hosts.daemon import Engine

FIRST_LINE_BAR = 1.5
SECOND_BAR = 10.0
COLLECT_BAR = 2.0

_TENSORFLOW = "tensorflow-cpu==2.21.0"
_OUTPUT = 50_000_000


def measure(place: Place, *, quick: bool) -> list[Row]:
    with shared.engine() as engine:
        workspace = place.workspace("docker")
        ComputeTarget.attach(
            workspace, "box", Box.attach_configuration(engine.url, base_image=engine.image, max_nodes=1)
        )
        rows = [
            _first_line(workspace, engine, place, 3 if quick else 12),
            _collected(workspace, engine, 1 if quick else 5),
        ]
        end(workspace)
        if not quick:
            rows += asyncio.run(_environments(engine, place.folder / "environments"))
        return rows


# -- a run -------------------------------------------------------------------------------------------------------------


def _submit(workspace: Workspace, script: str, *arguments: str) -> Run:
    environment = Environment("small")
    environment.python.conda_dependencies.add_pip_package("six==1.17.0")
    files = {script: (SCRIPTS / script).read_text(encoding="utf-8")}
    config = ScriptRunConfig(
        script=script,
        files=files,
        arguments=arguments,
        compute_target="box",
        environment=environment.register(workspace),
    )
    return Experiment(workspace, "benchmarks").submit(config)


def _said(run: Run) -> float:
    """The time that the script printed."""
    data = run.workspace.connection.bytes(f"/v1/runs/{run.id}/log", name="user_logs/std_log.txt")[0]
    return float(data.split()[-1])


def _first_line(workspace: Workspace, engine: Engine, place: Place, pairs: int) -> Row:
    run = _submit(workspace, "now_printed.py")
    wait(run)
    record = workspace.root / ".mltrain" / "runs" / run.id
    python, image = _made(record)
    script = place.folder / "now_printed.py"
    script.write_text((SCRIPTS / "now_printed.py").read_text())
    by_hand = [
        *("run", "--rm", "--init", "--user", "1000:1000", "--volume", "mltrain-environments:/mltrain/environments:ro"),
        *("--volume", f"{script}:/script.py:ro", "--entrypoint", python, image, "/script.py"),
    ]

    def as_run() -> float:
        started = time.time()
        run = _submit(workspace, "now_printed.py")
        wait(run)
        return _said(run) - started

    def plainly() -> float:
        started = time.time()
        return float(engine.docker(*by_hand)) - started

    ours, plain = in_turns(pairs, as_run, plainly)
    cost = median_difference(ours, plain)
    baseline = f"docker run {milliseconds(statistics.median(plain))}, median of {pairs} pairs"
    return Row(
        "container: first line of user code over `docker run`",
        milliseconds(cost),
        "≤ 1.5 s",
        baseline,
        cost <= FIRST_LINE_BAR,
    )


def _made(record: Path) -> tuple[str, str]:
    """Interpreter and image of a run's container, as its environment has them."""
    doc = json.loads((record / "state.json").read_text(encoding="utf-8"))
    prepared = doc["doc"]["prepared"]
    return prepared["python"], prepared["image"]


def _collected(workspace: Workspace, engine: Engine, samples: int) -> Row:
    took: list[float] = []
    for _ in range(samples):
        run = _submit(workspace, "outputs.py", str(_OUTPUT))
        wait(run)
        stage = next(one for one in run.refresh()["stages"] if one["name"] == "Finalizing")
        took.append(stage["ended"] - stage["started"])
    name = f"bench-{secrets.token_hex(4)}"
    make = ["--entrypoint", "head", engine.image, "-c", str(_OUTPUT), "/dev/urandom"]
    with (Path(workspace.root) / "made").open("wb") as file:
        subprocess.run([*engine.command, "run", "--rm", *make], stdout=file, check=True)
    engine.docker("create", "--name", name, engine.image)
    engine.docker("cp", Path(workspace.root) / "made", f"{name}:/made")
    started = time.monotonic()
    engine.docker("cp", f"{name}:/made", Path(workspace.root) / "back")
    plain = time.monotonic() - started
    engine.docker("rm", name)
    middle = statistics.median(took)
    return Row(
        "container: 50 MB of outputs collected",
        spread(took),
        "≤ 2 s",
        f"docker cp {milliseconds(plain)}",
        middle <= COLLECT_BAR,
    )


# -- environments ------------------------------------------------------------------------------------------------------


async def _environments(engine: Engine, folder: Path) -> list[Row]:
    """In a volume of their own: the first with nothing there yet, the second with all but one small package."""
    compute = DockerCompute(url=engine.url, base_image=engine.image)
    here = Environments(folder)
    volume, maker.ENVIRONMENTS = maker.ENVIRONMENTS, f"mltrain-bench-{secrets.token_hex(4)}"
    try:
        platform = await compute.platform()
        first = await _prepared(compute, _order(here, platform, "first", _TENSORFLOW))
        before = _bytes(engine)
        second = await _prepared(compute, _order(here, platform, "second", _TENSORFLOW, "colorama==0.4.6"))
        more = _bytes(engine) - before
    finally:
        engine.docker("volume", "rm", "--force", maker.ENVIRONMENTS, seconds=600)
        maker.ENVIRONMENTS = volume
    by_hand = _by_hand(engine)
    again = f"{second.seconds:.1f} s, {more / 1e6:.0f} MB more"
    return [
        Row(
            "container: first environment (TensorFlow)",
            f"{first.seconds:.1f} s, {first.bytes / 1e6:.0f} MB",
            "",
            by_hand,
            None,
        ),
        Row("container: second environment, shares packages", again, "≤ 10 s", by_hand, second.seconds <= SECOND_BAR),
    ]


def _order(here: Environments, platform: str, name: str, *pip: str) -> EnvironmentOrder:
    stored = here.register(EnvironmentDefinition(name, pip=pip, imports=("tensorflow",)), log=lambda _: None)
    return here.order(f"{stored.name}:{stored.version}", platform, log=lambda _: None)


async def _prepared(compute: DockerCompute, order: EnvironmentOrder) -> ReadyEnvironment:
    return await compute.prepare(order, lambda _: None, lambda _: None)


def _bytes(engine: Engine) -> int:
    """What the volume takes on disk, each file once."""
    volume = ["--volume", f"{maker.ENVIRONMENTS}:/e:ro", "--entrypoint", "du", engine.image]
    return int(engine.docker("run", "--rm", *volume, "-sk", "/e").split()[0]) * 1024


def _by_hand(engine: Engine) -> str:
    started = time.monotonic()
    script = f"python3 -m venv /e && /e/bin/pip install --quiet {_TENSORFLOW} && /e/bin/python -c 'import tensorflow'"
    engine.docker("run", "--rm", "--entrypoint", "sh", engine.image, "-c", script, seconds=600)
    return f"docker run … pip install {time.monotonic() - started:.0f} s"
