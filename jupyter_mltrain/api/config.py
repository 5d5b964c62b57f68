"""What to run: a script or command, its arguments, environment, data and resources."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mltrain.errors import UsageError

DAY = 86_400


@dataclass
class ScriptRunConfig:
    """A run to submit; may be changed and submitted again.

    `source_directory`: folder that the run gets a copy of; `script`: a file in it, run by the environment's Python; or
    `command`: an argument list run as it is. `arguments`: texts and numbers. `environment`: a name, or NAME:VERSION.
    `data`: (name, version or None, script option or "") each. `files`: path → text, added to the copy (a cell's code).
    `max_run_duration_seconds` counts running time, not waiting. Memory in GB (10⁹ bytes); per node.
    """

    source_directory: str | Path | None = None
    script: str | None = None
    arguments: Sequence[str | float] = ()
    compute_target: str | None = None
    environment: str | None = None
    command: Sequence[str] | None = None
    max_run_duration_seconds: float | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[tuple[str, int | None, str]] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None
    cpus: int | None = None
    memory_gb: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    display_name: str | None = None

    def request(self) -> dict[str, Any]:
        """The body of `POST /v1/runs`, without experiment and run id. Raises `UsageError` for what no service can run."""
        if (self.script is None) == (self.command is None):
            raise UsageError("A ScriptRunConfig takes a script or a command, and not both.")
        arguments: Sequence[Any] = self.arguments  # what a caller really gave
        for argument in arguments:
            if isinstance(argument, bool) or not isinstance(argument, str | int | float):
                raise UsageError(
                    f"The argument {argument!r} is a {type(argument).__name__}.",
                    mend="Give texts and numbers; write str(…).",
                )
        source = Path(self.source_directory).resolve() if self.source_directory is not None else None
        return {
            "script": self.script,
            "command": list(self.command) if self.command is not None else None,
            "arguments": [str(a) for a in arguments],
            "target": self.compute_target,
            "environment": self.environment,
            "source_directory": str(source) if source else None,
            "files": dict(self.files),
            "data": [{"name": n, "version": v, "argument": a} for n, v, a in self.data],
            "environment_variables": dict(self.environment_variables),
            "secrets": dict(self.secrets),
            "resources": {
                "gpus": self.gpus,
                "cpus": self.cpus,
                "memory_gb": self.memory_gb,
                "max_run_seconds": self.max_run_duration_seconds,
            },
            "tags": dict(self.tags),
            "display_name": self.display_name,
            "kernel_python": sys.executable,
        }
