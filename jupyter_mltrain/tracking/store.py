"""The MLflow that runs are published to: a database in the workspace, or a team's server. Imported by the child only."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.utils import (
    _get_latest_schema_revision as latest_schema,  # pyright: ignore[reportPrivateUsage] - no public way to ask
)
from mlflow.store.db.utils import (
    _upgrade_db as upgrade_schema,  # pyright: ignore[reportPrivateUsage] - what `mlflow db upgrade` calls
)

from jupyter_mltrain.errors import TrackingError

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Store:
    """An open MLflow. `folder`: the workspace's `.mltrain`. `embedded`: the database and artifacts lie in it."""

    folder: Path
    uri: str
    embedded: bool
    client: MlflowClient
    backup: str = ""
    """File name of the copy made of an outdated database before its upgrade; empty if none was needed."""

    def experiment_id(self, name: str) -> str:
        """The id of the experiment called `name`, made if it does not exist, brought back if it was deleted."""
        found = self.client.get_experiment_by_name(name)
        if found is None:
            # An address of a file, quoted: a workspace's path may hold spaces, `#` and `%`.
            location = (self.folder / ARTIFACTS).as_uri() if self.embedded else None
            try:
                return self.client.create_experiment(name, artifact_location=location)
            except MlflowException:
                # Someone else of the team made it just now; if not, the first error is the one to tell.
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        experiment: Experiment = found
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def artifacts(self, uri: str) -> ArtifactRepository:
        """Where the artifacts at `uri` are written and read."""
        return get_artifact_repository(uri, tracking_uri=self.uri, registry_uri=self.uri)


def open_store(folder: Path, uri: str | None) -> Store:
    """Open the MLflow at `uri`, or the embedded one in `folder` (made if missing, upgraded if outdated).

    A server is not asked yet: one that is down now is an error of the first request, not of this. Raises
    `TrackingError` for an embedded database that a newer MLflow wrote.
    """
    if uri:
        return Store(folder, uri, embedded=False, client=MlflowClient(uri, registry_uri=uri))
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / ARTIFACTS).mkdir(mode=0o700, exist_ok=True)
    # Relative, since SQLAlchemy takes no path with `?`, `#` or `%` in it; and so the name stays when a workspace moves.
    os.chdir(folder)
    database = folder / DATABASE
    local = f"sqlite:///{DATABASE}"
    backup = _prepare(database, local)
    _relocate(database, (folder / ARTIFACTS).as_uri())
    client = MlflowClient(local, registry_uri=local)
    client.search_experiments(max_results=1)  # makes the tables of a new database
    return Store(folder, local, embedded=True, client=client, backup=backup)


def _prepare(database: Path, uri: str) -> str:
    """Set the journal to WAL (readers never wait for the one writer), and bring an older schema up to date."""
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        current = _schema(connection)
        if current is None or current == latest_schema():
            return ""
        backup = database.with_name(f"{database.name}.{current}.{int(time.time())}.backup")
        with contextlib.closing(sqlite3.connect(backup)) as copy:
            connection.backup(copy)
    _upgrade(uri, database, backup)
    return backup.name


def _schema(connection: sqlite3.Connection) -> str | None:
    try:
        row: Any = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table: a new database
        return None
    return row[0] if row else None


def _relocate(database: Path, artifacts: str) -> None:
    """MLflow holds absolute addresses of artifacts. After a workspace was moved, those that lay in it follow it."""
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        if _schema(connection) is None:
            return
        known: list[str] = [row[0] for row in connection.execute("SELECT DISTINCT artifact_location FROM experiments")]
        for old in known:
            if old and old != artifacts and old.endswith(f"/.mltrain/{ARTIFACTS}"):
                for table, column in _ADDRESSES:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608 - constants
                        (artifacts, len(old) + 1, len(old), old),
                    )


def _upgrade(uri: str, database: Path, backup: Path) -> None:
    engine = sqlalchemy.create_engine(uri)
    try:
        upgrade_schema(engine)
    except Exception as error:
        # MLflow's migrations are not one transaction: what they left half done gives way to the copy.
        engine.dispose()
        with (
            contextlib.closing(sqlite3.connect(backup)) as copy,
            contextlib.closing(sqlite3.connect(database)) as broken,
        ):
            copy.backup(broken)
        raise TrackingError(
            f"The workspace's MLflow database ({database.name}) cannot be brought to this MLflow's schema: {_line(error)}",
            mend=f"It is as it was (a copy is {backup.name}). A newer MLflow may have written it: "
            "`pip install -U mlflow-skinny`. Or move it away: runs are published again from their folders.",
        ) from error
    finally:
        engine.dispose()


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
