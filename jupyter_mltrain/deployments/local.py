"""The engine `local`: endpoints are processes on this machine, on 127.0.0.1, each with a keeper of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jupyter_mltrain import runclient
from jupyter_mltrain.core.deployment import EndpointInputs, EndpointObservation, EndpointPlan, EndpointSpec
from jupyter_mltrain.deployments.injected.mltrain_endpoint.control import ask
from jupyter_mltrain.deployments.place import MODELS, Place
from jupyter_mltrain.deployments.starting import Start, living
from jupyter_mltrain.errors import WebserviceException
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

MAX_BODY = 64 << 20
"""Bytes of a request's body, at most."""
_START_SECONDS = 20.0
_STOP_SECONDS = 60.0
_FROM_MACHINE = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_FROM_MACHINE_TOO = ("LC_", "XDG_", "CUDA_", "NVIDIA_")


class LocalDeployer:
    """Processes on this machine."""

    name = "local"

    def plan(self, spec: EndpointSpec, inputs: EndpointInputs) -> EndpointPlan:
        place = Place(inputs.folder)
        revision, app = place.revision(spec.revision), place.app(spec.revision)
        inject = revision / "inject"
        models = [
            {
                "name": model.name,
                "version": model.version,
                "path": str(place.model(spec.revision, model.name, model.version, model.basename)),
                "format": model.format,
                "hash": model.content_hash,
                "seal": str(place.seal(spec.revision, model.name, model.version)),
            }
            for model in spec.models
        ]
        serve = {
            "name": spec.name,
            "models": models,
            "script": None if spec.entry_script is None else {"path": str(app / spec.entry_script)},
            "keys": str(place.keys),
            "overlay": list(inputs.overlay),
            "max_body": MAX_BODY,
        }
        chosen = {**inputs.variables, **spec.environment_variables}
        env = {
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": "1",
            "CUDA_VISIBLE_DEVICES": "-1",
            **chosen,
            "AZUREML_MODEL_DIR": str(_model_dir(app, spec)),
            "MLTRAIN_ENDPOINT": spec.name,
            "MLTRAIN_INJECT": str(inject),
            "MLTRAIN_PYTHON": inputs.python,
            "PYTHONPATH": f"{inject}:{chosen['PYTHONPATH']}" if chosen.get("PYTHONPATH") else str(inject),
        }
        return EndpointPlan(
            id=inputs.id,
            folder=str(inputs.folder),
            revision=spec.revision,
            argv=(inputs.python, str(inject / "mltrain_endpoint"), str(revision / "serve.json")),
            cwd=str(app),
            env=dict(sorted(env.items())),
            serve=serve,
            port=spec.port,
            memory_bytes=None if spec.memory_gb is None else round(spec.memory_gb * 1e9),
            cpus=inputs.cpus,
        )

    def apply(self, plan: EndpointPlan) -> None:
        place = Place(Path(plan.folder))
        revision = place.revision(plan.revision)
        inject = revision / "inject"
        runclient.inject(inject)
        shutil.copytree(
            Path(__file__).parent / "injected", inject, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        records.write(str(revision / "serve.json"), dict(plan.serve))
        document = plan.to_json()
        records.write(str(revision / "plan.json"), document)
        records.write(str(place.wanted), {"format": 1, "run": True, **document})
        self.keep(place.folder)

    def keep(self, folder: Path) -> None:
        place = Place(folder)
        wanted = records.read(str(place.wanted))
        if wanted is None or not wanted["run"] or records.is_held(str(place.lock)):
            return
        command = [sys.executable, "-P", "-m", "jupyter_mltrain.deployments.keeper", str(folder)]
        # Of the service's own variables only what describes the machine: endpoints outlive whoever started the service.
        env = {k: v for k, v in os.environ.items() if k in _FROM_MACHINE or k.startswith(_FROM_MACHINE_TOO)}
        env["PYTHONPATH"] = str(Path(runclient.__file__).parents[2])
        with place.log.open("ab") as log:
            process = subprocess.Popen(
                [*_in_scope(), *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        held = records.wait_for(lambda: records.is_held(str(place.lock)) or process.poll() is not None, _START_SECONDS)
        if not held or (process.poll() not in (None, 0)):
            raise WebserviceException("The endpoint's keeper did not start.", mend="The endpoint's log says more.")

    def observe(self, folder: Path) -> EndpointObservation:
        place = Place(folder)
        state = records.read(str(place.state))
        kept = records.is_held(str(place.lock))
        if state is None:
            return EndpointObservation("starting" if kept else "absent", kept=kept)
        start = place.starts / str(state.get("start"))
        serving = state.get("serving") if kept or _lives(start) else None
        about = state.get("about")
        return EndpointObservation(
            state=state["state"] if kept or serving or state["state"] in ("failed", "stopped") else "absent",
            serving=serving,
            handled=state.get("handled"),
            port=state.get("port"),
            pid=state.get("pid"),
            restarts=state.get("restarts", 0),
            since=state.get("since"),
            memory=Start(start).memory() if serving else 0,
            failure=state.get("failure"),
            about=about,
            kept=kept,
        )

    def summary(self, folder: Path) -> Any:
        """Counts and quantiles of the process that answers; without any where none does."""
        state = records.read(str(Place(folder).state)) or {}
        try:
            answer, _ = ask(str(Place(folder).starts / str(state.get("start"))), "health")
        except (OSError, ValueError):
            answer = {}
        keys = ("since", "requests", "of", "p50_ms", "p95_ms", "p99_ms")
        return {"requests": {}, "of": 0, **dict.fromkeys(("since", "p50_ms", "p95_ms", "p99_ms"))} | {
            key: answer[key] for key in keys if key in answer
        }

    def tell_keys(self, folder: Path) -> None:
        """Have keys that were changed hold from now on, also where the server does not read this machine's files."""
        state = records.read(str(Place(folder).state)) or {}
        with contextlib.suppress(OSError, ValueError):  # one that does not answer gets them when it starts
            ask(str(Place(folder).starts / str(state.get("start"))), "keys")

    def tidy(self, folder: Path) -> None:
        """Delete what belongs to revisions before the last but one that serves."""
        serving = self.observe(folder).serving
        for path in (folder / "revisions").glob("*"):
            if serving is not None and path.name.isdigit() and int(path.name) < serving - 1:
                shutil.rmtree(path, ignore_errors=True)

    def stop(self, folder: Path, grace: float) -> list[str]:
        place = Place(folder)
        wanted = records.read(str(place.wanted))
        if wanted is not None:
            records.write(str(place.wanted), {**wanted, "run": False, "grace": grace})
        records.wait_for(lambda: not records.is_held(str(place.lock)), grace + _STOP_SECONDS, 0.05)
        # What a keeper that was killed left behind.
        return [name for start in living(place) for name in start.stop(grace)]


def choose_cpus(count: float | None, taken: Iterable[Iterable[int]]) -> tuple[int, ...] | None:
    """The CPUs for a limit of `count` (a part of one counts as one): those that the fewest other endpoints are bound to.
    None where it may use all."""
    there = sorted(os.sched_getaffinity(0))
    if count is None or -(-count // 1) >= len(there):
        return None
    used = Counter(index for indexes in taken for index in indexes)
    return tuple(sorted(sorted(there, key=lambda index: used[index])[: max(1, int(-(-count // 1)))]))


def _model_dir(app: Path, spec: EndpointSpec) -> Path:
    """What the SDK's AZUREML_MODEL_DIR is: the version's folder of one model, the root of several."""
    if len(spec.models) == 1:
        return app / MODELS / spec.models[0].name / str(spec.models[0].version)
    return app / MODELS


def _lives(start: Path) -> bool:
    return start.exists() and not Start(start).ended()


def _in_scope() -> list[str]:
    # systemd ends what a user left behind at logout, but not a scope of its own.
    runtime, program = os.environ.get("XDG_RUNTIME_DIR", ""), shutil.which("systemd-run")
    if not runtime or program is None or not Path(runtime, "systemd", "private").exists():
        return []
    return [program, "--user", "--scope", "--quiet", "--collect", "--"]
