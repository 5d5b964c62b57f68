"""A named series of runs."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_mltrain.api import interactive
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.run import NOTEBOOK_TYPE, SCRIPT_TYPE, Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.ids import check_experiment, new_run_id
from jupyter_mltrain.core.spec import NOTEBOOK
from jupyter_mltrain.errors import UserErrorException

_PAGE = 200


class Experiment:
    """Runs that belong together. Made by its first run; raises `InvalidName` for a name the SDK would refuse."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = check_experiment(name)

    @staticmethod
    def list(workspace: Workspace) -> builtins.list[Experiment]:
        """The experiments that have runs, the one with the newest first."""
        found = workspace.connection.get("/v1/experiments")["experiments"]
        return [Experiment(workspace, each["name"]) for each in found]

    def submit(
        self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None, *, parent: str | None = None
    ) -> Run:
        """Start a run of `config` and return at once; `parent` is the id of the run that it is a child of.

        What can be refused is refused now, with an error that says why: the script, the environment, the dataset, the
        target or the resources asked for.
        """
        # The id is made here: should the service end before it answers, the second sending finds the first run.
        request = config.request(self.workspace)
        request["tags"] |= tags or {}
        body = {"run_id": new_run_id(self.name), "experiment": self.name, "parent": parent, **request}
        # A large source folder is hashed before the answer comes.
        return Run.of(self.workspace, self.workspace.connection.post("/v1/runs", body, timeout=600))

    def start_logging(
        self,
        *,
        display_name: str | None = None,
        outputs: str | Path | None = None,
        snapshot_directory: str | Path | None = ".",
    ) -> Run:
        """A run that this kernel logs itself, Running when this returns; `complete()`, `fail()` or the end of a `with`
        ends it, and so does the end of the kernel.

        A snapshot of `snapshot_directory` is kept (None: none), and the files that the run leaves in `outputs` (default:
        `./outputs`, which is made).
        """
        folder = Path("outputs" if outputs is None else outputs)
        folder.mkdir(parents=True, exist_ok=True)
        return interactive.begin(self, display_name=display_name, outputs=folder, snapshot=snapshot_directory)

    def get_runs(
        self,
        type: str | None = None,  # noqa: A002 - the SDK's argument
        tags: str | Mapping[str, str] | None = None,
        properties: str | Mapping[str, str] | None = None,
        include_children: bool = False,
        *,
        status: str | None = None,
        parent: str | None = None,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first; fetched page by page.

        `type`: that of submitted runs (`mltrain.scriptrun`) or of those that a notebook logged. `tags`, `properties`: a
        name that they have, or names and values, all of which must fit. `parent`: the children of that run alone.
        """
        asked: dict[str, Any] = {
            "experiment": self.name if parent is None else None,
            "status": status,
            "parent": parent,
            "children": None if include_children else "false",
            "tag": _asked(tags),
            "property": _asked(properties),
        }
        if type == NOTEBOOK_TYPE:
            asked["target"] = NOTEBOOK
        elif type not in (None, SCRIPT_TYPE, "azureml.scriptrun"):
            raise UserErrorException(
                f"There are no runs of the type {type!r}.", mend=f"Types: {SCRIPT_TYPE}, {NOTEBOOK_TYPE}."
            )
        offset = 0
        while True:
            page = self.workspace.connection.get("/v1/runs", **asked, limit=_PAGE, offset=offset)["runs"]
            for state in page:
                if type is None or type == NOTEBOOK_TYPE or state["target"] != NOTEBOOK:
                    yield Run(Experiment(self.workspace, state["experiment"]), state["id"])
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"


def _asked(given: str | Mapping[str, str] | None) -> builtins.list[str] | None:
    """`KEY` or `KEY=VALUE` each."""
    if given is None or isinstance(given, str):
        return [given] if given else None
    return [f"{key}={value}" for key, value in given.items()]
