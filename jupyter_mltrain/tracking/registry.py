"""The model registry, kept in MLflow's: a plain MLflow client lists the versions and downloads their files.

A version's files lie under its run's artifacts, `models/<digest of the content>/`, copied, or, from a finished run on the
same disk, under a second name and read-only; the version's source points there, so it outlives the run's record. What MLflow has no field for stands in tags `mltrain.…`.

Registering the same content under the same name again gives the version that is there, with `same_as` its own number,
and puts tags, description and metrics that are given now on it: a repeated request, a second click or a cell that is
run again makes no second version. With `force` it makes one, whose `same_as` is the earlier number.

Imported by the child only.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion as Entity
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.core.mlflow_names import tag_key, tag_name
from jupyter_mltrain.core.model import ModelVersion, Registration
from jupyter_mltrain.errors import ConflictError, ModelNotFound, PathNotFound, TrackingError, UsageError
from jupyter_mltrain.tracking import content
from jupyter_mltrain.tracking.content import Content
from jupyter_mltrain.tracking.header import RUN_ID
from jupyter_mltrain.tracking.inspection import inspect
from jupyter_mltrain.tracking.publication import Publication
from jupyter_mltrain.tracking.store import Store

_ABOUT, _SIGNATURE, _METRICS = "mltrain.model", "mltrain.signature", "mltrain.metrics"
"""Tags: JSON of what MLflow has no field for, within its limit of 100,000 characters each."""
_HASH = "mltrain.content_hash"
_OWN = ("mltrain.", "mlflow.")
_PAGE = 1000
_TAG_LIMIT = 5000
_METRICS_LIMIT = 90_000
_DIGITS = 16
_DAY = 86_400.0
_HOME, _MODEL = "models", "mltrain.model_files"
"""Experiment of the MLflow runs that hold files which no run of ours made, and the tag with the model's name."""


def register(store: Store, given: Registration, *, run_id: str, folder: Path) -> ModelVersion:
    """Register what lies at `given.path` in the record of a run. See the module for content that is there already.

    Raises `InvalidName`, `PathNotFound`, `UsageError` (no plain files), `DiskFull`.
    """
    _check(given)
    kept, source = content.find(folder, given.path)
    run = Publication(store, run_id, folder, {}).ensure_run()
    # What a script may still write to lies in the working folder; the record's own files change no more.
    over = not source.is_relative_to(folder / "work")
    return _register(store, replace(given, path=kept), source, run, run_id, link=over)


def register_files(store: Store, given: Registration, source: Path) -> ModelVersion:
    """The same for files of this machine that no run made: the file or folder `source`."""
    _check(given)
    if not source.exists():
        raise PathNotFound(f"There is no file or folder {source}.", path=given.path)
    return _register(store, given, source, _home(store, given.name), None)


def tidy(store: Store) -> None:
    """Delete what a process that was killed left half made. Not what is young: another may be at it still."""
    for path in (*store.folder.glob(".registering-*"), *store.folder.glob("models/*/.fetching-*")):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - _DAY:
                shutil.rmtree(path)


def _check(given: Registration) -> None:
    check_name(given.name, "Model")
    for key, value in given.tags.items():
        if len(value) > _TAG_LIMIT or len(tag_key(key)) > 250 or tag_name(tag_key(key)) != key:
            raise UsageError(
                f"The tag {key[:60]!r} is too long.", mend="Use names up to 200 and values up to 5000 characters."
            )


def _register(
    store: Store, given: Registration, source: Path, run: Run, run_id: str | None, *, link: bool = False
) -> ModelVersion:
    artifacts = str(run.info.artifact_uri).rstrip("/")
    scratch = Path(tempfile.mkdtemp(prefix=".registering-", dir=store.folder))
    try:
        copy = scratch / "files"
        found = content.copy(source, copy, link=link)
        earlier = [each for each in versions(store, given.name) if each.content_hash == found.hash]
        if earlier and not given.force:
            return _again(store, earlier[0], given)
        about = inspect(copy)
        place = f"models/{found.hash.removeprefix('sha256:')[:_DIGITS]}"
        _bring(store, artifacts, place, copy, found)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    details = {
        "path": given.path,
        "file": source.name if source.is_file() else "",
        "framework": given.framework or about.framework,
        "framework_version": given.framework_version or (about.framework_version if not given.framework else None),
        "same_as": earlier[0].version if earlier else None,
        "format": about.format,
        "bytes": found.bytes,
        "files": found.files,
        "properties": dict(given.properties),
        "resources": given.resources,
        "environment": given.environment,
        "data": list(given.data),
        "sample_input": given.sample_input,
    }
    _ensure_name(store, given.name)
    made = store.client.create_model_version(
        given.name,
        f"{artifacts}/{place}",
        run.info.run_id,
        tags={
            **{tag_key(key): value for key, value in given.tags.items()},
            **({RUN_ID: run_id} if run_id else {}),
            _HASH: found.hash,
            _ABOUT: json.dumps(details),
            _METRICS: _bounded(given.metrics),
            **({_SIGNATURE: json.dumps(about.signature)} if about.signature else {}),
            **{
                f"mltrain.{key}": str(details[key])
                for key in ("framework", "framework_version", "format")
                if details[key]
            },
        },
        description=given.description or None,
    )
    return _version(made)


def change(
    store: Store,
    name: str,
    version: int,
    *,
    tags: Mapping[str, str] | None,
    description: str | None,
    properties: Mapping[str, str] | None,
    sample_input: str | None,
) -> ModelVersion:
    """Set what is given: `tags` take the place of those that were, `properties` are added. Raises `ModelNotFound`,
    `ConflictError` for a property that is there with another value."""
    entity = _entity(store, name, version)
    present, number = _version(entity), str(entity.version)
    about = _json(entity, _ABOUT)
    changed = [key for key, value in (properties or {}).items() if present.properties.get(key, value) != value]
    if changed:
        raise ConflictError(f"The property {changed[0]!r} of {present.id} is set already; properties never change.")
    if tags is not None:
        _check(Registration(name, "", tags))
        for key in present.tags.keys() - tags.keys():
            store.client.delete_model_version_tag(name, number, tag_key(key))
        for key, value in tags.items():
            store.client.set_model_version_tag(name, number, tag_key(key), value)
    if description is not None:
        store.client.update_model_version(name, number, description)
    if properties or sample_input is not None:
        about["properties"] = {**present.properties, **(properties or {})}
        about["sample_input"] = present.sample_input if sample_input is None else sample_input
        store.client.set_model_version_tag(name, number, _ABOUT, json.dumps(about))
    return _version(_entity(store, name, version))


def delete(store: Store, name: str, version: int) -> None:
    """Take a version away, and its files where no other version has them. Raises `ModelNotFound`."""
    entity = _entity(store, name, version)
    source = str(entity.source)
    store.client.delete_model_version(name, str(entity.version))
    if any(str(each.source) == source for each in store.client.search_model_versions(max_results=_PAGE)):
        return
    repository = store.artifacts(source)
    if isinstance(repository, LocalArtifactRepository):
        shutil.rmtree(repository.artifact_dir, ignore_errors=True)
    if not versions(store, name):
        store.client.delete_registered_model(name)


def _home(store: Store, name: str) -> Run:
    """The MLflow run whose artifacts hold the files of a model that no run of ours made: one for each name."""
    experiment = store.experiment_id(_HOME)
    found = store.client.search_runs([experiment], f"tags.`{_MODEL}` = '{name}'", max_results=1)
    if found:
        return found[0]
    made = store.client.create_run(experiment, tags={_MODEL: name}, run_name=name)
    store.client.set_terminated(made.info.run_id)
    return made


def everything(store: Store) -> list[ModelVersion]:
    """All versions of all models, the newest first."""
    return sorted(_search(store, None), key=lambda version: (-version.created, version.name, -version.version))


def versions(store: Store, name: str) -> list[ModelVersion]:
    """All versions of `name`, oldest first; none if there is no such model."""
    check_name(name, "Model")
    return sorted(_search(store, f"name = '{name}'"), key=lambda version: version.version)


def get(store: Store, name: str, version: int | None) -> ModelVersion:
    """A version of `name` (None: the newest). Raises `ModelNotFound` with the nearest names, or the versions there are."""
    return _version(_entity(store, name, version))


def path(store: Store, name: str, version: int | None) -> Path:
    """Where the files of a version can be read: what was registered, the folder or the file. From a team's server they
    are fetched once, to `models/` in the workspace. Read only, please: the files are the registry's own."""
    entity = _entity(store, name, version)
    about = _json(entity, _ABOUT)
    source = str(store.client.get_model_version_download_uri(entity.name, str(entity.version)))
    repository = store.artifacts(source)
    if isinstance(repository, LocalArtifactRepository):
        folder = Path(repository.artifact_dir)
        if not folder.exists():
            raise TrackingError(
                f"The files of {name}:{entity.version} are gone ({folder.name}).",
                mend="Register the model again from its run.",
            )
    else:
        folder = _fetch(store, entity, repository)
    return folder / about["file"] if about.get("file") else folder


def _fetch(store: Store, entity: Entity, repository: Any) -> Path:
    expected = entity.tags.get(_HASH, "")
    suffix = expected.removeprefix("sha256:")[:_DIGITS] or str(entity.creation_timestamp)
    kept = store.folder / "models" / entity.name / f"{entity.version}-{suffix}"
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=kept.parent))
    try:
        repository.download_artifacts("", str(scratch))
        if expected and content.tree_hash(scratch) != expected:
            raise TrackingError(
                f"The files of {entity.name}:{entity.version} came damaged from the tracking server.",
                mend="Try again; if it stays so, the files on the server were changed.",
            )
        scratch.rename(kept)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return kept


def _bring(store: Store, artifact_uri: str, place: str, copy: Path, found: Content) -> None:
    """Put the files in `copy` under the run's artifacts at `place`; where they lie already, leave them."""
    repository = store.artifacts(artifact_uri)
    if isinstance(repository, LocalArtifactRepository):
        # On this disk the copy becomes the artifact: one move, whole or not at all.
        target = Path(repository.artifact_dir, place)
        if target.exists() and content.tree_hash(target) == found.hash:
            return
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(copy, target)
    else:
        repository.log_artifacts(str(copy), place)


def _again(store: Store, earlier: ModelVersion, given: Registration) -> ModelVersion:
    client, name, version = store.client, earlier.name, str(earlier.version)
    for key, value in given.tags.items():
        client.set_model_version_tag(name, version, tag_key(key), value)
    if given.description:
        client.update_model_version(name, version, given.description)
    entity = client.get_model_version(name, version)
    said = {
        "properties": {**given.properties, **earlier.properties},
        **({"resources": given.resources} if given.resources else {}),
        **({"sample_input": given.sample_input} if given.sample_input else {}),
    }
    client.set_model_version_tag(name, version, _ABOUT, json.dumps({**_json(entity, _ABOUT), **said}))
    if given.metrics:
        client.set_model_version_tag(name, version, _METRICS, _bounded({**_json(entity, _METRICS), **given.metrics}))
    return _version(client.get_model_version(name, version), same_as=earlier.version)


def _ensure_name(store: Store, name: str) -> None:
    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _search(store: Store, query: str | None) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = store.client.search_model_versions(query, max_results=_PAGE, page_token=token)
        found += [_version(entity) for entity in page]
        token = page.token
        if not token:
            return found


def _entity(store: Store, name: str, version: int | None) -> Entity:
    check_name(name, "Model")
    known = versions(store, name)
    if not known:
        raise ModelNotFound.of(name, {each.name for each in everything(store)})
    number = known[-1].version if version is None else version
    if number not in {each.version for each in known}:
        last = ", ".join(str(each.version) for each in known[-5:])
        raise ModelNotFound(
            f"There is no version {number} of the model {name!r}.", mend=f"The last ones are: {last}.", name=name
        )
    return store.client.get_model_version(name, str(number))


def _bounded(metrics: Mapping[str, float]) -> str:
    """As JSON, the first that fit: a run may have thousands."""
    kept: dict[str, float] = {}
    size = 2
    for name, value in metrics.items():
        size += len(json.dumps({name: value}))
        if size > _METRICS_LIMIT:
            break
        kept[name] = value
    return json.dumps(kept)


def _json(entity: Entity, key: str) -> dict[str, Any]:
    """The object in one of our tags; empty for a version that someone else registered."""
    try:
        value = json.loads(entity.tags.get(key, "{}"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _version(entity: Entity, same_as: int | None = None) -> ModelVersion:
    about = _json(entity, _ABOUT)
    return ModelVersion(
        name=str(entity.name),
        version=int(entity.version),
        run_id=entity.tags.get(RUN_ID),
        path=str(about.get("path", "")),
        content_hash=entity.tags.get(_HASH, ""),
        created=entity.creation_timestamp / 1000,
        description=entity.description or "",
        tags={tag_name(key): value for key, value in entity.tags.items() if not key.startswith(_OWN)},
        framework=about.get("framework"),
        framework_version=about.get("framework_version"),
        signature=_json(entity, _SIGNATURE) or None,
        metrics=_json(entity, _METRICS),
        same_as=about.get("same_as") if same_as is None else same_as,
        format=about.get("format", "files"),
        bytes=about.get("bytes", 0),
        files=about.get("files", 0),
        properties=about.get("properties", {}),
        resources=about.get("resources"),
        environment=about.get("environment"),
        data=tuple(about.get("data", ())),
        sample_input=about.get("sample_input"),
    )
