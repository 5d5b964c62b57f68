"""From a request to a revision that an engine can run: the models found and checked, the app laid out, the environment
made ready."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.cache import write_whole
from jupyter_mltrain.core.deployment import (
    SERVABLE,
    EndpointInputs,
    EndpointPlan,
    EndpointSpec,
    ServedModel,
    check_service_name,
    memory_of,
)
from jupyter_mltrain.core.model import ModelVersion
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.core.target import LOCAL
from jupyter_mltrain.deployments.injected.mltrain_endpoint.files import seal
from jupyter_mltrain.deployments.local import LocalDeployer, choose_cpus
from jupyter_mltrain.deployments.place import MODELS, Place
from jupyter_mltrain.errors import ResourceUnavailable, RunNotFound, WebserviceException
from jupyter_mltrain.service import deploying_there, snapshot
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.serving import server_packages
from jupyter_mltrain.service.wire_endpoints import (
    EndpointChanges,
    EndpointRequest,
    InferenceRequest,
    ModelReference,
)
from jupyter_mltrain.tracking.content import tree_hash

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

DEFAULT_ENVIRONMENT = "tensorflow"


async def make_spec(
    service: Service, request: EndpointRequest, revision: int, old: EndpointSpec | None
) -> EndpointSpec:
    """The spec that a request means. Raises `WebserviceException`, `ModelNotFound`, `ResourceUnavailable`."""
    check_service_name(request.name)
    asked = request.deployment
    if asked.image is not None and asked.auth_enabled:
        raise WebserviceException(
            f"The server of the image {asked.image!r} asks for no keys.",
            mend="Leave auth_enabled out, or the image: then our own server answers.",
        )
    entries = await find_models(service, request.models, script=request.inference is not None)
    registered: dict[str, Any] = (entries[0].get("resources") or {}) if entries else {}
    spec = EndpointSpec(
        name=request.name,
        revision=revision,
        models=tuple(served(entry) for entry in entries),
        environment=await _environment(service, entries, request.inference),
        kind=asked.kind,
        entry_script=_script_path(request.inference),
        environment_variables=request.inference.environment_variables if request.inference else {},
        cpu=asked.cpu if asked.cpu is not None else registered.get("cpu"),
        memory_gb=asked.memory_gb if asked.memory_gb is not None else registered.get("memory_gb"),
        port=asked.port if asked.port is not None else old.port if old is not None else None,
        target=asked.target,
        image=asked.image,
        created=time.time(),
    )
    return await _checked(service, spec, entries)


async def revise(
    service: Service, place: Place, old: EndpointSpec, revision: int, changes: EndpointChanges
) -> tuple[EndpointSpec, InferenceRequest | None]:
    """The spec of an endpoint's next revision, and the entry script it is to have (that of the old one where none is
    given, with the present files of its folder)."""
    inference = changes.inference
    if inference is None and old.entry_script is not None:
        source = place.revision(old.revision) / "inference.json"
        inference = InferenceRequest(**json.loads(await asyncio.to_thread(source.read_text, "utf-8")))
    references = changes.models
    if references is None:
        references = [ModelReference(name=model.name, version=model.version) for model in old.models]
    entries = await find_models(service, references, script=inference is not None)
    spec = dataclasses.replace(
        old,
        revision=revision,
        models=tuple(served(entry) for entry in entries),
        environment=await _environment(service, entries, inference),
        entry_script=_script_path(inference),
        environment_variables=inference.environment_variables if inference else {},
        cpu=changes.cpu if changes.cpu is not None else old.cpu,
        memory_gb=changes.memory_gb if changes.memory_gb is not None else old.memory_gb,
        port=changes.port if changes.port is not None else old.port,
        created=time.time(),
        substitutions=(),
    )
    return await _checked(service, spec, entries), inference


async def find_models(service: Service, references: Iterable[ModelReference], *, script: bool) -> list[dict[str, Any]]:
    """What the registry says of each, checked to be servable."""
    tracking = service.publication.tracking
    entries: list[dict[str, Any]] = [dict(await tracking.get(each.name, each.version)) for each in references]
    if script:
        return entries
    if len(entries) != 1:
        raise WebserviceException(
            f"{len(entries)} models and no entry script: one model is served as it is.",
            mend="Give `inference_config=InferenceConfig(entry_script=…)`, or exactly one model.",
        )
    [entry] = entries
    if entry["format"] not in SERVABLE:
        raise WebserviceException(
            f"{entry['name']}:{entry['version']} is in no format that is served as it is (it is {entry['format']!r}).",
            mend="Register a SavedModel or a .keras file, or give an entry script:"
            " `inference_config=InferenceConfig(entry_script=…)`.",
        )
    if entry["format"] == "SavedModel" and not entry.get("signature"):
        raise WebserviceException(
            f"The SavedModel {entry['name']}:{entry['version']} has no signature that can be called.",
            mend="Save it with `tf.saved_model.save(model, path, signatures=…)`, or deploy it with an entry script.",
        )
    return entries


def served(entry: dict[str, Any]) -> ServedModel:
    """A registered version as an endpoint holds it: under the last part of the path that was registered."""
    basename = PurePosixPath(str(entry["path"])).name or str(entry["name"])
    return ServedModel(entry["name"], int(entry["version"]), entry["format"], basename, entry.get("content_hash", ""))


async def _environment(service: Service, entries: list[dict[str, Any]], inference: InferenceRequest | None) -> str:
    """The environment that is named, else the one for the models."""
    if inference is not None and inference.environment is not None:
        definition = await asyncio.to_thread(service.environments.store.get, inference.environment)
        return f"{definition.name}:{definition.version}" if definition.version else definition.name
    return await environment_for(service, entries)


async def environment_for(service: Service, entries: list[dict[str, Any]]) -> str:
    """The environment of the run that made the model, if TensorFlow is in it; else our own."""
    for entry in entries:
        found = await _environment_of_run(service, entry.get("run_id"))
        if found is not None:
            return found
    definition = await asyncio.to_thread(service.environments.store.get, DEFAULT_ENVIRONMENT)
    return f"{definition.name}:{definition.version}"


async def _environment_of_run(service: Service, run_id: str | None) -> str | None:
    if run_id is None:
        return None
    try:
        record = await service.record(run_id)
        text = await asyncio.to_thread((record.folder / "environment.json").read_text, "utf-8")
    except (RunNotFound, OSError):
        return None
    lock = json.loads(text)
    has = any(str(package).lower().startswith("tensorflow") for package in lock["packages"])
    prepared = lock["prepared"]
    if not has or not prepared.get("version") or not lock.get("lock"):
        return None  # an interpreter of the user's may be another one tomorrow
    return f"{prepared['name']}:{prepared['version']}"


def _script_path(inference: InferenceRequest | None) -> str | None:
    """Where the script lies in the app: in the source folder, under that folder's own name."""
    if inference is None:
        return None
    if inference.source_directory is None:
        return Path(inference.entry_script).name
    script = PurePosixPath(inference.entry_script)
    if script.is_absolute() or ".." in script.parts:
        raise WebserviceException(
            f"The entry script {inference.entry_script!r} lies outside of the source folder.",
            mend="Give its path relative to `source_directory`.",
        )
    return f"{Path(inference.source_directory).name}/{script}"


async def _checked(service: Service, spec: EndpointSpec, entries: list[dict[str, Any]]) -> EndpointSpec:
    """The spec with a memory limit in which its framework can start, and one that the place it is for has."""
    deploying_there.check_image(spec)
    spec = _within_reason(service, spec, entries)
    if spec.target == LOCAL:
        _check_machine(spec)
    else:
        await deploying_there.check(service, spec)
    return spec


def _within_reason(service: Service, spec: EndpointSpec, entries: list[dict[str, Any]]) -> EndpointSpec:
    framework = entries[0].get("framework") if entries else None
    gpus = int(((entries[0].get("resources") or {}) if entries else {}).get("gpu") or 0)
    memory, substitution = memory_of(spec.memory_gb, framework, script=spec.entry_script is not None)
    substitutions: tuple[Substitution, ...] = (substitution,) if substitution is not None else ()
    if gpus:
        substitutions += (Substitution("gpus", str(gpus), "0", "endpoints answer on CPUs here"),)
    if substitutions and service.config.raw.get("strict"):
        told = substitutions[0]
        raise ResourceUnavailable(
            f"{told.kind}: {told.asked} was asked, {told.given} can be given: {told.reason}.",
            mend="Ask for that, or take `strict = true` out of the workspace's config.toml.",
        )
    return dataclasses.replace(spec, memory_gb=memory, substitutions=substitutions)


def _check_machine(spec: EndpointSpec) -> None:
    there, memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, spec.memory_gb
    if memory is not None and memory > there:
        raise ResourceUnavailable(f"{memory:g} GB of memory asked, this machine has {there:.1f}.", mend="Ask for less.")
    count = len(os.sched_getaffinity(0))
    if spec.cpu is not None and spec.cpu > count:
        raise ResourceUnavailable(f"{spec.cpu:g} CPUs asked, this machine gives {count}.", mend="Ask for fewer.")


async def lay_out(service: Service, place: Place, spec: EndpointSpec, inference: InferenceRequest | None) -> None:
    """Make the revision's folder: the app with its models and its source, as they are now, and the spec.

    Raises `WebserviceException` for files that are not those that were registered, or a script that is not there.
    """
    source = await asyncio.to_thread(_source, service, inference)
    revision, draft = place.revision(spec.revision), place.folder / "revisions" / f".{spec.revision}"
    await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
    for model in spec.models:
        files = await service.publication.tracking.path(model.name, model.version)
        await asyncio.to_thread(_link_model, files, draft, model)
    await asyncio.to_thread(_write_app, service, draft, spec, inference, source)
    await asyncio.to_thread(shutil.rmtree, revision, ignore_errors=True)
    await asyncio.to_thread(draft.rename, revision)


def _link_model(files: Path, draft: Path, model: ServedModel) -> None:
    before = seal(str(files))
    if model.content_hash and tree_hash(files) != model.content_hash:
        raise WebserviceException(
            f"The files of {model.id} are not those that were registered: their hash differs.",
            mend="Register the model again from its run; these are not served.",
        )
    target = draft / "app" / MODELS / model.name / str(model.version) / model.basename
    target.parent.mkdir(parents=True, exist_ok=True)
    if files.is_dir():
        shutil.copytree(files, target, copy_function=_link)
    else:
        _link(files, target)
    # From here on a look is enough to see that there still stands what was hashed.
    note = draft / "seals" / f"{model.name}-{model.version}.json"
    note.parent.mkdir(exist_ok=True)
    sealed = {name: [*before.get(name, (None, None))[:2], inode] for name, (_, _, inode) in seal(str(target)).items()}
    write_whole(note, json.dumps(sealed).encode(), 0o600)


def _link(source: Any, target: Any) -> None:
    """The same file under another name where the disk allows: it stays when the registry's is deleted, and costs nothing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _source(service: Service, inference: InferenceRequest | None) -> snapshot.Snapshot | None:
    if inference is None:
        return None
    if inference.source_directory is None:
        script = Path(inference.entry_script)
        if not script.is_file():
            raise WebserviceException(
                f"The entry script {inference.entry_script!r} is not there.", mend="Check its path."
            )
        return None
    taken = snapshot.take(service.layout, Path(inference.source_directory), {})
    if inference.entry_script not in {file["path"] for file in taken.files}:
        names = [file["path"] for file in taken.files if file["path"].endswith(".py")][:5]
        raise WebserviceException(
            f"The entry script {inference.entry_script!r} is not in {Path(inference.source_directory).name!r}.",
            mend=f"There is: {', '.join(names)}." if names else "There are no Python files.",
        )
    return taken


def _write_app(
    service: Service,
    draft: Path,
    spec: EndpointSpec,
    inference: InferenceRequest | None,
    source: snapshot.Snapshot | None,
) -> None:
    app = draft / "app"
    app.mkdir(parents=True, exist_ok=True)
    if inference is not None:
        if source is not None:
            assert inference.source_directory is not None
            for file in source.files:
                target = app / Path(inference.source_directory).name / file["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(service.layout.blobs / file["sha256"][:2] / file["sha256"], target)
                target.chmod(file["mode"])
        else:
            shutil.copyfile(inference.entry_script, app / Path(inference.entry_script).name)
        write_whole(draft / "inference.json", inference.model_dump_json().encode(), 0o600)
    notices = tuple(source.notices) if source is not None else ()
    document = dataclasses.replace(spec, notices=notices).to_json()
    write_whole(draft / "spec.json", json.dumps(document, indent=1).encode(), 0o600)


async def prepare(
    service: Service, place: Place, spec: EndpointSpec, record: dict[str, Any], taken: Iterable[Iterable[int]],
    step: Callable[[str], None],
) -> EndpointPlan:  # fmt: skip
    """Make the environment ready and say what will run. Its build is logged in the endpoint's `build.log`."""
    if spec.target != LOCAL:
        return await deploying_there.prepare(service, place, spec, record, step)
    loop = asyncio.get_running_loop()

    def build(stop: threading.Event) -> tuple[Any, tuple[str, ...]]:
        with place.build_log.open("a", encoding="utf-8", errors="replace") as file:

            def log(line: str) -> None:
                file.write(line.rstrip("\n") + "\n")
                file.flush()
                if line.strip():
                    loop.call_soon_threadsafe(step, f"environment {spec.environment}: {line.strip()[:120]}")

            ready = service.environments.prepare(
                spec.environment, log=log, kernel_python=record["kernel_python"], cancelled=stop
            )
            return ready, server_packages(service.environments, ready, log)

    step(f"environment {spec.environment}")
    ready, overlay = await in_thread(build)
    cpus = choose_cpus(spec.cpu, taken)
    record["cpus"] = list(cpus) if cpus is not None else None
    inputs = EndpointInputs(
        id=record["id"],
        folder=place.folder,
        python=ready.prepared.python,
        overlay=overlay,
        variables=ready.prepared.variables,
        cpus=cpus,
    )
    return LocalDeployer().plan(spec, inputs)


def check_port(port: int) -> None:
    """Raise `WebserviceException` if something listens on the port, or we may not."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise WebserviceException(
                f"The port {port} cannot be used: {error.strerror}.", mend="Use another port, or none for a free one."
            ) from error


__all__ = ["ModelVersion", "check_port", "find_models", "lay_out", "make_spec", "prepare", "revise", "served"]
