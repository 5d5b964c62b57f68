"""Brings one run's record into MLflow, a slice at a time. Imported by the child only.

Order of a slice: the run itself, its header (name, tags, parameters), points, and once the run has ended and all its
points are there: outputs, what MLflow cannot hold, the status. Each step is safe to do again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from jupyter_mltrain.core import records
from jupyter_mltrain.tracking import cursor as cursors
from jupyter_mltrain.tracking.cursor import Cursor
from jupyter_mltrain.tracking.header import RUN_ID, Header, header_of
from jupyter_mltrain.tracking.outputs import Outputs, put
from jupyter_mltrain.tracking.points import Converted, Converter, Point
from jupyter_mltrain.tracking.store import Store

BATCH = 1000
"""Points in one `log_batch`, MLflow's limit. Parameters and tags: 100."""

_LABELS = 100
_GONE = "RESOURCE_DOES_NOT_EXIST"
_PIECE = 64 << 10


def publish(store: Store, run_id: str, folder: Path, state: dict[str, Any], budget: float) -> dict[str, int]:
    """Publish what is new of the run recorded in `folder`, for about `budget` seconds.

    `state` is its RunState; what it lacks is taken from `spec.json`. Returns `pending`, the number of records and files
    that are still to come (0: all is there), and `points`, those published in all.
    """
    return Publication(store, run_id, folder, state).advance(time.monotonic() + budget)


class Publication:
    """One run on its way into MLflow."""

    def __init__(self, store: Store, run_id: str, folder: Path, state: dict[str, Any]) -> None:
        self.store = store
        self.folder = folder
        self.header: Header = header_of(run_id, folder, state)
        self.cursor = Cursor.load(folder, store.uri)
        self._artifact_uri = ""

    def advance(self, deadline: float) -> dict[str, int]:
        """As `publish`."""
        self.ensure_run()
        self._send_header()
        pending = self._send_points(deadline)
        if pending == 0 and self.header.terminal:
            pending = self._send_outputs(deadline)
        if pending == 0:
            # A run that has ended gets its last status when all it left is there.
            if self.header.terminal:
                self._send_values()
            self._send_status()
        return {"pending": pending, "points": self.cursor.points}

    def ensure_run(self) -> Run:
        """The run in MLflow, made if it is not there: exactly one, also after a process was killed between making and
        noting it. If the copy is gone (a database that was moved away, another server under the address), all of it
        is to be sent again."""
        run = self._known_run()
        if run is None:
            run = self._find_run() or self._make_run()
            self.cursor = Cursor(self.store.uri, mlflow_run=run.info.run_id)
            self.cursor.save(self.folder)
        self._artifact_uri = str(run.info.artifact_uri).rstrip("/")
        return run

    def _known_run(self) -> Run | None:
        if not self.cursor.mlflow_run:
            return None
        try:
            return self.store.client.get_run(self.cursor.mlflow_run)
        except MlflowException as error:
            if error.error_code != _GONE:
                raise
            return None

    def _find_run(self) -> Run | None:
        experiment = self.store.experiment_id(self.header.experiment)
        query = f"tags.`{RUN_ID}` = '{self.header.run_id}'"
        order = ["start_time ASC"]
        found = self.store.client.search_runs([experiment], query, ViewType.ALL, max_results=1, order_by=order)
        return found[0] if found else None

    def _make_run(self) -> Run:
        return self.store.client.create_run(
            self.store.experiment_id(self.header.experiment),
            start_time=round(self.header.started * 1000),
            tags={RUN_ID: self.header.run_id},
            run_name=self.header.run_name,
        )

    def _send_header(self) -> None:
        header, cursor, client = self.header, self.cursor, self.store.client
        if header.digest == cursor.header:
            return
        converted = Converted(params=header.params, tags=header.tags, values=list(header.values))
        self._log(converted)
        # The header is sent whole at each change; a line that was told before is not told again.
        lines = {hashlib.sha256(line.encode()).hexdigest(): line for line in converted.values}
        cursor.keep_values(self.folder, [line for digest, line in lines.items() if digest not in cursor.told])
        cursor.told += [digest for digest in lines if digest not in cursor.told]
        for key in set(cursor.tags) - set(header.tags):
            try:
                client.delete_tag(cursor.mlflow_run, key)
            except MlflowException as error:
                if error.error_code != _GONE:
                    raise
        if header.run_name:
            client.update_run(cursor.mlflow_run, name=header.run_name)
        cursor.tags = sorted(header.tags)
        cursor.header = header.digest
        cursor.save(self.folder)

    def _send_points(self, deadline: float) -> int:
        """Points of all stream files; returns the number of whole records still to come."""
        pending = 0
        for path in sorted((self.folder / "streams").glob("*.metrics")):
            rank = records.file_rank(path.name)
            if rank is None:
                continue
            if time.monotonic() < deadline:
                self._send_file(path, rank, deadline)
            pending += _lines(path, self.cursor.offsets.get(path.name, 0))
        return pending

    def _send_file(self, path: Path, rank: int, deadline: float) -> None:
        cursor = self.cursor
        offset = cursor.offsets.get(path.name, 0)
        if path.stat().st_size <= offset:
            return
        converter = Converter(rank, cursor.counts.setdefault(path.name, {}), cursor.told)
        for found, end in _pieces(path, offset):
            converted = converter.convert(found)
            self._log(converted)
            cursor.keep_values(self.folder, converted.values)
            cursor.points += len(converted.points)
            cursor.offsets[path.name] = end
            cursor.save(self.folder)
            if time.monotonic() >= deadline:
                return

    def _log(self, converted: Converted) -> None:
        client, run = self.store.client, self.cursor.mlflow_run
        for points in _chunks(converted.points, BATCH):
            client.log_batch(run, metrics=[_metric(point) for point in points])
        params = self._new_params(converted) if converted.params else {}
        for chunk in _chunks(list(params.items()), _LABELS):
            client.log_batch(run, params=[Param(key, value) for key, value in chunk])
        for chunk in _chunks(list(converted.tags.items()), _LABELS):
            client.log_batch(run, tags=[RunTag(key, value) for key, value in chunk])

    def _new_params(self, converted: Converted) -> dict[str, str]:
        """Those MLflow does not have. A parameter there never changes: another value goes to the values file."""
        there: dict[str, str] = self.store.client.get_run(self.cursor.mlflow_run).data.params
        for key, value in converted.params.items():
            if there.get(key, value) != value:
                converted.values.append(json.dumps({"param": key, "value": value}, ensure_ascii=False))
        return {key: value for key, value in converted.params.items() if key not in there}

    def _send_outputs(self, deadline: float) -> int:
        cursor, outputs = self.cursor, Outputs(self.folder)
        if cursor.outputs != outputs.digest:
            cursor.outputs, cursor.outputs_done = outputs.digest, 0
        if cursor.outputs_done >= outputs.total:
            return 0
        repository = self.store.artifacts(self._artifact_uri)
        while cursor.outputs_done < outputs.total and time.monotonic() < deadline:
            outputs.put(repository, cursor.outputs_done)
            cursor.outputs_done += 1
        cursor.save(self.folder)
        return outputs.total - cursor.outputs_done

    def _send_values(self) -> None:
        cursor = self.cursor
        if cursor.values == cursor.values_sent:
            return
        path = self.folder / cursors.VALUES
        with path.open("r+b") as file:
            file.truncate(cursor.values)
        put(self.store.artifacts(self._artifact_uri), path, "mltrain/values.jsonl")
        cursor.values_sent = cursor.values
        cursor.save(self.folder)

    def _send_status(self) -> None:
        client, header, cursor = self.store.client, self.header, self.cursor
        if header.mlflow_status == cursor.status:
            return
        if header.terminal:
            client.set_terminated(cursor.mlflow_run, header.mlflow_status, end_time=round(header.ended * 1000))
        else:
            client.update_run(cursor.mlflow_run, status=header.mlflow_status)
        cursor.status = header.mlflow_status
        cursor.save(self.folder)


def _pieces(path: Path, offset: int) -> Iterator[tuple[list[Any], int]]:
    """The records of `path` from `offset` on, some at a time, and the offset behind them."""
    size = _PIECE
    with path.open("rb") as file:
        while True:
            file.seek(offset)
            data = file.read(size)
            found, consumed = records.parse(data)
            if consumed:
                offset += consumed
                size = _PIECE
                yield found, offset
            elif len(data) == size:
                size *= 4  # one record longer than what was read
            else:
                return


def _lines(path: Path, offset: int) -> int:
    count = 0
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(1 << 20):
            count += data.count(b"\n")
    return count


def _metric(point: Point) -> Metric:
    return Metric(point.key, point.value, point.time, point.step)


def _chunks(values: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
