"""What several processes need of their environment, told before any of them starts."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path

from jupyter_mltrain.core.spec import MPI, Resources, RunSpec
from jupyter_mltrain.errors import PreflightError

_STRATEGIES = ("MultiWorkerMirroredStrategy", "ParameterServerStrategy")
_OF_KERAS = frozenset({"epochs", "steps_per_epoch", "validation_data", "callbacks", "batch_size"})
"""Arguments that tell Keras' `fit` from those of other libraries."""


def check_together(spec: RunSpec, packages: Iterable[str], script: str | None) -> None:
    """Raise `PreflightError` for what would surely fail. `packages`: `name==version` of all that the environment has;
    `script`: its text, None where it is not known."""
    if spec.distribution is None:
        return
    has = {name.lower().replace("_", "-"): version for name, _, version in (one.partition("==") for one in packages)}
    if spec.distribution.launcher == MPI and not spec.distribution.mpirun and "horovod" not in has:
        raise PreflightError(
            f"The environment {spec.environment!r} has no Horovod, which {spec.distribution.processes} processes are to"
            " find each other by.",
            mend="Name one that has it, such as `-e tensorflow-horovod`; for tf.distribute, ask for workers.",
        )
    if spec.distribution.launcher != MPI and has.get("keras", "").startswith("3.") and script is not None:
        _check_keras_3(spec, has["keras"], script)


def crowded(spec: RunSpec, given: Resources, cpus: int) -> list[str]:
    """What is to be said of processes that get in each other's way. `given`: what a node of the run has; `cpus`: of the whole
    target. More processes than CPUs train all the same, so that nothing is refused."""
    if spec.distribution is None:
        return []
    said: list[str] = []
    have = given.cpus * spec.nodes if given.cpus is not None else cpus
    if spec.distribution.processes > have:
        said.append(f"{spec.distribution.processes} processes have {have} CPUs between them: they take turns.")
    each = spec.distribution.processes_per_node
    if given.gpus and each > given.gpus:
        said.append(
            f"{each} processes of a node have {given.gpus} GPU{'s' if given.gpus > 1 else ''} between them: for some of them"
            " `hvd.local_rank()` is the number of none."
        )
    return said


def script_of(record: Path, blobs: Path, script: str | None) -> str | None:
    """The text of a run's script, from its snapshot; None where it has none, or no text. Blocking."""
    if script is None:
        return None
    manifest = json.loads((record / "snapshot.json").read_text("utf-8"))
    sha256 = next((file["sha256"] for file in manifest["files"] if file["path"] == script), None)
    try:
        return (blobs / sha256[:2] / sha256).read_text("utf-8") if sha256 else None
    except (OSError, ValueError):
        return None


def _check_keras_3(spec: RunSpec, version: str, script: str) -> None:
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # told by who needs it
    if spec.environment_variables.get("TF_USE_LEGACY_KERAS") or "TF_USE_LEGACY_KERAS" in script or "tf_keras" in script:
        return
    used = {node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}  # fmt: skip
    strategy = next((name for name in _STRATEGIES if name in used), None)
    line = next((node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and _fits(node)), None)
    if strategy is None or line is None:
        return
    raise PreflightError(
        f"Keras {version} of the environment {spec.environment!r} cannot `fit` under {strategy} ({spec.script}, line {line}).",
        mend="Take an environment with Keras 2, such as `-e tensorflow-2.12`, or write the loop yourself:"
        " `strategy.run(step)`.",
        line=line,
    )


def _fits(call: ast.Call) -> bool:
    """Whether that is Keras' `fit`."""
    of_object = isinstance(call.func, ast.Attribute) and call.func.attr == "fit"
    return of_object and any(keyword.arg in _OF_KERAS for keyword in call.keywords)
