"""From a cell or file and its options to a run: the request as plain data first, then its effect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands import preflight
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.plan import Plan
from jupyter_mltrain.commands.values import DataOption
from jupyter_mltrain.core.ids import check_experiment
from jupyter_mltrain.errors import PathNotFound, UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.config import ScriptRunConfig
    from jupyter_mltrain.api.distributed import DistributedConfiguration
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace

DATA_ARGUMENT = "--data-folder"
"""What the first dataset is passed as when nothing else is said; the article's script reads it."""

_FIRST_LINE = "# %%mltrain"
"""Stands for the cell's first line, so that the lines of a traceback are those of the cell."""


@dataclass(frozen=True)
class Source:
    """What runs: `text` under the name `script`; `kind` is what messages call it (see `preflight.Script`)."""

    text: str
    script: str
    kind: str

    @classmethod
    def of_cell(cls, cell: str) -> Source:
        """A cell without its first line; raises `UsageError` for one with nothing in it."""
        if not cell.strip():
            raise UsageError(
                "The cell holds no script.",
                mend="Write the script below the `%%mltrain` line; a file: `%mltrain run FILE`.",
            )
        return cls(f"{_FIRST_LINE}\n{cell}" if cell.endswith("\n") else f"{_FIRST_LINE}\n{cell}\n", "cell.py", "cell")

    @classmethod
    def of_file(cls, path: str, folder: Path) -> Source:
        """A file, relative to `folder`; raises `PathNotFound`."""
        file = folder / Path(path).expanduser()
        if not file.is_file():
            near = [p.name for p in sorted(file.parent.glob("*.py"))] if file.parent.is_dir() else []
            raise PathNotFound.of(path, near)
        if file.suffix == ".ipynb":
            raise UsageError(
                f"{path} is a notebook, and `run` takes a script.",
                mend="Begin its cell with `%%mltrain`, or save it as a .py file.",
            )
        try:
            return cls(file.read_text(encoding="utf-8-sig"), file.name, file.name)
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not a Python script in UTF-8.", mend="Save it as UTF-8.") from error


@dataclass(frozen=True)
class Started:
    """A run that was just submitted; `variable` is to hold it, `wait` says whether to stay until it ends."""

    run: Run
    variable: str
    wait: bool


def start(context: Context, source: Source, options: Mapping[str, Any], *, file: str | None = None) -> Started | Plan:
    """Check the script, submit it and return at once; with `dry_run`, what would be started, and start nothing.

    `file` is the path a script was named by, None for a cell. Notices are said through the context. Raises
    `PreflightError` or another `UsageError` before anything exists, then what the service refuses.
    """
    experiment, config, notices = checked(context, source, options, file=file)
    workspace = context.workspace_or_new()
    if options.get("dry_run"):
        return _planned(workspace, experiment, config, notices)
    for notice in notices:
        context.say(f"Note: {notice}")
    from jupyter_mltrain.api.experiment import Experiment  # noqa: PLC0415 - nothing is loaded before it is used

    run = Experiment(workspace, experiment).submit(config)
    return Started(run, options.get("as") or "run", bool(options.get("wait")))


def checked(
    context: Context, source: Source, options: Mapping[str, Any], *, file: str | None = None
) -> tuple[str, ScriptRunConfig, list[str]]:
    """The experiment, what is to run in it, and notices. Looks at files, and changes nothing."""
    from jupyter_mltrain.api.config import ScriptRunConfig  # noqa: PLC0415

    experiment = check_experiment(options.get("experiment") or context.experiment)
    folder = _source_folder(options.get("source"), context.folder)
    script, files = _placed(source, folder, context.folder / file if file else None)
    notices = preflight.check(
        preflight.Script(source.text, source.kind),
        namespace={} if file else context.namespace,
        beside=_beside(context, file),
        snapshot=(folder / script).parent if folder else None,
    )
    config = ScriptRunConfig(
        source_directory=folder,
        script=script,
        files=files,
        arguments=tuple(options.get("arguments") or ()),
        # What is not said is left to the workspace's defaults.
        compute_target=options.get("target"),
        environment=str(options["env"]) if options.get("env") else None,
        data=data_inputs(options.get("data") or ()),
        resume_from=options.get("resume_from"),
        retries=options.get("retries") or 0,
        environment_variables=dict(options.get("set") or ()),
        secrets=_secrets(options.get("secret") or ()),
        gpus=options.get("gpus"),
        cpus=options.get("cpus"),
        memory_gb=options.get("memory"),
        distributed_job_config=_distributed(options),
        max_run_duration_seconds=options.get("max_run_time"),
        tags=dict(options.get("tag") or ()),
        limit_snapshot=False,  # told, not refused: the cell's author sees the notice
    )
    return experiment, config, notices


def data_inputs(options: Sequence[DataOption]) -> list[tuple[str, int | None, str]]:
    """The datasets as `ScriptRunConfig` takes them; raises `UsageError` where it is not clear how the script gets one."""
    inputs: list[tuple[str, int | None, str]] = []
    default_free = True
    for option in options:
        argument = option.argument
        if argument is None:
            if not default_free:
                name = option.dataset
                raise UsageError(
                    f"`--data {name}`: `{DATA_ARGUMENT}` is taken by the first dataset.",
                    mend=f"Say how the script takes it: `--data ARG={name}`, or `--data ={name}` for the variable alone.",
                )
            argument, default_free = DATA_ARGUMENT, False
        if any(name == option.dataset.name for name, _, _ in inputs):
            raise UsageError(
                f"The dataset {option.dataset.name!r} is given twice.",
                mend="Give it once; the script can read its folder twice.",
            )
        inputs.append((option.dataset.name, option.dataset.version, argument))
    return inputs


def _beside(context: Context, file: str | None) -> list[Path]:
    """The folders from which the kernel (or Python, for a file) would import local modules."""
    if file:
        return [(context.folder / file).resolve().parent]
    notebook = Path(context.notebook or "").parent
    return [context.folder, *([notebook] if notebook.is_absolute() and notebook != context.folder else [])]


def _source_folder(source: str | None, folder: Path) -> Path | None:
    if source is None:
        return None
    path = (folder / Path(source).expanduser()).resolve()
    if not path.is_dir():
        raise PathNotFound(
            f"`--source {source}`: there is no folder {path}.",
            mend="Name the folder that the script needs, such as `-s .`.",
        )
    return path


def _placed(source: Source, folder: Path | None, file: Path | None) -> tuple[str, dict[str, str]]:
    """The script's path in the snapshot, and the files that are added to it."""
    if folder is None:
        return source.script, {source.script: source.text}
    if file is not None:
        resolved = file.resolve()
        if resolved.is_relative_to(folder):
            return resolved.relative_to(folder).as_posix(), {}
        raise UsageError(f"{file} does not lie in {folder}.", mend=f"Name a folder that holds it: `-s {file.parent}`.")
    # A cell must not take the place of a file of the folder.
    script, number = source.script, 1
    while (folder / script).exists():
        number += 1
        script = f"cell_{number}.py"
    return script, {script: source.text}


def _distributed(options: Mapping[str, Any]) -> DistributedConfiguration | None:
    from jupyter_mltrain.api.distributed import MpiConfiguration, TensorflowConfiguration  # noqa: PLC0415

    horovod, tensorflow = ("nodes", "procs_per_node", "mpirun"), ("workers", "ps", "chief", "evaluator")
    said = [name for name in (*horovod, *tensorflow) if options.get(name)]
    patience = options.get("join_timeout")
    if not said:
        if patience:
            raise UsageError(
                "`--join-timeout` is for runs of several processes.", mend="Say how many: `--nodes 2`, `--workers 2`."
            )
        return None
    if any(name in horovod for name in said) and any(name in tensorflow for name in said):
        written = ", ".join(f"`--{name.replace('_', '-')}`" for name in said)
        raise UsageError(
            f"{written}: a run's processes find each other by Horovod or by tf.distribute.",
            mend="Horovod: `--nodes`, `--procs-per-node`; tf.distribute: `--workers`, `--ps`, `--chief`, `--evaluator`.",
        )
    if said[0] in horovod:
        return MpiConfiguration(
            options.get("procs_per_node") or 1, options.get("nodes") or 1, patience, bool(options.get("mpirun"))
        )
    return TensorflowConfiguration(
        options.get("workers") or 1,
        options.get("ps") or 0,
        bool(options.get("chief")),
        bool(options.get("evaluator")),
        patience,
    )


def _secrets(names: Sequence[str]) -> dict[str, str]:
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise UsageError(
            f"`--secret {missing[0]}`: the environment here has no {missing[0]}.",
            mend=f"Set it first: os.environ[{missing[0]!r}] = getpass.getpass()",
        )
    return {name: os.environ[name] for name in names}


def _planned(workspace: Workspace, experiment: str, config: ScriptRunConfig, notices: list[str]) -> Plan:
    request = {"experiment": experiment, **config.request(workspace)}
    # A plan needs the names of secrets, not their values.
    request["secrets"] = dict.fromkeys(request["secrets"], "")
    return Plan(request, workspace.connection.post("/v1/plan", request, timeout=600), notices)
