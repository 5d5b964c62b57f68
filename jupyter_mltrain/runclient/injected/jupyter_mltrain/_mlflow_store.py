"""An MLflow tracking store that appends to the run's stream: `mlflow.log_metric` and autologging need no server.

MLflow finds it by the entry point `mltrain` of the group `mlflow.tracking_store` (the `dist-info` folder beside this
package) and the variable `MLFLOW_TRACKING_URI=mltrain://run`. The first run that a process starts is the run itself; further
ones (nested runs, loops over `start_run`) log into it too, under their name: `<run name>/<metric>`.
"""

from __future__ import annotations

import collections
import os
import time
import uuid
from typing import Any

from mlflow.entities import Experiment, LifecycleStage, Metric, Param, RunData, RunInfo, RunStatus, RunTag, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore

from ._run import LiveRun, Run

EXPERIMENT = "0"
_HISTORY = 10_000
"""Values of a metric that `get_metric_history` knows of, the last ones; the record has them all."""


class Store(AbstractStore):
    """The runs of this process, as MLflow's client sees them."""

    def __init__(self, store_uri: str | None = None, artifact_uri: str | None = None) -> None:
        super().__init__()
        run = Run.get_context()
        if not isinstance(run, LiveRun):
            raise MlflowException("The tracking URI mltrain:// works inside of a run of jupyter_mltrain only.")
        self._run = run
        self._runs: dict[str, _Known] = {run.id: _Known(run.id, run.display_name or run.id, "", _outputs(run))}
        self._models: dict[str, Any] = {}
        self._attached = False

    # Experiments: there is one, whatever name the script gives it.
    def _experiment(self) -> Experiment:
        return Experiment(
            EXPERIMENT, self._run.experiment.name or "Default", _outputs(self._run), LifecycleStage.ACTIVE
        )

    def get_experiment(self, experiment_id: str) -> Experiment:
        return self._experiment()

    def get_experiment_by_name(self, experiment_name: str) -> Experiment:
        return self._experiment()

    def create_experiment(self, name: str, artifact_location: Any = None, tags: Any = None) -> str:
        return EXPERIMENT

    def search_experiments(self, *args: Any, **kwargs: Any) -> PagedList:
        return PagedList([self._experiment()], None)

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        self._run.tag(tag.key, tag.value)

    # Runs
    def get_run(self, run_id: str) -> MlflowRun:
        if run_id == self._run.id:
            self._attached = True
        return self._known(run_id).entity()

    def create_run(self, experiment_id: str, user_id: str, start_time: int, tags: Any, run_name: str) -> MlflowRun:
        if not self._attached:
            return self.get_run(self._run.id)
        run_id = uuid.uuid4().hex
        name = run_name or f"run-{len(self._runs) + 1}"
        self._runs[run_id] = _Known(run_id, name, f"{name}/", os.path.join(_outputs(self._run), name))
        return self._runs[run_id].entity()

    def update_run_info(self, run_id: str, run_status: Any, end_time: Any, run_name: Any) -> RunInfo:
        known = self._known(run_id)
        known.status = run_status
        known.end_time = end_time
        if run_name:
            known.name = run_name
        return known.entity().info

    def delete_run(self, run_id: str) -> None:
        raise MlflowException("A run cannot be deleted from inside.")

    restore_run = delete_run

    def _search_runs(
        self,
        experiment_ids: Any,
        filter_string: Any,
        run_view_type: Any = ViewType.ACTIVE_ONLY,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        return [known.entity() for known in self._runs.values()], None

    # What a run says
    def log_batch(self, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]) -> None:
        known = self._known(run_id)
        for metric in metrics:
            point = (metric.timestamp, metric.step, metric.value)
            history = known.metrics.setdefault(metric.key, collections.deque(maxlen=_HISTORY))
            if getattr(metric, "model_id", None) and point in history:
                continue  # MLflow 3 sends a metric again to tie it to the model that was logged after it
            history.append(point)
            self._run.metric(known.prefix + metric.key, float(metric.value), metric.step, metric.timestamp / 1000)
        for param in params:
            known.params[param.key] = param
            self._run.param(known.prefix + param.key, param.value)
        for tag in tags:
            known.tags[tag.key] = tag
            self._run.tag(known.prefix + tag.key, tag.value)

    def log_metric(self, run_id: str, metric: Metric) -> None:
        self.log_batch(run_id, [metric], [], [])

    def log_param(self, run_id: str, param: Param) -> None:
        self.log_batch(run_id, [], [param], [])

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        self.log_batch(run_id, [], [], [tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        self._known(run_id).tags.pop(key, None)

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> PagedList:
        points = self._known(run_id).metrics.get(metric_key, ())
        return PagedList([Metric(metric_key, value, at, step) for at, step, value in points], None)

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        for one in datasets or ():
            self._run._say("input", name=one.dataset.name, digest=one.dataset.digest)

    def log_outputs(self, run_id: str, models: Any) -> None:
        """A model that was logged is a folder of the outputs; nothing more needs to be said."""

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """See `log_outputs`."""

    def link_traces_to_run(self, trace_ids: list[str], run_id: str) -> None:
        """Traces are not kept."""

    # Models that MLflow 3 logs: folders in outputs/.
    def create_logged_model(
        self, experiment_id: str, name: str | None = None, source_run_id: str | None = None, tags: Any = None,
        params: Any = None, model_type: str | None = None,
    ) -> Any:  # fmt: skip
        from mlflow.entities import LoggedModel, LoggedModelStatus

        now = int(time.time() * 1000)
        model_id = f"m-{uuid.uuid4().hex}"
        folder = os.path.join(_outputs(self._run), name or "model")
        if os.path.exists(folder):
            folder = f"{folder}-{model_id[2:10]}"
        self._models[model_id] = LoggedModel(
            experiment_id=EXPERIMENT, model_id=model_id, name=name or "model", artifact_location=folder,
            creation_timestamp=now, last_updated_timestamp=now, model_type=model_type, source_run_id=source_run_id,
            status=LoggedModelStatus.PENDING, tags=tags, params=params,
        )  # fmt: skip
        return self._models[model_id]

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        if model_id not in self._models:
            raise MlflowException(f"No model {model_id} was logged in this process.")
        return self._models[model_id]

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        model = self.get_logged_model(model_id)
        model.status = status
        self._run._say("artifact", path=os.path.relpath(model.artifact_location, self._run.work))
        return model

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        self.get_logged_model(model_id).tags.update({tag.key: tag.value for tag in tags})

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        self.get_logged_model(model_id).params.update({param.key: param.value for param in params})

    def search_logged_models(self, *args: Any, **kwargs: Any) -> PagedList:
        return PagedList(list(self._models.values()), None)

    def _known(self, run_id: str) -> _Known:
        if run_id not in self._runs:
            raise MlflowException(f"There is no run {run_id} in this process.")
        return self._runs[run_id]


class _Known:
    """What this process knows of a run."""

    def __init__(self, run_id: str, name: str, prefix: str, artifacts: str) -> None:
        self.run_id = run_id
        self.name = name
        self.prefix = prefix
        self.artifacts = artifacts
        self.status: Any = RunStatus.RUNNING
        self.start_time = int(time.time() * 1000)
        self.end_time: int | None = None
        self.metrics: dict[str, collections.deque[tuple[int, int, float]]] = {}
        self.params: dict[str, Param] = {}
        self.tags: dict[str, RunTag] = {}

    def entity(self) -> MlflowRun:
        fields = {
            "experiment_id": EXPERIMENT, "user_id": "", "status": RunStatus.to_string(self.status),
            "start_time": self.start_time, "end_time": self.end_time, "lifecycle_stage": LifecycleStage.ACTIVE,
            "artifact_uri": self.artifacts, "run_id": self.run_id, "run_name": self.name,
        }  # fmt: skip
        try:
            info = RunInfo(**fields)
        except TypeError:  # MLflow 2 names the id twice
            info = RunInfo(run_uuid=self.run_id, **fields)
        last = [Metric(key, points[-1][2], *points[-1][:2]) for key, points in self.metrics.items()]
        return MlflowRun(info, RunData(last, list(self.params.values()), list(self.tags.values())))


def _outputs(run: LiveRun) -> str:
    return os.path.join(run.work, "outputs")
