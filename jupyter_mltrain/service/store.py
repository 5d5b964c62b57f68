"""The service's index: SQLite, WAL, one writer. What it knows of a run is also in the run's folder.

All access goes through one thread, so that a slow or locked disk never holds the event loop.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jupyter_mltrain.core.status import Change, Status
from jupyter_mltrain.errors import StorageError

T = TypeVar("T")
Row = dict[str, Any]

_SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, number INTEGER NOT NULL, experiment TEXT NOT NULL, display_name TEXT NOT NULL,
    status TEXT NOT NULL, revision INTEGER NOT NULL, created REAL NOT NULL, started REAL, ended REAL,
    target TEXT NOT NULL, doc TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs(created);
CREATE INDEX runs_by_name ON runs(display_name);
CREATE INDEX runs_by_status ON runs(status);
CREATE TABLE history (
    run_id TEXT NOT NULL REFERENCES runs(id), position INTEGER NOT NULL, status TEXT NOT NULL, time REAL NOT NULL,
    reason TEXT NOT NULL, evidence TEXT NOT NULL, PRIMARY KEY (run_id, position)
) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

SCHEMA_VERSION = 1
_COLUMNS = ("id", "number", "experiment", "display_name", "status", "revision", "created", "started", "ended", "target")


@dataclass(frozen=True)
class Chosen:
    """Which runs to list. `parent`: the id of the run whose children they are; `children`: False leaves out every run
    that is one. `tags` and `properties`: `KEY` or `KEY=VALUE` each, and all must fit; those that a script itself gave
    count from the end of its run on."""

    experiment: str | None = None
    status: str | None = None
    target: str | None = None
    parent: str | None = None
    children: bool = True
    tags: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    def clause(self) -> tuple[str, list[Any]]:
        """The condition and its values, for SQL."""
        where, values = ["1"], []
        for column in ("experiment", "status", "target"):
            if getattr(self, column):
                where.append(f"{column}=?")
                values.append(getattr(self, column))
        if self.parent:
            where.append("doc ->> '$.parent' = ?")
            values.append(self.parent)
        elif not self.children:
            where.append("doc ->> '$.parent' IS NULL")
        for path, asked in (("$.tags", self.tags), ("$.properties", self.properties)):
            for each in asked:
                key, equals, value = each.partition("=")
                fits = " AND value=?" if equals else ""
                where.append(f"EXISTS (SELECT 1 FROM json_each(doc, '{path}') WHERE key=?{fits})")  # noqa: S608
                values += [key, value] if equals else [key]
        return " AND ".join(where), values


class Store:
    """`await store.call(store.method, …)`; the methods themselves are for the store's thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._db: sqlite3.Connection | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def open(self) -> None:
        """Open, and migrate an older schema after a backup. Raises `StorageError` for a newer or broken one."""
        try:
            self._db = sqlite3.connect(self._path, timeout=75, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._migrate(self._db)
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self._path} cannot be used: {error}.",
                mend="Move it away: it is made anew from the run folders.",
            ) from error

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def shutdown(self) -> None:
        self._thread.shutdown(wait=True)

    def next_number(self) -> int:
        """Counts the runs of the workspace, from 1."""
        row = self._sql(
            "INSERT INTO counters VALUES ('run', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value"
        ).fetchone()
        return int(row[0])

    def insert(self, row: Row, change: Change) -> None:
        """Add a run with its first status. An id that is there already raises `sqlite3.IntegrityError`."""
        with _Transaction(self._connection):
            self._sql(
                f"INSERT INTO runs ({', '.join(_COLUMNS)}, doc) VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})",  # noqa: S608
                *(row[c] for c in _COLUMNS),
                json.dumps(row["doc"]),
            )
            self._append(row["id"], 0, change)

    def adopt(self, row: Row, history: Sequence[Change]) -> None:
        """Know a run as its folder tells it, whatever was known of it before."""
        with _Transaction(self._connection):
            columns = (*_COLUMNS, "doc")
            self._sql(
                f"INSERT OR REPLACE INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
                *(row[c] for c in _COLUMNS),
                json.dumps(row["doc"]),
            )
            self._sql("DELETE FROM history WHERE run_id=?", row["id"])
            for position, change in enumerate(history):
                self._append(row["id"], position, change)
            # Numbers that were given are not given again.
            self._sql(
                "INSERT INTO counters VALUES ('run', ?1) ON CONFLICT(name) DO UPDATE SET value = max(value, ?1)",
                row["number"],
            )

    def save(self, row: Row, change: Change | None, position: int) -> None:
        """Write a run's present row and, with `change`, its next status, in one transaction."""
        with _Transaction(self._connection):
            self._sql(
                "UPDATE runs SET display_name=?, status=?, revision=?, started=?, ended=?, doc=? WHERE id=?",
                row["display_name"],
                row["status"],
                row["revision"],
                row["started"],
                row["ended"],
                json.dumps(row["doc"]),
                row["id"],
            )
            if change is not None:
                self._append(row["id"], position, change)

    def get(self, run_id: str) -> tuple[Row, list[Change]] | None:
        """The run with this id and its history, or None."""
        row = self._sql("SELECT * FROM runs WHERE id=?", run_id).fetchone()
        if row is None:
            return None
        changes = [
            Change(Status(r["status"]), r["time"], r["reason"], json.loads(r["evidence"]))
            for r in self._sql("SELECT * FROM history WHERE run_id=? ORDER BY position", run_id)
        ]
        return _row(row), changes

    def find(self, key: str) -> str | None:
        """The id of the run that `key` means: an id, a display name (the newest of that name), or `latest`."""
        if key == "latest":
            row = self._sql("SELECT id FROM runs ORDER BY number DESC LIMIT 1").fetchone()
        else:
            row = self._sql(
                "SELECT id FROM runs WHERE id=?1 OR display_name=?1 ORDER BY id=?1 DESC, number DESC LIMIT 1", key
            ).fetchone()
        return str(row[0]) if row else None

    def names(self) -> list[str]:
        """Display names and ids of the 500 newest runs, for messages that say what is near."""
        rows = self._sql("SELECT id, display_name FROM runs ORDER BY number DESC LIMIT 500")
        return [name for row in rows for name in (row[1], row[0])]

    def list(self, chosen: Chosen, order: str, limit: int, offset: int) -> tuple[list[Row], int]:
        """Rows that match, newest first unless `order` says otherwise, and how many match in all."""
        clause, values = chosen.clause()
        total = self._sql(f"SELECT count(*) FROM runs WHERE {clause}", *values).fetchone()[0]  # noqa: S608
        by = {"created": "number", "-created": "number DESC"}.get(order, "number DESC")
        rows = self._sql(f"SELECT * FROM runs WHERE {clause} ORDER BY {by} LIMIT ? OFFSET ?", *values, limit, offset)  # noqa: S608
        return [_row(r) for r in rows], int(total)

    def experiments(self) -> Sequence[tuple[str, int, float]]:
        """Name, number of runs and time of the newest, of each experiment; the newest first."""
        rows = self._sql(
            "SELECT experiment, count(*), max(created) FROM runs GROUP BY experiment ORDER BY max(number) DESC"
        )
        return [(str(r[0]), int(r[1]), float(r[2])) for r in rows]

    def having_model(self, name: str, version: int) -> Sequence[str]:
        """Ids of the runs that a model's version was registered from."""
        rows = self._sql(
            "SELECT runs.id FROM runs, json_each(doc, '$.models') AS m WHERE m.value ->> 'name' = ? AND m.value ->> 'version' = ?",
            name,
            version,
        )
        return [r[0] for r in rows]

    everything = Chosen()

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        with _Transaction(self._connection):
            self._sql("DELETE FROM history WHERE run_id=?", run_id)
            self._sql("DELETE FROM runs WHERE id=?", run_id)

    def ids(self) -> set[str]:
        """Ids of all runs."""
        return {row[0] for row in self._sql("SELECT id FROM runs")}

    def live(self) -> list[str]:
        """Ids of the runs that are not terminal, oldest first."""
        rows = self._sql("SELECT id FROM runs WHERE status NOT IN ('Completed', 'Failed', 'Canceled') ORDER BY number")
        return [r[0] for r in rows]

    def unpublished(self) -> list[str]:
        """Ids of the runs whose copy in MLflow is not complete, newest first."""
        rows = self._sql("SELECT id FROM runs WHERE doc ->> '$.tracking.state' <> 'synced' ORDER BY number DESC")
        return [r[0] for r in rows]

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._db is not None, "the store is closed"
        self._db.row_factory = sqlite3.Row
        return self._db

    def _sql(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _append(self, run_id: str, position: int, change: Change) -> None:
        self._sql(
            # A save that failed half-way (a full disk) is repeated as a whole.
            "INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?, ?, ?)",
            run_id,
            position,
            change.status.value,
            change.time,
            change.reason,
            json.dumps(change.evidence),
        )

    def _migrate(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            return
        if version > SCHEMA_VERSION:
            raise StorageError(
                f"{self._path} was written by a newer jupyter_mltrain (schema {version}).",
                mend="Upgrade with `pip install -U jupyter-mltrain`.",
            )
        if version:
            with sqlite3.connect(self._path.with_suffix(f".backup-{int(time.time())}.db")) as copy:
                db.backup(copy)
        with _Transaction(db):
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("ROLLBACK" if kind else "COMMIT")


def _row(row: sqlite3.Row) -> Row:
    return {**{c: row[c] for c in _COLUMNS}, "doc": json.loads(row["doc"])}
