"""What to run: a script or command, its arguments, environment, data and resources."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.distributed import DistributedConfiguration, distribution
from jupyter_mltrain.api.resuming import Resumed
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.compute import ComputeTarget
    from jupyter_mltrain.api.dataset import DatasetConsumptionConfig
    from jupyter_mltrain.api.environment import Environment
    from jupyter_mltrain.api.workspace import Workspace

    Argument = str | int | float | DatasetConsumptionConfig

DAY = 86_400


class RunConfiguration:
    """The part of a configuration that the SDK keeps in an object of its own: where to run, and in what.

    `config.run_config.environment = …` and `config.environment = …` are the same.
    """

    def __init__(self) -> None:
        self.target: str | ComputeTarget | None = None
        self.environment: str | Environment | None = None
        self.environment_variables: dict[str, str] = {}
        self.data_references: dict[str, Any] = {}
        """The SDK's: by name, references to the outputs of runs. Datasets are given as arguments."""


class ScriptRunConfig:
    """A run to submit; may be changed and submitted again.

    `source_directory`: folder that the run gets a copy of; `script`: a file in it, run by the environment's Python; or
    `command`: an argument list run as it is, or a line for the shell. `arguments`: texts, numbers, and datasets
    (`dataset.as_mount()`, which the script gets as a path). `compute_target`: a target or its name. `environment`: an
    `Environment`, a name, or NAME:VERSION; one that is not registered is at submission.
    `max_run_duration_seconds` counts running time, not waiting. `resume_from`: an earlier run (or its id, or its
    `_get_outputs_datapath()`), whose outputs the script gets, not to be written to, as `--resume-from FOLDER`.

    Beyond the SDK: `data`: (name, version or None, script option or "") each. `files`: path → text, added to the copy (a
    cell's code). `secrets`: variables whose values are never recorded. `gpus`, `cpus`, `memory_gb` (10⁹ bytes): per node,
    refused where the target cannot give them. `retries`: how many times the run is begun again, with what it has made,
    where its processes are lost (the machine was restarted, its container is gone). `limit_snapshot`: a source folder
    of more than 300 MiB or 2,000 files is refused, as the SDK does; False only warns, and so does the SDK's own
    variable AML_SNAPSHOT_NO_FILE_LIMIT.
    """

    def __init__(
        self,
        source_directory: str | Path | None = None,
        script: str | None = None,
        arguments: Sequence[Argument] | None = None,
        run_config: RunConfiguration | None = None,
        _telemetry_values: object = None,
        compute_target: str | ComputeTarget | None = None,
        environment: str | Environment | None = None,
        distributed_job_config: DistributedConfiguration | None = None,
        resume_from: object = None,
        max_run_duration_seconds: float | None = None,
        command: Sequence[Argument] | str | None = None,
        docker_runtime_config: object = None,
        *,
        environment_variables: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        data: Sequence[tuple[str, int | None, str]] = (),
        files: Mapping[str, str] | None = None,
        gpus: int | None = None,
        cpus: int | None = None,
        memory_gb: float | None = None,
        tags: Mapping[str, str] | None = None,
        display_name: str | None = None,
        limit_snapshot: bool = True,
        retries: int = 0,
    ) -> None:
        self.source_directory = source_directory
        self.script = script
        self.arguments: Sequence[Argument] = arguments if arguments is not None else []
        self.run_config = run_config if run_config is not None else RunConfiguration()
        if compute_target is not None:
            self.run_config.target = compute_target
        if environment is not None:
            self.run_config.environment = environment
        self.distributed_job_config = distributed_job_config
        self.resume_from = resume_from
        self.max_run_duration_seconds = max_run_duration_seconds
        self.command = command
        self.docker_runtime_config = docker_runtime_config
        """Kept; where a run is in a container, the target says how."""
        self.environment_variables = dict(environment_variables or {})
        self.secrets = dict(secrets or {})
        self.data = data
        self.files = dict(files or {})
        self.gpus, self.cpus, self.memory_gb = gpus, cpus, memory_gb
        self.tags = dict(tags or {})
        self.display_name = display_name
        self.limit_snapshot = limit_snapshot
        self.retries = retries

    @property
    def compute_target(self) -> str | ComputeTarget | None:
        return self.run_config.target

    @compute_target.setter
    def compute_target(self, target: str | ComputeTarget | None) -> None:
        self.run_config.target = target

    @property
    def environment(self) -> str | Environment | None:
        return self.run_config.environment

    @environment.setter
    def environment(self, environment: str | Environment | None) -> None:
        self.run_config.environment = environment

    def request(self, workspace: Workspace | None = None) -> dict[str, Any]:
        """The body of `POST /v1/runs`, without experiment and run id. Registers in `workspace` an environment and keeps
        the definition of a dataset that are not there yet.

        Raises `UsageError` for what no service can run.
        """
        if (self.script is None) == (self.command is None):
            raise UsageError("A ScriptRunConfig takes a script or a command, and not both.")
        distributed = distribution(self.distributed_job_config)
        resumed = Resumed(self.resume_from, self.run_config.data_references, workspace)
        consumed: dict[str, dict[str, Any]] = {}
        arguments = [_argument(each, consumed, workspace) for each in resumed.filled(self.arguments)]
        command = self.command
        if command is not None:
            words = ["sh", "-c", command] if isinstance(command, str) else command
            command = [_argument(each, consumed, workspace) for each in resumed.filled(words)]
        source = Path(self.source_directory).resolve() if self.source_directory is not None else None
        return {
            "script": self.script,
            "command": command,
            "arguments": arguments,
            "target": _name(self.run_config.target, "compute_target"),
            "environment": _environment(self.run_config.environment, workspace),
            "source_directory": str(source) if source else None,
            "files": dict(self.files),
            "data": [*({"name": n, "version": v, "argument": a} for n, v, a in self.data), *consumed.values()],
            "environment_variables": {**self.run_config.environment_variables, **self.environment_variables},
            "secrets": dict(self.secrets),
            "resources": {
                "gpus": self.gpus,
                "cpus": self.cpus,
                "memory_gb": self.memory_gb,
                "max_run_seconds": self.max_run_duration_seconds,
            },
            "tags": dict(self.tags),
            "display_name": self.display_name,
            "limit_snapshot": self.limit_snapshot and not os.environ.get("AML_SNAPSHOT_NO_FILE_LIMIT"),
            "kernel_python": sys.executable,
            **({"distribution": distributed} if distributed else {}),
            **({"resume_from": resumed.run} if resumed.run else {}),
            **({"retries": self.retries} if self.retries else {}),
        }


def _argument(given: Any, consumed: dict[str, dict[str, Any]], workspace: Workspace | None) -> str:
    """One word for the script; what it consumes goes to `consumed`, by name."""
    if hasattr(given, "path_on_compute"):
        body = given.request(workspace)
        if consumed.setdefault(body["name"], body) != body:
            raise UsageError(f"Two datasets are called {body['name']!r}.", mend="Name one with as_named_input(…).")
        return DATA_PLACEHOLDER + body["name"]
    if hasattr(given, "as_mount"):
        raise UsageError("An argument is a dataset itself.", mend="Give dataset.as_mount() or dataset.as_download().")
    # A bool would arrive as the text "False", which is true.
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise UsageError(
            f"The argument {given!r} is a {type(given).__name__}.", mend="Give texts and numbers; write str(…)."
        )
    return str(given)


def _name(given: Any, what: str) -> str | None:
    """A name, or the name of an object that has one."""
    name = getattr(given, "name", given)
    if name is not None and not isinstance(name, str):
        raise UsageError(f"{what} is a {type(given).__name__}.", mend="Give the object, or its name.")
    return name


def _environment(given: Any, workspace: Workspace | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    name = _name(given, "environment")
    if given.version is None:
        if workspace is None:
            raise UsageError(f"The environment {name!r} is not registered.", mend="env.register(workspace) does it.")
        given = given.register(workspace)
    return f"{name}:{given.version}"
