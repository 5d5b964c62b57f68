"""`Run`: what a script says about its run. Telemetry never harms training: nothing here raises for what the machine does."""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
import uuid
from typing import Any, Callable, Iterator, Mapping, Sequence, TypeVar

from . import _values
from ._examples import EXAMPLES, Examples
from ._inputs import InputDataset
from ._stream import Stream, warn_once
from ._values import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])
_NAMES = 100_000
"""Metric names whose JSON is kept."""


def _harmless(method: _F) -> _F:
    """A method whose failure is a warning: a foreign object that cannot be turned to text, a figure that cannot be saved."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            warn_once(method.__name__, f"run.{method.__name__} failed: {type(error).__name__}: {error}")
            return None

    return guarded  # type: ignore[return-value]


class Experiment:
    """The experiment that a run belongs to; a script knows its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name})"


class Run:
    """A run, seen from inside. Get it by `Run.get_context()`.

    `id`, `display_name`, `number`, `experiment`, `rank`, `attempt`, `input_datasets` (name to folder) say which run this is;
    `resume_from`, what it goes on from.
    """

    def __init__(self, run_id: str, experiment: str, display_name: str = "", rank: int = 0) -> None:
        self.id = run_id
        self.experiment = Experiment(experiment)
        self.display_name = self.name = display_name
        last = display_name.rpartition("-")[2]
        self.number = int(last) if last.isdigit() else None
        self.rank = rank
        self.parent: Run | None = None
        self._children: list[Run] = []
        self._examples: Examples | None = None

    @staticmethod
    def get_context(allow_offline: bool = True, **_: Any) -> Run:
        """The run that this process belongs to; outside of a run one that prints what it is told, or with
        `allow_offline=False` a `UsageError`."""
        global _current
        if _current is None or os.environ.get("MLTRAIN_RUN_ID", _current.id) != _current.id:
            inside = os.environ.get("MLTRAIN_RUN_ID") and os.environ.get("MLTRAIN_STREAMS")
            _current = _live() if inside else OfflineRun()
        if isinstance(_current, OfflineRun) and not allow_offline:
            raise UsageError("This process is not part of a run, and get_context was given allow_offline=False.")
        return _current

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log one value of the metric `name`: a number (of Python, numpy or any tensor library), string, bool or None.

        `step` is an integer; without one the values are numbered as they come. A list is a `UsageError`.
        """
        raise NotImplementedError

    @_harmless
    def log_list(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log a list of values at once. An empty one is nothing; integers beside floats become floats, as in the SDK."""
        many = _values.of_one_kind(_values.values(value))
        if many:
            self._say("list", name=_values.clean(str(name)), values=many, step=_step(step))

    @_harmless
    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log one row of a table: a column for each keyword. A list as a value is a `UsageError`."""
        row = {_values.clean(key): _values.cell(value, name, key) for key, value in kwargs.items()}
        self._say("row", name=_values.clean(str(name)), row=row)

    @_harmless
    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table: column name to list of values, or to one value. Lists of unequal length are a `UsageError`."""
        self._say("table", name=_values.clean(str(name)), table=_values.columns(value))

    @_harmless
    def log_image(
        self, name: str, path: str | None = None, plot: Any = None, description: str = "", step: int | None = None
    ) -> None:
        """Log an image: a file (`path`, as it is seen from here), or a figure (`plot`: matplotlib's pyplot or Figure)."""
        if (path is None) == (plot is None):
            raise UsageError(f"run.log_image({name!r}) takes either path= or plot=.")
        kept = self._keep_image(str(name), path, plot)
        self._say("image", name=_values.clean(str(name)), path=_values.clean(kept), step=_step(step))

    @_harmless
    def tag(self, key: str, value: Any = None) -> None:
        self._say("tag", key=_values.clean(str(key)), value=_text(value))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        for key, value in tags.items():
            self.tag(key, value)

    @_harmless
    def add_properties(self, properties: Mapping[str, Any]) -> None:
        for key, value in properties.items():
            self._say("property", key=_values.clean(str(key)), value=_text(value))

    @_harmless
    def param(self, key: str, value: Any) -> None:
        """Note a parameter of the training, shown beside the run's arguments."""
        self._say("param", key=_values.clean(str(key)), value=_values.plain(value))

    @_harmless
    def progress(self, value: float, total: float | None = None, label: str = "epoch") -> None:
        """Say how far the training is: `progress(12, 20)` shows "epoch 12/20"."""
        self._say("progress", label=_values.clean(str(label)), value=_values.plain(value), total=_values.plain(total))

    @_harmless
    def log_examples(self, count: float) -> None:
        """Say, once per batch, that this process has gone through `count` more examples. Their rate becomes the metric
        `examples_per_second`, about once a second (`run.scaling()` compares it with that of other runs)."""
        if self._examples is None:
            self._examples = Examples(lambda rate, batches: self.log(EXAMPLES, rate, step=batches))
        self._examples.add(count if type(count) is int else float(count))

    @_harmless
    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """Keep a file with the run, as `outputs/<name>` (or `<name>`, where that begins with outputs/ or logs/)."""
        relative = os.path.normpath(
            name if name.split("/", maxsplit=1)[0] in ("outputs", "logs") else f"outputs/{name}"
        )
        if os.path.isabs(relative) or relative.startswith(".."):
            raise UsageError(f"run.upload_file({name!r}): the name leads out of the run's folder.")
        self._keep_file(relative, path_or_stream)
        self._say("artifact", path=_values.clean(relative))

    @property
    def input_datasets(self) -> dict[str, InputDataset]:
        """Paths of the run's datasets, by the names that the run gave them; by those of `MLTRAIN_DATA_<NAME>`, in small
        letters, too."""
        prefix = "MLTRAIN_DATA_"
        found = {key[len(prefix) :].lower(): path for key, path in os.environ.items() if key.startswith(prefix)}
        found.update(json.loads(os.environ.get("MLTRAIN_INPUTS") or "{}"))
        return {name: InputDataset(path) for name, path in found.items()}

    @property
    def attempt(self) -> int:
        """1, and one more for each time that the run was begun again: it lost its place, or its processes were lost."""
        given = os.environ.get("MLTRAIN_ATTEMPT", "1")
        return int(given) if given.isdigit() else 1

    @property
    def resume_from(self) -> str | None:
        """The folder to look for a checkpoint in: the run's own `outputs`, where an earlier attempt left something there;
        else the outputs of the run that this one was told to go on from; None where there are neither."""
        return os.environ.get("MLTRAIN_KEPT") or os.environ.get("MLTRAIN_RESUME_FROM")

    def get_status(self) -> str:
        return "Running"

    def get_details(self) -> dict[str, Any]:
        return {"runId": self.id, "status": self.get_status(), "properties": {}, "inputDatasets": self.input_datasets}

    def flush(self, timeout_seconds: float = 300) -> None:
        """Returns at once: every call above has written what it was given."""

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: str | None = None) -> Run:
        """A new run below this one, logged by this script: `with run.child_run("fold 1") as child: child.log(…)`.

        Unlike the script's own run it is ended here: by `complete`, `fail` or `cancel`, or by leaving the `with`. One that
        is not has failed when the script ends. `run_id` and `outputs` are the SDK's; files are kept by `upload_file`.
        """
        child = self._begin(None if name is None else str(name))
        child.parent = self
        self._children.append(child)
        return child

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[Any] | None = None
    ) -> list[Run]:
        """`count` children, or one for each of `tag_values`, with it as their tag `tag_key`."""
        if (count is None) == (tag_key is None or tag_values is None):
            raise UsageError("run.create_children takes a count, or tag_key and tag_values.")
        if tag_key is None or tag_values is None:
            return [self.child_run() for _ in range(count or 0)]
        children = [self.child_run() for _ in tag_values]
        for child, value in zip(children, tag_values):
            child.tag(tag_key, value)
        return children

    def get_children(self, recursive: bool = False, **_: Any) -> Iterator[Run]:
        """The runs below this one that this process began, newest first; with `recursive` theirs too."""
        for child in reversed(self._children):
            yield child
            if recursive:
                yield from child.get_children(True)

    # The end of the process decides how the run ended; inside a submitted script these change nothing, as in the SDK.
    def complete(self, _set_status: bool = True) -> None: ...

    def fail(self, error_details: Any = None, error_code: Any = None, _set_status: bool = True) -> None: ...

    def cancel(self) -> None: ...

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __repr__(self) -> str:
        return (
            f"Run(Experiment: {self.experiment.name},\nId: {self.id},\nType: mltrain.scriptrun,"
            f"\nStatus: {self.get_status()})"
        )

    def _begin(self, name: str | None) -> Run:
        raise NotImplementedError

    def _say(self, kind: str, **fields: Any) -> None:
        raise NotImplementedError

    def _keep_image(self, name: str, path: str | None, plot: Any) -> str:
        raise NotImplementedError

    def _keep_file(self, relative: str, source: Any) -> None:
        raise NotImplementedError


class LiveRun(Run):
    """The run that this process belongs to: what it says is appended to a file of the run (`_stream.py`)."""

    def __init__(self, run_id: str, experiment: str, display_name: str, rank: int, streams: str) -> None:
        super().__init__(run_id, experiment, display_name, rank)
        self.streams = os.path.abspath(streams)
        self.work = os.path.join(os.path.dirname(self.streams), "work")
        self._stream = Stream(streams, str(rank))
        self._names: dict[Any, str] = {}

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        try:
            key = self._names.get(name) or self._name(name)
            if type(value) is float:
                text = repr(value) if value - value == 0.0 else _values.dumps(value)  # infinities and NaN
            elif type(value) is int:
                text = repr(value)
            else:
                text = _values.dumps(_values.scalar(value, name))
            at = step if type(step) is int else "null" if step is None else _values.dumps(_step(step))
            self._stream.write(f"[{key},{at},{time.time()!r},{text}]\n".encode("ascii"))
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - telemetry never harms training
            warn_once("log", f"run.log({name!r}) failed: {type(error).__name__}: {error}")

    def metric(self, name: str, value: Any, step: int | None, at: float) -> None:
        """A value that was measured at the time `at` (seconds since the epoch), for the MLflow plug-in."""
        record = [_values.clean(str(name)), _step(step), at, _values.plain(value)]
        self._stream.write(_values.dumps(record).encode("ascii") + b"\n")

    def flush(self, timeout_seconds: float = 300) -> None:
        self._stream.flush()

    def _begin(self, name: str | None) -> Run:
        from ._children import ChildRun  # each knows the other

        return ChildRun(self, name)

    def _name(self, name: Any) -> str:
        if len(self._names) >= _NAMES:
            self._names.clear()
        self._names[name] = text = _values.dumps(_values.clean(str(name)))
        return text

    def _say(self, kind: str, **fields: Any) -> None:
        record = {"k": kind, **fields, "t": time.time()}
        self._stream.write(_values.dumps(record).encode("ascii") + b"\n")

    def _keep_image(self, name: str, path: str | None, plot: Any) -> str:
        # Only outputs/ and logs/ are kept when the run is over; a file elsewhere is copied there.
        if path is not None:
            inside = os.path.relpath(os.path.abspath(path), self.work)
            if inside.split(os.sep)[0] in ("outputs", "logs"):
                return inside
            relative = f"outputs/{os.path.basename(path)}"
            self._keep_file(relative, path)
            return relative
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80] or "image"
        relative = f"outputs/{safe}_{time.time_ns() // 1_000_000}.png"
        target = os.path.join(self.work, relative)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        plot.savefig(target, format="png")
        return relative

    def _keep_file(self, relative: str, source: Any) -> None:
        target = os.path.join(self.work, relative)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if hasattr(source, "read"):
            with open(target, "wb") as file:
                shutil.copyfileobj(source, file)
        elif not (os.path.exists(target) and os.path.samefile(source, target)):
            shutil.copyfile(source, target)


class OfflineRun(Run):
    """Stands in for a run outside of one: prints what it is told, in the SDK's words."""

    def __init__(self) -> None:
        super().__init__(f"OfflineRun_{uuid.uuid4()}", "offline")

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        value = _values.scalar(value, name)
        print(f"Attempted to log scalar metric {name}:\n{value}")

    def __repr__(self) -> str:
        return f"OfflineRun(Id: {self.id})"

    def _begin(self, name: str | None) -> Run:
        return OfflineRun()

    def _say(self, kind: str, **fields: Any) -> None:
        if kind in ("list", "row", "table"):
            content = fields.get("values", fields.get("row", fields.get("table")))
            print(f"Attempted to log {kind} metric {fields['name']}:\n{content}")
        elif kind == "image":
            print(f"Attempted to log image metric {fields['name']}:\n{fields['path']}")
        elif kind == "artifact":
            print(f"Attempted to track file {fields['path']}")
        elif kind == "progress":
            total = "" if fields["total"] is None else f"/{fields['total']}"
            print(f"{fields['label']} {fields['value']}{total}")
        else:
            print(f"Attempted to set {kind} {fields['key']}:\n{fields['value']}")

    def _keep_image(self, name: str, path: str | None, plot: Any) -> str:
        return path if path is not None else repr(plot)

    def _keep_file(self, relative: str, source: Any) -> None:
        """Nothing is kept outside of a run."""


_current: Run | None = None


def _live() -> LiveRun:
    env = os.environ
    rank = env.get("MLTRAIN_RANK", "0")
    return LiveRun(
        env["MLTRAIN_RUN_ID"],
        env.get("MLTRAIN_EXPERIMENT", ""),
        env.get("MLTRAIN_DISPLAY_NAME", ""),
        int(rank) if rank.isdigit() else 0,
        env["MLTRAIN_STREAMS"],
    )


def _step(step: Any) -> int | None:
    """`step` as an integer; one that is none is left out, with a warning."""
    if step is None:
        return None
    number = _values.plain(step)
    if isinstance(number, (int, float)) and number == number and abs(number) != float("inf"):  # noqa: PLR0124 - not NaN
        return int(number)
    warn_once("step", f"the step {step!r} is no integer and was left out")
    return None


def _text(value: Any) -> str | None:
    return None if value is None else _values.clean(str(value))
