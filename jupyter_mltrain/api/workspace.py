"""The workspace as users hold it: a folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.client import legacy, workspaces
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.errors import ConflictError, WorkspaceNotFound

if TYPE_CHECKING:
    from jupyter_mltrain.api.compute import ComputeTarget
    from jupyter_mltrain.api.dataset import FileDataset
    from jupyter_mltrain.api.datastore import Datastore
    from jupyter_mltrain.api.environment import Environment
    from jupyter_mltrain.api.experiment import Experiment
    from jupyter_mltrain.api.model import Model
    from jupyter_mltrain.api.webservice import Webservice

_CLOUD = frozenset(
    "auth subscription_id resource_group location create_resource_group sku tags friendly_name storage_account key_vault"
    " app_insights container_registry adb_workspace cmk_keyvault resource_cmk_uri hbi_workspace show_output cloud"
    " default_cpu_compute_target default_gpu_compute_target private_endpoint_config private_endpoint_auto_approval".split()
)
"""Arguments of the SDK that say where in a cloud; a folder needs none of them."""


class Workspace:
    """A folder with a `.mltrain` in it: its runs, environments, data and models, and the service that looks after them.

    `Workspace.from_config()` finds the nearest one; `Workspace.create(path=…)` makes one. Nothing is started until
    something is asked of the service.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        self._config = workspaces.read_config(self.root)

    @classmethod
    def from_config(
        cls,
        path: str | Path | None = None,
        auth: object = None,  # noqa: ARG003 - the SDK's argument: there is nobody to sign in to
        _logger: object = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """The workspace of the nearest folder, from `path` (default: the current one) upward, that has a `.mltrain`.

        Without one, the SDK's `config.json` is looked for by the SDK's rules (or `path` is one): the folder that it lies
        in becomes a workspace of the name it gives, the first time. Raises `WorkspaceNotFound` naming `%mltrain init`,
        and `UserErrorException` for a `config.json` that cannot be read; both are `UserErrorException`s.
        """
        start = Path(path or Path.cwd()).resolve()
        root = None if start.is_file() or _file_name else workspaces.find_root(start)
        if root is not None:
            return cls(root)
        found = legacy.find(start, _file_name)
        if found is None:
            return cls(workspaces.require_root(start))
        known = workspaces.registered(found.id) if found.id else None
        return cls(known or workspaces.create_root(found.root, found.name, exist_ok=True))

    @classmethod
    def create(
        cls, name: str | None = None, path: str | Path | None = None, *, exist_ok: bool = False, **cloud: object
    ) -> Workspace:
        """Make the folder `path` (default: the current one) a workspace called `name` (default: the folder's name).

        The SDK's other arguments (`subscription_id`, `resource_group`, `location` …) are taken and change nothing.
        Raises `ConflictError` if it is one already (unless `exist_ok`), `StorageError` for `$HOME` and `/`,
        `NotWritable` where it cannot be written.
        """
        _check_cloud(cloud)
        return cls(workspaces.create_root(path or Path.cwd(), name, exist_ok=exist_ok))

    @classmethod
    def get(cls, name: str, *, id: str | None = None, **cloud: object) -> Workspace:  # noqa: A002 - the SDK's argument
        """The workspace of that name (or `id`) among this user's, wherever its folder is.

        Raises `WorkspaceNotFound` with the nearest names, `ConflictError` where several have the name.
        """
        _check_cloud(cloud)
        there = workspaces.all_registered()
        if id is not None:
            if id not in there:
                raise WorkspaceNotFound(f"There is no workspace with the id {id!r}.")
            return cls(there[id])
        named = [root for root in there.values() if workspaces.read_config(root).name == name]
        if not named:
            raise WorkspaceNotFound.of(name, [workspaces.read_config(root).name for root in there.values()])
        if len(named) > 1:
            raise ConflictError(
                f"{len(named)} workspaces are called {name!r}: {', '.join(map(str, named))}.",
                mend="Name the folder: Workspace(FOLDER).",
            )
        return cls(named[0])

    @staticmethod
    def list(**cloud: object) -> dict[str, list[Workspace]]:
        """Name → workspaces of this user with that name."""
        _check_cloud(cloud)
        found: dict[str, list[Workspace]] = {}
        for root in workspaces.all_registered().values():
            workspace = Workspace(root)
            found.setdefault(workspace.name, []).append(workspace)
        return found

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> None:
        """Write the SDK's `config.json` into `.azureml/` of the folder `path` (default: the current one):
        `from_config` there, or below, then finds this workspace."""
        config = legacy.LegacyConfig(Path(), self.name, self.subscription_id, self.resource_group, self.id)
        legacy.write(Path(path or Path.cwd()), file_name, config)

    @property
    def id(self) -> str:
        """The workspace's UUID; a saved output holds it to find the way back."""
        return self._config.id

    @property
    def name(self) -> str:
        return self._config.name

    # In the SDK the place in a cloud. Notebooks print and join them, so that they are texts.
    @property
    def subscription_id(self) -> str:
        return legacy.LOCAL

    @property
    def resource_group(self) -> str:
        return legacy.LOCAL

    @property
    def location(self) -> str:
        return legacy.LOCAL

    @cached_property
    def connection(self) -> Connection:
        """The way to the service, which is started if none runs."""
        return Connection.open(self.root)

    def get_details(self) -> dict[str, Any]:
        """Name, id, root, and what the service says of itself; under the SDK's names too."""
        return {
            "name": self.name,
            "id": self.id,
            "root": str(self.root),
            "workspaceid": self.id,
            "friendlyName": self.name,
            "location": self.location,
            "type": "jupyter_mltrain.workspace",
            "service": self.connection.get("/v1/hello"),
        }

    def get_mlflow_tracking_uri(self) -> str:
        """Where the published copy of runs and models is: the team's server (`tracking.uri`), or this folder's database."""
        uri = self._config.raw.get("tracking", {}).get("uri")
        return str(uri) if uri else f"sqlite:///{self.root / '.mltrain' / 'mlflow.db'}"

    def get_default_datastore(self) -> Datastore:
        """The datastore that is always there: a folder of the workspace."""
        from jupyter_mltrain.api.datastore import Datastore  # noqa: PLC0415 - each knows the other

        return Datastore.get_default(self)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Name → experiment, of those that have runs."""
        from jupyter_mltrain.api.experiment import Experiment  # noqa: PLC0415 - each knows the other

        return {experiment.name: experiment for experiment in Experiment.list(self)}

    @property
    def models(self) -> dict[str, Model]:
        """Name → newest version."""
        from jupyter_mltrain.api.model import Model  # noqa: PLC0415 - each knows the other

        return {model.name: model for model in sorted(Model.list(self), key=lambda model: model.version)}

    @property
    def environments(self) -> dict[str, Environment]:
        """Name → newest version; the curated ones among them."""
        from jupyter_mltrain.api.environment import Environment  # noqa: PLC0415 - each knows the other

        return Environment.list(self)

    @property
    def datasets(self) -> dict[str, FileDataset]:
        """Name → newest version."""
        from jupyter_mltrain.api.dataset import Dataset  # noqa: PLC0415 - each knows the other

        return Dataset.get_all(self)

    @property
    def datastores(self) -> dict[str, Datastore]:
        """Name → datastore."""
        from jupyter_mltrain.api.datastore import Datastore  # noqa: PLC0415 - each knows the other

        return Datastore.list(self)

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """Name → compute target; `local` is always there."""
        from jupyter_mltrain.api.compute import ComputeTarget  # noqa: PLC0415 - each knows the other

        return {target.name: target for target in ComputeTarget.list(self)}

    @property
    def webservices(self) -> dict[str, Webservice]:
        """Name → endpoint."""
        from jupyter_mltrain.api.webservice import Webservice  # noqa: PLC0415 - each knows the other

        return {service.name: service for service in Webservice.list(self)}

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, root={str(self.root)!r})"


def _check_cloud(given: dict[str, object]) -> None:
    """Raise `TypeError` for an argument that not even the SDK has."""
    unknown = sorted(set(given) - _CLOUD)
    if unknown:
        raise TypeError(f"unexpected argument {unknown[0]!r}")
