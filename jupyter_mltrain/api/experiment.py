"""A named series of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.ids import check_experiment, new_run_id

_PAGE = 200


class Experiment:
    """Runs that belong together. Made by its first run; raises `InvalidName` for a name the SDK would refuse."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = check_experiment(name)

    def submit(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None) -> Run:
        """Start a run of `config` and return at once.

        What can be refused is refused now, with an error that says why: the script, the environment, the dataset, the
        target or the resources asked for.
        """
        # The id is made here: should the service end before it answers, the second sending finds the first run.
        request = config.request(self.workspace)
        request["tags"] |= tags or {}
        body = {"run_id": new_run_id(self.name), "experiment": self.name, **request}
        # A large source folder is hashed before the answer comes.
        return Run.of(self.workspace, self.workspace.connection.post("/v1/runs", body, timeout=600))

    def get_runs(self, status: str | None = None) -> Iterator[Run]:
        """The experiment's runs, newest first; fetched page by page."""
        offset = 0
        while True:
            page = self.workspace.connection.get(
                "/v1/runs", experiment=self.name, status=status, limit=_PAGE, offset=offset
            )["runs"]
            for state in page:
                yield Run(self, state["id"])
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"
