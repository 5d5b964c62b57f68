"""A run as a notebook holds it. In a script, `Run.get_context()` gives the other implementation: the run client's."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jupyter_mltrain.api.run_logging import RunLogging
from jupyter_mltrain.api.run_ranks import RunProcesses
from jupyter_mltrain.api.run_tree import RunTree
from jupyter_mltrain.api.streaming import LogPrinter, stream_log
from jupyter_mltrain.core.ids import new_run_id
from jupyter_mltrain.core.spec import NOTEBOOK
from jupyter_mltrain.core.status import TERMINAL, Status
from jupyter_mltrain.errors import MLTrainError, PathNotFound, RunFailed

if TYPE_CHECKING:
    from jupyter_mltrain.api.environment import Environment
    from jupyter_mltrain.api.experiment import Experiment
    from jupyter_mltrain.api.model import Model
    from jupyter_mltrain.api.resources import ResourceConfiguration
    from jupyter_mltrain.api.workspace import Workspace
    from jupyter_mltrain.core.wire import Failure, LogFile, RunState, SeriesWindow
    from jupyter_mltrain.figures import Figure

_ENDED = frozenset(s.value for s in TERMINAL)
_POST_PROCESSING = frozenset({Status.FINALIZING.value, Status.CANCEL_REQUESTED.value})
_WAIT = 25.0


SCRIPT_TYPE, NOTEBOOK_TYPE = "mltrain.scriptrun", "mltrain.notebookrun"


class Run(RunLogging, RunProcesses, RunTree):
    """One run of an experiment: live or ended, in any kernel, by its id. As a cell's value it shows its card."""

    def __init__(self, experiment: Experiment, run_id: str) -> None:
        self.experiment = experiment
        self.workspace: Workspace = experiment.workspace
        self.id = run_id
        self._state: RunState | None = None

    @classmethod
    def of(cls, workspace: Workspace, state: RunState) -> Run:
        """The run that a state from the service describes."""
        from jupyter_mltrain.api.experiment import Experiment  # noqa: PLC0415 - each knows the other

        run = cls(Experiment(workspace, state["experiment"]), state["id"])
        run._state = state
        return run

    @staticmethod
    def get_context(allow_offline: bool = True) -> Any:
        """In a submitted script: its run. Elsewhere an offline run that prints what it is given, or, without
        `allow_offline`, a `RuntimeError`."""
        from jupyter_mltrain import runclient  # noqa: PLC0415 - only scripts need it

        return runclient.context(allow_offline=allow_offline)

    @property
    def state(self) -> RunState:
        """What the service last said of the run (see `refresh`)."""
        return self._state if self._state is not None else self.refresh()

    @property
    def display_name(self) -> str:
        """The name a person can remember: `brave-otter-7`."""
        return str(self.state["display_name"])

    @property
    def number(self) -> int:
        """Counts the workspace's runs, from 1."""
        return int(self.state["number"])

    @property
    def type(self) -> str:
        """`mltrain.scriptrun`, or `mltrain.notebookrun` for one that a notebook logs itself."""
        return NOTEBOOK_TYPE if self._state and self._state["target"] == NOTEBOOK else SCRIPT_TYPE

    @property
    def status(self) -> str:
        """The status as last seen; `get_status()` asks."""
        return str(self.state["status"])

    def refresh(self, wait: float = 0) -> RunState:
        """Ask the service for the state. With `wait`, up to that many seconds (at most 30) for something new."""
        after = self._state["revision"] if self._state and wait else None
        found: RunState = self.workspace.connection.get(
            f"/v1/runs/{self.id}", after=after, wait=wait or None, timeout=30 + wait
        )
        self._state = found
        return found

    def get_status(self) -> str:
        """The present status, as the SDK spells it: `"Running"`, `"Completed"`, …"""
        if self._state is None or self._state["status"] not in _ENDED:
            self.refresh()
        return self.status

    def get_details(self) -> dict[str, Any]:
        """Id, target, status, times, properties and the definition of the run, in the SDK's shape."""
        state = self.refresh()
        failure = state.get("failure")
        return {
            "runId": state["id"],
            "target": state["target"],
            "status": state["status"],
            "startTimeUtc": _utc(state["started"]),
            "endTimeUtc": _utc(state["ended"]),
            "error": {"error": {"message": failure["title"], "details": failure["evidence"]}} if failure else None,
            "warnings": state["notices"],
            "properties": {**state["properties"], **{f"git.{k}": v for k, v in state["git"].items()}},
            "inputDatasets": state["data"],
            "runDefinition": self.workspace.connection.get(f"/v1/runs/{self.id}/spec"),
            "logFiles": {entry["name"]: entry["name"] for entry in self._logs()},
        }

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Block until the run has ended, streaming its log with `show_output`; returns `get_details()`.

        Raises `RunFailed` when it failed (not when it was canceled), unless `raise_on_error` is false. Interrupting
        stops the waiting, never the run. Without output it returns when the script has ended, before outputs are
        collected, unless `wait_post_processing`.
        """
        try:
            if show_output:
                self._stream()
            else:
                while not self._over(wait_post_processing):
                    self.refresh(wait=_WAIT)
        except KeyboardInterrupt:
            print(f'\nDetached: the run goes on. `mltrain.run("{self.display_name}")` gives it back.')  # noqa: T201
            raise
        state = self.refresh()
        if raise_on_error and state["status"] == Status.FAILED.value:
            raise self._failed(state)
        return self.get_details()

    def cancel(self, *, keep: bool = False, give_up: bool = False) -> None:
        """Ask the run to end (TERM, after 10 s KILL, all its processes). Returns at once; `ConflictError` if it has ended.

        `keep`: stop but do not lose: five minutes between TERM and KILL to write a checkpoint; a script that then ends
        with exit code 0 has completed. `give_up`: do not wait any more for a host that does not answer: the run has then
        failed, and what may go on there is ended once the host is back; `ConflictError` while it answers.
        """
        asked = {"keep": keep, "give_up": give_up}
        self._state = self.workspace.connection.post(f"/v1/runs/{self.id}/cancel", asked, timeout=120)

    def rerun(self, *, gpus: int | None = None, cpus: int | None = None, memory_gb: float | None = None) -> Run:
        """The same run once more, with other resources where given. Raises `ConflictError` for a run with secrets."""
        resources = {"gpus": gpus, "cpus": cpus, "memory_gb": memory_gb}
        body = {"run_id": new_run_id(self.experiment.name), "resources": resources}
        return Run.of(self.workspace, self.workspace.connection.post(f"/v1/runs/{self.id}/rerun", body))

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,
        populate: bool = False,  # noqa: ARG002 - the SDK's: whether to fetch large ones, which are never left out here
        *,
        rank: int | Literal["all"] = 0,
    ) -> dict[Any, Any]:
        """All that was logged: name → value (logged once) or list; rows and tables as columns. With `name`, that one.

        Of a run of several processes what `rank` logged; `rank="all"`: rank → such a dictionary. `recursive`: run id → such a dictionary, for this run and all below it (those of `run_type`, if given).
        """
        if recursive:
            below = [run for run in self.get_children(recursive=True) if run_type in (None, run.type)]
            return {run.id: run.get_metrics(name, rank=rank) for run in [self, *below]}
        if rank == "all":
            return {one: self.get_metrics(name, rank=one) for one in range(self.refresh()["processes"])}
        values: dict[str, Any] = self.workspace.connection.get(
            f"/v1/runs/{self.id}/values", timeout=120, **({"rank": rank} if rank else {})
        )
        if name is None:
            return values
        return {name: values[name]} if name in values else {}

    def series(self, name: str, *, rank: int = 0, points: int = 2000) -> SeriesWindow:
        """A metric for drawing: `steps`, `times` (seconds since the epoch) and `values`, about `points` of `total` with
        every extreme among them; what is not finite by its name ("NaN"). Empty for a metric that was not logged."""
        path = f"/v1/runs/{self.id}/series"
        return self.workspace.connection.get(path, name=name, rank=rank, points=points)

    def figure(self) -> Figure:
        """A Plotly figure: one chart per metric of rank 0."""
        from jupyter_mltrain.figures import metric_figure  # noqa: PLC0415 - Plotly is loaded when asked for

        names = [metric["name"] for metric in self.refresh()["metrics"] if metric["rank"] == 0]
        return metric_figure({name: [(self.display_name, self.series(name))] for name in names})

    def get_file_names(self) -> list[str]:
        """All files of the run: `outputs/…`, `logs/…`, `user_logs/…`."""
        return [f["path"] for f in self.workspace.connection.get(f"/v1/runs/{self.id}/files")["files"]]

    def download_file(self, name: str, output_file_path: str | Path | None = None) -> None:
        """Copy one of the run's files to `output_file_path` (default: its last part, in the current folder)."""
        target = Path(output_file_path) if output_file_path is not None else Path(name).name
        target = Path(target)
        if target.is_dir():
            target /= Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.workspace.connection.download(f"/v1/runs/{self.id}/file", target, path=name)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | Path | None = None,
        output_paths: list[str] | None = None,
        batch_size: int = 100,  # noqa: ARG002 - the SDK's argument; there is no network to batch for
        append_prefix: bool = True,
    ) -> None:
        """Copy the files below `prefix` (default: all) into `output_directory`, or, one by one, to `output_paths`.

        With `append_prefix=False` the prefix is left out of their paths. Raises `PathNotFound` when none match.
        """
        given = (prefix or "").removeprefix("./").rstrip("/")
        names = [n for n in self.get_file_names() if not given or n == given or n.startswith(given + "/")]
        if not names:
            raise PathNotFound.of(given, self.get_file_names())
        base = Path(output_directory) if output_directory is not None else Path()
        for index, name in enumerate(names):
            if output_paths is not None:
                target = base / output_paths[index]
            else:
                target = base / (
                    name if append_prefix or not given else name[len(given) :].lstrip("/") or Path(name).name
                )
            self.download_file(name, target)

    def tag(self, key: str, value: str | None = None) -> None:
        """Add a tag."""
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags."""
        given = {key: str(value) for key, value in tags.items()}
        self._change(tags={**self.refresh()["tags"], **given})

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Take tags away; those that are not there are no error."""
        gone = {tags} if isinstance(tags, str) else set(tags)
        self._change(tags={key: value for key, value in self.refresh()["tags"].items() if key not in gone})

    def get_tags(self) -> dict[str, str]:
        return dict(self.refresh()["tags"])

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties, which never change: raises `ConflictError` for one that is there with another value."""
        self._change(properties={key: str(value) for key, value in properties.items()})

    def get_properties(self) -> dict[str, str]:
        return dict(self.refresh()["properties"])

    def _change(self, **changes: Any) -> None:
        self._state = self.workspace.connection.patch(f"/v1/runs/{self.id}", changes)

    def get_environment(self) -> Environment:
        """The environment that the run had, in its version."""
        from jupyter_mltrain.api.environment import Environment  # noqa: PLC0415 - only here

        used = self.refresh()["environment"]
        return Environment.get(self.workspace, used["name"], used["version"])

    def get_snapshot_id(self) -> str:
        """What names the files that the run got: the digest of their list."""
        return str(self.state["snapshot"]["digest"])

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | Path | None = None) -> str:
        """Write the files that the run got into `<snapshot id>.zip` in the folder `path` (default: a temporary one), and
        return its path. Raises `PathNotFound` for another run's `snapshot_id`."""
        there = self.get_snapshot_id()
        if snapshot_id not in (None, there):
            raise PathNotFound.of(str(snapshot_id), [there])
        folder = Path(path) if path is not None else Path(tempfile.mkdtemp(prefix="snapshot-"))
        folder.mkdir(parents=True, exist_ok=True)
        target = folder.resolve() / f"{there}.zip"
        self.workspace.connection.download(f"/v1/runs/{self.id}/snapshot", target)
        return str(target)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Sequence[tuple[str, Any]] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> Model:
        """Register a file or folder of the run's outputs as the next version of `model_name`.

        `model_path` defaults to the model that the outputs hold. The same content as an earlier version gives that
        version. `datasets`: (role, dataset) each, kept as tags beside the run's own data. Raises `PathNotFound` listing
        what is there, `InvalidName`.
        """
        from jupyter_mltrain.api.model import Model  # noqa: PLC0415 - each knows the other
        from jupyter_mltrain.api.model_registry import about  # noqa: PLC0415 - only here

        said = about(
            tags,
            properties,
            description,
            model_framework,
            model_framework_version,
            datasets,
            resource_configuration,
            sample_input_dataset,
            sample_output_dataset,
        )
        body = {"name": model_name, "path": model_path or "outputs", **said}
        return Model.of(self.workspace, self.workspace.connection.post(f"/v1/runs/{self.id}/models", body, timeout=600))

    def get_log(self, name: str = "user_logs/std_log.txt", tail: int | None = None) -> str:
        """The text of a log, or its last `tail` bytes (at most 8 MB either way)."""
        limit = min(tail or 8 << 20, 8 << 20)
        data, _ = self.workspace.connection.bytes(f"/v1/runs/{self.id}/log", name=name, offset=-limit, limit=limit)
        return data.decode(errors="replace")

    def _over(self, wait_post_processing: bool) -> bool:
        status = self.get_status()
        if status in _ENDED or wait_post_processing:
            return status in _ENDED
        # A failure is told with its cause, which is looked for while outputs are collected.
        return status in _POST_PROCESSING and self.state.get("outcome") != Status.FAILED.value

    def _logs(self) -> list[LogFile]:
        return list(self.workspace.connection.get(f"/v1/runs/{self.id}/logs")["logs"])

    def _stream(self) -> None:
        printer = LogPrinter()
        view = f"%mltrain show {self.display_name}"
        printer.line(f"RunId: {self.id}\nWeb View: {view}\n")
        stream_log(self, printer)
        state = self.refresh()
        while state["status"] not in _ENDED:
            state = self.refresh(wait=_WAIT)
        printer.line(f"\nExecution Summary\n=================\nRunId: {self.id}\nWeb View: {view}\n")
        if state["notices"]:
            printer.line("Warnings:\n" + "\n".join(state["notices"]) + "\n")

    def _failed(self, state: RunState) -> RunFailed:
        unknown: Failure = {"title": "The run failed.", "evidence": [], "traceback": None, "rank": None, "mend": ""}
        failure = state["failure"] or unknown
        facts = "; ".join(str(e).splitlines()[0] for e in failure["evidence"][:3] if e)
        message = f"{self.display_name} failed: {failure['title']}" + (f" ({facts})" if facts else "")
        mend = failure["mend"] or f'`mltrain.run("{self.display_name}")` has its log and what it left.'
        return RunFailed(message, mend=mend, run_id=self.id, failure=failure)

    def _ipython_display_(self) -> None:
        """In a kernel: the card, kept up to date until the run has ended. Elsewhere IPython shows what the others say."""
        from jupyter_mltrain.widgets import live_output  # noqa: PLC0415 - only when shown

        shell = live_output.kernel_shell()
        if shell is None:
            raise NotImplementedError
        try:
            self.refresh()
        except MLTrainError:
            # One that cannot be asked is shown as it was last seen.
            if self._state is None:
                raise NotImplementedError from None
        live_output.RunOutput(shell, self, live_output.variable_of(self, shell.user_ns)).display()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mltrain.widgets.output import bundle  # noqa: PLC0415 - only when shown

        return bundle(self.refresh(), self.workspace.connection, bound_to="")

    def __repr__(self) -> str:
        status = self._state["status"] if self._state else "unknown"
        return f"Run(Experiment: {self.experiment.name},\nId: {self.id},\nType: {self.type},\nStatus: {status})"


def _utc(seconds: float | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
