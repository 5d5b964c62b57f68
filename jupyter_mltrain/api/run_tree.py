"""Runs below runs (trials of one idea, folds of one data set), and runs that go on from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from jupyter_mltrain.api import interactive
from jupyter_mltrain.api.resuming import OutputsDataPath
from jupyter_mltrain.errors import UserErrorException

if TYPE_CHECKING:
    from jupyter_mltrain.api.config import ScriptRunConfig
    from jupyter_mltrain.api.experiment import Experiment
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace
    from jupyter_mltrain.core.wire import RunState


class RunTree:
    """The part of `Run` that knows other runs."""

    id: str
    experiment: Experiment
    workspace: Workspace

    if TYPE_CHECKING:

        @property
        def state(self) -> RunState: ...

    @property
    def parent(self) -> Run | None:
        """The run that this one is a child of."""
        from jupyter_mltrain.api.run import Run  # noqa: PLC0415 - each knows the other

        parent = self.state["parent"]
        return None if parent is None else Run(self.experiment, parent)

    def child_run(self, name: str | None = None, outputs: str | None = None) -> Run:
        """A new run below this one that this kernel logs: `with run.child_run("fold 1") as child: child.log(…)`."""
        return interactive.begin(self.experiment, display_name=name, outputs=outputs, parent=self.id)

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[str] | None = None
    ) -> list[Run]:
        """`count` children, or one for each of `tag_values`, with it as their tag `tag_key`."""
        if (count is None) == (tag_key is None or tag_values is None):
            raise UserErrorException("create_children takes a count, or tag_key and tag_values.")
        if tag_key is None or tag_values is None:
            return [self.child_run() for _ in range(count or 0)]
        children = [self.child_run() for _ in tag_values]
        for child, value in zip(children, tag_values, strict=True):
            child.tag(tag_key, value)
        return children

    def submit_child(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None) -> Run:
        """Submit `config` as a child of this run."""
        return self.experiment.submit(config, tags, parent=self.id)

    def get_children(
        self,
        recursive: bool = False,
        tags: str | Mapping[str, str] | None = None,
        properties: str | Mapping[str, str] | None = None,
        type: str | None = None,  # noqa: A002 - the SDK's argument
        status: str | None = None,
    ) -> Iterator[Run]:
        """The runs below this one, newest first; with `recursive` theirs too. Filters as in `Experiment.get_runs`."""
        for child in self.experiment.get_runs(type, tags, properties, status=status, parent=self.id):
            yield child
            if recursive:
                yield from child.get_children(True, tags, properties, type, status)

    def _get_outputs_datapath(self) -> OutputsDataPath:
        """The SDK's name for its outputs as a place, for another run's `resume_from`."""
        return OutputsDataPath(cast("Run", self))
