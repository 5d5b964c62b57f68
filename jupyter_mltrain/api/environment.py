"""An environment as users hold it: what to install, under a name and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.core.requirements import from_pip_requirements


class Environment:
    """Packages for runs. Made from a requirements file or an existing interpreter, then registered in a workspace:

        Environment.from_pip_requirements("vision", "requirements.txt").register(ws)

    A registered version never changes: its packages were resolved once, into a lock.
    """

    def __init__(self, definition: EnvironmentDefinition) -> None:
        self.definition = definition

    @classmethod
    def from_pip_requirements(cls, name: str, file_path: str | Path, *, python: str | None = None) -> Environment:
        """An environment of the packages in a requirements file, for a Python version ("3.11") or the one at hand.

        Raises `InvalidName`, `PathNotFound`, and `UsageError` naming file and line for what cannot be read.
        """
        return cls(from_pip_requirements(check_name(name, "Environment"), file_path, python))

    @classmethod
    def from_existing_interpreter(cls, name: str, path: str | Path) -> Environment:
        """An interpreter or virtual environment that you look after yourself; nothing is installed into it."""
        interpreter = str(Path(path).expanduser().absolute())
        return cls(EnvironmentDefinition(name=check_name(name, "Environment"), interpreter=interpreter))

    @classmethod
    def get(cls, workspace: Workspace, name: str, version: int | None = None) -> Environment:
        """A registered or curated environment, the newest version by default. Raises `EnvironmentNotFound`."""
        reference = name if version is None else f"{name}:{version}"
        return cls._of(workspace.connection.get(f"/v1/environments/{quote(reference, safe='')}"))

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Name → newest version of all environments of the workspace."""
        entries = workspace.connection.get("/v1/environments")["environments"]
        return {entry["name"]: Environment._of(entry) for entry in entries}

    def register(self, workspace: Workspace) -> Environment:
        """Store it as a version and resolve its packages; the same content again gives the same version.

        Raises `ResolveError` with the resolver's own words, `PythonNotFound`, `Unreachable`.
        """
        given = self.definition
        body = {
            "name": given.name,
            "python": given.python,
            "pip": list(given.pip),
            "constraints": list(given.constraints),
            "environment_variables": dict(given.environment_variables),
            "interpreter": given.interpreter,
            "description": given.description,
        }
        return self._of(workspace.connection.post("/v1/environments", body, timeout=600))

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def version(self) -> int | None:
        """None until it is registered."""
        return self.definition.version

    @property
    def environment_variables(self) -> Mapping[str, str]:
        return self.definition.environment_variables

    @environment_variables.setter
    def environment_variables(self, values: Mapping[str, str]) -> None:
        self.definition = replace(self.definition, environment_variables=dict(values))

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    @classmethod
    def _of(cls, entry: Mapping[str, Any]) -> Environment:
        return cls(EnvironmentDefinition.from_json(entry))
