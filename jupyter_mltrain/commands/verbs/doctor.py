"""`doctor`: what is where, and what is wrong, each with its mend.

The kernel, the Jupyter server and the service may live in three Python environments; each is asked, or looked at.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain._version import PROTOCOL, __version__
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, size
from jupyter_mltrain.errors import MLTrainError

if TYPE_CHECKING:
    from jupyter_mltrain.client.connection import Connection

_LITTLE = 5e9
"""Bytes; a TensorFlow environment takes 2 GB, its build some more."""

_EXTENSION = Path("share", "jupyter", "labextensions", "jupyter-mltrain")


@dataclass
class Findings:
    """Facts by what they are about, and problems with their mends."""

    facts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def fact(self, about: str, value: object) -> None:
        self.facts.append((about, str(value)))

    def problem(self, what: str, mend: str) -> None:
        self.problems.append((what, mend))


class Report(Table[tuple[str, str]]):
    """What the doctor found. `problems`: (problem, mend) pairs; empty when all is well."""

    def __init__(self, found: Findings) -> None:
        self.problems = list(found.problems)
        note = "\n".join(f"✗ {what}\n  {mend}" for what, mend in self.problems) or "✓ Nothing wrong was found."
        super().__init__(("", ""), found.facts, items=found.facts, note=note, longest=500)


def doctor(context: Context) -> Report:
    """Look at the kernel, the Jupyter server, the workspace and its service. Never raises for what it finds wrong."""
    found = Findings()
    for look in (_kernel, _server, _graphics, _workspace):
        _noted(found, context, look)
    return Report(found)


def _noted(found: Findings, context: Context, look: Callable[[Findings, Context], None]) -> None:
    try:
        look(found, context)
    except MLTrainError as error:
        found.problem(error.message, error.mend)
    except OSError as error:
        found.problem(f"{look.__name__.strip('_')}: {error}", "")


def _kernel(found: Findings, context: Context) -> None:
    found.fact("jupyter_mltrain", f"{__version__} (protocol {PROTOCOL})")
    found.fact("terminal" if context.terminal else "kernel", f"Python {platform.python_version()}, {sys.executable}")
    found.fact("machine", f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} CPUs")
    if sys.platform == "win32":
        found.problem("Windows runs this through WSL2 alone.", "Install WSL2, and start Jupyter inside it.")
    elif sys.platform != "linux":
        found.problem(f"{platform.system()} is supported as far as it goes.", "For full support use Linux.")


def _server(found: Findings, context: Context) -> None:
    """The Jupyter server that started this kernel: its Python, and whether our front end is installed there."""
    if context.terminal:
        return
    command = _command_of(os.environ.get("JPY_PARENT_PID", ""))
    python = Path(command[0]) if command else None
    if python is None or not python.is_absolute() or not any("jupyter" in Path(word).name for word in command[1:]):
        found.fact("Jupyter server", "none that can be seen from here (nbclient, VS Code, a server on another host)")
        return
    prefix = python.parent.parent
    version = _version("jupyterlab") if prefix == Path(sys.prefix) else None
    found.fact("Jupyter server", f"{python}{f', JupyterLab {version}' if version else ''}")
    if not any((Path(place) / _EXTENSION).is_dir() for place in (prefix, "/usr/local", "/usr")):
        found.problem(
            f"The Jupyter server's environment ({prefix}) lacks the front end: outputs are pictures, not live.",
            f"{python} -m pip install jupyter-mltrain, then restart the server.",
        )


def _graphics(found: Findings, context: Context) -> None:
    del context
    driver = Path("/proc/driver/nvidia/version")
    tool = shutil.which("nvidia-smi")
    if driver.is_file() and tool is None:
        found.problem(
            "An NVIDIA driver is loaded, and `nvidia-smi` is not found.",
            "Install the driver's user tools (`nvidia-utils`).",
        )
    elif tool and not driver.is_file() and not Path("/dev/dxg").exists():
        found.problem(
            "`nvidia-smi` is there, and no NVIDIA driver is loaded.",
            "Load it (`modprobe nvidia`), or start the container with GPUs.",
        )


def _workspace(found: Findings, context: Context) -> None:
    from jupyter_mltrain.client.starter import check_locks  # noqa: PLC0415 - nothing is loaded before it is used
    from jupyter_mltrain.client.workspaces import find_root, registered  # noqa: PLC0415
    from jupyter_mltrain.core.layout import Layout  # noqa: PLC0415

    root = find_root(context.folder)
    if root is None:
        found.fact("workspace", f"none in {context.folder} or above; the first `%%mltrain` makes one here")
        _space(found, context.folder)
        return
    workspace = context.workspace()
    found.fact("workspace", f"{workspace.name}, {root}")
    check_locks(Layout(root))
    found.fact("file locks", "work")
    connection = workspace.connection
    if registered(workspace.id) != root:
        found.problem(
            "The workspace is not in your registry, so saved outputs do not find it.",
            "Make ~/.local/state writable, or set JUPYTER_MLTRAIN_STATE to a folder that is.",
        )
    _service(found, root, connection)


def _service(found: Findings, root: Path, connection: Connection) -> None:
    answer = connection.get("/v1/doctor", timeout=60)
    facts: dict[str, Any] = dict(answer["facts"])
    service: Mapping[str, Any] = facts.pop("service", {})
    found.fact(
        "service",
        f"{service.get('version')} (protocol {service.get('protocol')}), {service.get('python')}, pid {service.get('pid')}",
    )
    if service.get("version") != __version__:
        found.problem(
            f"The service is version {service.get('version')}, this is {__version__}.",
            "Install the same version where both run; the service follows the newer at the next request.",
        )
    facts.pop("workspace", None)
    _space(found, root, told=bool(answer["problems"]))
    targets: Mapping[str, Mapping[str, Any]] = facts.pop("targets", {})
    for name, target in targets.items():
        gpus = ", ".join(target["gpus"]) or "no GPU"
        many = f"{target['slots']} nodes, each" if target.get("each") else f"{target['slots']} runs at once,"
        found.fact(f"target {name}", f"{many} {target['cpus']} CPUs, {target['memory_gb']} GB, {gpus}")
    for about, value in facts.items():
        found.fact(about, ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value)  # pyright: ignore[reportUnknownVariableType]
    for problem in answer["problems"]:
        found.problem(problem["problem"], problem["mend"])


def _space(found: Findings, folder: Path, *, told: bool = False) -> None:
    free = shutil.disk_usage(folder).free
    found.fact("disk", f"{size(free)} free")
    if free < _LITTLE and not told:
        found.problem(f"Only {size(free)} are free.", "A TensorFlow environment takes 2 GB.")


def _command_of(pid: str) -> list[str]:
    """The command line of a process; its first word is the interpreter of its virtual environment. Empty if unknown."""
    try:
        raw = Path("/proc", pid, "cmdline").read_bytes() if pid.isdigit() else b""
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0") if word]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
