"""`runs`, `show`, `cancel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, moment, seconds, size
from jupyter_mltrain.commands.grammar import nearest_of
from jupyter_mltrain.commands.lookup import find_run
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.comparison import Comparison
    from jupyter_mltrain.api.run import Run


def runs(
    context: Context, *, experiment: str | None = None, status: str | None = None, limit: int | None = None
) -> Table[Run]:
    """The newest runs (at most `limit`, default 20) as a table; iterating it gives `Run` objects."""
    from jupyter_mltrain.api.experiment import Experiment  # noqa: PLC0415 - nothing is loaded before it is used
    from jupyter_mltrain.api.run import Run  # noqa: PLC0415

    workspace = context.workspace()
    answer = workspace.connection.get("/v1/runs", experiment=experiment, status=_status(status), limit=limit or 20)
    found: list[Mapping[str, Any]] = answer["runs"]
    total = int(answer.get("total", len(found)))
    disk = workspace.connection.get("/v1/usage") if found else {}
    note = f"{len(found)} of {total} runs; on disk, all runs use {size(sum(disk.values()))}."
    return Table(
        ("run", "experiment", "status", "submitted", "took", "environment", "outputs"),
        [_row(state) for state in found],
        items=[Run(Experiment(workspace, state["experiment"]), state["id"]) for state in found],
        note=note if found else "",
        empty="No runs here yet." if experiment is None and status is None else "No run here is like that.",
    )


def show(context: Context, *, run: str) -> Run:
    """The run with that id or name (or `latest`), as a value that shows itself."""
    return find_run(context.workspace(), run)


def compare(context: Context, *, run: str, other: str, **more: Sequence[str]) -> Comparison:
    """Two runs side by side, and those of `--with`. Raises `RunNotFound` with the nearest names."""
    from jupyter_mltrain.api.comparison import compare as side_by_side  # noqa: PLC0415 - loaded when used

    workspace = context.workspace()
    return side_by_side(*(find_run(workspace, name) for name in (run, other, *more.get("with", ()))))


def rerun(
    context: Context, *, run: str, gpus: int | None = None, cpus: int | None = None, memory: float | None = None
) -> Run:
    """Submit the run once more, with other resources where given. Raises `ConflictError` for one with secrets."""
    return find_run(context.workspace(), run).rerun(gpus=gpus, cpus=cpus, memory_gb=memory)


def prune(
    context: Context, *, older_than: float | None = None, keep: int | None = None, yes: bool = False
) -> Table[Mapping[str, Any]]:
    """The runs that would be removed to make room, or, with `yes`, were. Pinned ones and those of a registered model stay."""
    asked: dict[str, Any] = {"dry_run": not yes}
    if older_than is not None:
        asked["older_than"] = older_than
    if keep is not None:
        asked["keep"] = keep
    answer = context.workspace().connection.post("/v1/prune", asked, timeout=600)
    found: list[Mapping[str, Any]] = answer["runs"]
    freed = size(int(answer["bytes"]))
    note = f"{len(found)} runs removed, {freed} freed." if yes else f"{len(found)} runs, {freed}: `--yes` removes them."
    return Table(
        ("run", "experiment", "status", "ended", "size"),
        [
            (row["display_name"], row["experiment"], row["status"], moment(row["ended"]), size(row["bytes"]))
            for row in found
        ],
        items=found,
        note=note if found else "",
        empty="No run is old enough, and unpinned, and without a registered model.",
    )


def cancel(context: Context, *, run: str, give_up: bool | None = None) -> Run:
    """Ask the run to stop, or, with `give_up`, wait no more for its host; returns it as it then stands. Raises
    `ConflictError` for one that has ended."""
    found = find_run(context.workspace(), run)
    found.cancel(give_up=bool(give_up))
    return found


def _row(state: Mapping[str, Any]) -> tuple[object, ...]:
    environment, outputs = state["environment"], state["outputs"]
    version = f":{environment['version']}" if environment.get("version") else ""
    return (
        state["display_name"],
        state["experiment"],
        state["status"],
        moment(state["created"]),
        seconds(state["duration"]),
        f"{environment['name']}{version}",
        size(outputs["bytes"]) if outputs["files"] else "",
    )


def _status(text: str | None) -> str | None:
    """The status as it is spelled, whatever the case it was written in."""
    if text is None:
        return None
    spelled = {status.value.lower(): status.value for status in Status}
    if text.lower() not in spelled:
        near = nearest_of(text.lower(), spelled)
        mend = (
            f"Did you mean {' or '.join(spelled[n] for n in near)}?"
            if near
            else f"They are: {', '.join(spelled.values())}."
        )
        raise UsageError(f"{text!r} is no status of a run.", mend=mend)
    return spelled[text.lower()]
