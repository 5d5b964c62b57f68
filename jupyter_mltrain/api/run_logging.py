"""What a notebook says about a run: the same calls that a script has, written to the same streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from jupyter_mltrain.api import interactive
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.spec import NOTEBOOK
from jupyter_mltrain.errors import ConflictError, UserErrorException

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from jupyter_mltrain.api.workspace import Workspace
    from jupyter_mltrain.core.wire import RunState

_CLIENT = "jupyter_mltrain.runclient.injected.jupyter_mltrain._run"


class RunLogging:
    """The part of `Run` that writes. Metrics can be added to any run of this workspace; only a run that this kernel began
    (`experiment.start_logging()`) can be ended here."""

    id: str
    workspace: Workspace
    _client: Any = None

    if TYPE_CHECKING:

        @property
        def display_name(self) -> str: ...

        @property
        def state(self) -> RunState: ...

        def refresh(self, wait: float = 0) -> RunState: ...

        def cancel(self, *, keep: bool = False) -> None: ...

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log one value of the metric `name`: a number (of Python, numpy or any tensor library), string, bool or None.

        A list raises `UserErrorException` naming `log_list`.
        """
        self._say("log", name, value, description, step)

    def log_examples(self, count: float) -> None:
        """Say, once per batch, that `count` more examples were gone through: their rate becomes `examples_per_second`."""
        self._say("log_examples", count)

    def log_list(self, name: str, value: Iterable[Any], description: str = "") -> None:
        """Log a list of values at once. An empty one is nothing."""
        self._say("log_list", name, value, description)

    def log_row(self, name: str, description: str | None = None, **columns: Any) -> None:
        """Log one row of a table: a column for each keyword."""
        self._say("log_row", name, description, **columns)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table: column name to list of values, all of one length."""
        self._say("log_table", name, value, description)

    def log_image(self, name: str, path: str | None = None, plot: Any = None, description: str = "") -> None:
        """Log an image: a file (`path`), or a figure (`plot`: matplotlib's pyplot or Figure)."""
        self._say("log_image", name, path, plot, description)

    def upload_file(self, name: str, path_or_stream: Any) -> None:
        """Keep a file with the run, as `outputs/<name>` (or `<name>`, where that begins with outputs/ or logs/)."""
        self._say("upload_file", name, path_or_stream)

    def upload_folder(self, name: str, path: str | Path) -> None:
        """Keep all files of a folder with the run, below `outputs/<name>`."""
        from pathlib import Path  # noqa: PLC0415 - only here

        files = [file for file in sorted(Path(path).rglob("*")) if file.is_file()]
        if not files:
            raise UserErrorException(f"There are no files in {path}.")
        for file in files:
            self.upload_file(f"{name}/{file.relative_to(path).as_posix()}", str(file))

    def flush(self, timeout_seconds: float = 300) -> None:
        """Bring what was logged into the run's charts now, also where the run has ended."""
        if self._client is not None:
            self._client.flush()
        self.workspace.connection.get(f"/v1/runs/{self.id}/metrics", timeout=timeout_seconds)

    def complete(self, _set_status: bool = True) -> None:
        """End a run that this kernel began: Completed, once its files are collected. A submitted run ends by itself, and
        nothing happens."""
        self._end(code=0)

    def fail(self, error_details: object = None, error_code: object = None, _set_status: bool = True) -> None:
        """End a run that this kernel began: Failed. `error_details`: an exception or a text, shown as the cause."""
        why = interactive.told(error_details)
        self._end(code=1, why=f"{error_code}: {why}" if error_code else why)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Complete the run, or let it fail with the exception, which goes on; `SystemExit` of success does not."""
        if error is None:
            self.complete()
            return False
        if isinstance(error, SystemExit) and not error.code:
            self.complete()
            return True
        self.fail(error)
        return False

    def _end(self, *, code: int, why: str = "") -> None:
        if self._client is not None:
            self._client.flush()
        if interactive.end(self, code=code, why=why):
            while self.refresh(wait=5)["status"] not in {"Completed", "Failed", "Canceled"}:
                pass
        elif self.refresh()["target"] == NOTEBOOK:
            raise ConflictError("Another kernel logs this run, or it has ended.", mend="run.cancel() ends it.")

    def _say(self, what: str, *given: Any, **named: Any) -> None:
        if self._client is None:
            self._client = self._open()
        try:
            getattr(self._client, what)(*given, **named)
        except import_module(_CLIENT).UsageError as error:
            # The run client knows nothing of this package: it has an error of its own.
            raise UserErrorException(str(error)) from None

    def _open(self) -> Any:
        state = self.state
        folder = Layout(self.workspace.root).run(self.id)
        client = import_module(_CLIENT).LiveRun(
            self.id, state["experiment"], state["display_name"], 0, str(folder / "streams")
        )
        if not (folder / "work").is_dir():
            client.work = str(folder)  # it has ended: what is kept now goes to what was collected
        return client
