"""What a run reads: its datasets checked at submit, on this machine when it is prepared, looked at again when it is over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jupyter_mltrain.cache import Stopped, disk_errors, remove_tree, write_whole
from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.dataset import DatasetDefinition, FileDatasetDefinition
from jupyter_mltrain.core.datastore import value_missing, variables_in
from jupyter_mltrain.core.mounts import OWN, Mount, WebFile
from jupyter_mltrain.core.spec import DataInput, Substitution
from jupyter_mltrain.data import FetchedDataset, FetchProgress
from jupyter_mltrain.data.observed import changes, observe
from jupyter_mltrain.data.places import LocalPlace
from jupyter_mltrain.errors import DatasetChanged, DatasetNotFound, InvalidName, SubstitutionRefused, UserErrorException
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.record import Record
from jupyter_mltrain.service.wire import DataRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LANG|(PYTHON|LD_|MLTRAIN_|AZUREML_|CUDA_|MLFLOW_|LC_).*")
_RECORD = "data.json"
"""In the run's folder: what each of its inputs held when the run was prepared."""
_PRIVATE = "data"
"""In the run's folder while it lives: copies of datasets that it may change."""
_NAMED = 20
_LISTED = 10_000
"""Files that a run's record names one by one; the hash is of all."""


def resolve_inputs(
    service: Service, requests: Sequence[DataRequest]
) -> tuple[tuple[DataInput, ...], tuple[Substitution, ...]]:
    """The datasets that a run asks for, each with its version, and what is given in place of what. Blocking; asks nobody.

    Raises `DatasetNotFound` with the nearest names, `InvalidName`, `UserErrorException` for a path that cannot be, and,
    where the workspace is `strict`, `SubstitutionRefused`.
    """
    inputs: list[DataInput] = []
    given: dict[Substitution, None] = {}
    for request in requests:
        definition = service.datasets.resolve(request.dataset or request.name, request.version)
        for variable, datastore in service.datasets.missing_values(definition).items():
            raise value_missing(variable, datastore)
        if request.dataset:
            _check_name(request.name)
        if any(other.name == request.name for other in inputs):
            raise InvalidName(f"Two of the run's datasets are called {request.name!r}.", mend="Name one otherwise.")
        place, instead = _place(request.path_on_compute)
        given |= dict.fromkeys([*service.datasets.substitutions(definition), *instead])
        version = definition.version if isinstance(definition, DatasetDefinition) or definition.name else None
        inputs.append(
            DataInput(request.name, version, request.argument, _reference(request, definition), request.mode, place)
        )
    if given and service.config.raw.get("strict"):
        first = next(iter(given))
        raise SubstitutionRefused(
            f"{first.asked} would be replaced by {first.given}: {first.reason}.",
            mend="This workspace is strict (`strict = true` in .mltrain/config.toml): name what exists.",
        )
    return tuple(inputs), tuple(given)


def _reference(request: DataRequest, definition: DatasetDefinition | FileDatasetDefinition) -> str:
    if not request.dataset:
        return ""
    return (
        definition.name or f"id:{definition.id}" if isinstance(definition, FileDatasetDefinition) else definition.name
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _TAKEN.fullmatch(name):
        raise InvalidName(
            f"{name[:60]!r} cannot be the name of a run's input.",
            mend="The script gets its path in a variable of that name: use letters, digits and '_'.",
        )


def _place(path: str) -> tuple[str, list[Substitution]]:
    if path.startswith(("/", "~")):
        reason = "no paths outside of the run's folder are made on this machine; the script is told where the data is"
        return "", [Substitution("path_on_compute", path, "the data's own folder", reason)]
    place = data_paths.clean(path)
    if place.split("/")[0] in KEPT:
        raise UserErrorException(
            f"The data cannot stand at {path!r}: what is in {' and '.join(KEPT)} is kept with the run.",
            mend="Choose another path_on_compute.",
        )
    return place, []


def first_entry(data: DataInput) -> dict[str, Any]:
    """What a run says of an input before it is there."""
    name = data.name if data.dataset.startswith("id:") else data.dataset or data.name
    return {"name": name, "version": data.version, "input": data.name, "mode": data.mode}


async def prepare_data(service: Service, record: Record, say: Callable[[str, str], None]) -> list[Mount]:
    """The run's datasets on this machine, fetched if they have to be, side by side. `say(what, text)` tells progress."""
    seen: dict[str, Any] = {}

    async def one(data: DataInput) -> Mount:
        mount, entry, found = await in_thread(lambda stop: _prepare_one(service, record, data, say, stop))
        for known in record.doc["data"]:
            if known.get("input", known["name"]) == data.name:
                known.update(entry)
        seen[data.name] = found
        return mount

    mounts = list(await asyncio.gather(*(one(d) for d in record.spec.data)))
    if seen:
        await asyncio.to_thread((record.folder / _RECORD).write_text, _record_text(seen), "ascii")
    return mounts


def _prepare_one(
    service: Service, record: Record, data: DataInput, say: Callable[[str, str], None], stop: threading.Event
) -> tuple[Mount, dict[str, Any], dict[str, Any]]:
    definition = service.datasets.resolve(data.reference)
    name = definition.name or data.name

    def show(progress: FetchProgress) -> None:
        of = f" of {progress.total / 1e6:.1f}" if progress.total else ""
        say(data.name, f"{name}: {progress.done / 1e6:.1f}{of} MB from {progress.source}")

    fetched = service.datasets.fetch(definition, progress=show, cancelled=stop)
    here = fetched.source in {"cache", "this machine"}
    size = f"{fetched.bytes / 1e6:.1f} MB from {fetched.source} in {fetched.seconds:.0f} s"
    say(data.name, "" if here else f"{name}: {size}")
    notices = [*fetched.notices, *_tell_changes(service, fetched, data)]
    record.doc.setdefault("notices", []).extend(text for text in notices if text not in record.doc["notices"])
    path = fetched.path
    if data.mode == "download":
        path = _copy(fetched.path, record.folder / _PRIVATE / data.name, stop)
    entry: dict[str, Any] = {
        "version": data.version,
        "key": fetched.key if ":" in fetched.key or not fetched.key else f"sha256:{fetched.key}",
        "files": len(fetched.files) or len(getattr(definition, "files", ())),
        "bytes": fetched.bytes,
        "source": fetched.source,
    }
    if isinstance(definition, FileDatasetDefinition):
        entry |= {"id": definition.id, "selection": [str(step) for step in definition.selection]}
    if fetched.changed:
        entry["changed"] = list(fetched.changed[:_NAMED])
    found = {
        "path": str(path),
        "hash": fetched.key,
        "sources": list(getattr(definition, "sources", ())),
        "files": [[f.path, f.size, f.sha256 or f.unpacked] for f in fetched.files[:_LISTED]],
        "seen": observe(path) if data.mode != "download" else None,
    }
    key = _mount_key(fetched.key, path)
    if data.mode == "download":
        key = OWN + key
    web = web_files(definition, fetched)
    return Mount(data.name, path, data.variable, key, data.path_on_compute, web), entry, found


def web_files(definition: DatasetDefinition | FileDatasetDefinition, fetched: FetchedDataset) -> tuple[WebFile, ...]:
    """Its files where anybody can have them, with the content that they had here; none where one of them is elsewhere."""
    if not isinstance(definition, FileDatasetDefinition) or variables_in(list(definition.sources)):
        return ()
    found = tuple(WebFile(one.path, one.source, one.size, one.sha256) for one in fetched.files)
    public = all(one.sha256 and _is_public(one.address) for one in found)
    return found if public and set(definition.sources) >= {one.address for one in found} else ()


def _is_public(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in {"http", "https"} and "@" not in parts.netloc


def _mount_key(key: str, path: Path) -> str:
    """What a remote engine calls the data: by content, by place where that is not known; a file is no folder."""
    plain = key.rpartition(":")[2] or hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()
    return f"{plain}-file" if path.is_file() else plain


def _tell_changes(service: Service, fetched: FetchedDataset, data: DataInput) -> list[str]:
    """Data of a registered version that is another now is used, and said; or refused, where the workspace is strict."""
    if not fetched.changed:
        return []
    what = data.reference
    files = _some(fetched.changed)
    if service.config.raw.get("strict"):
        raise DatasetChanged(
            f"{what} is not what it was when it was registered: {files} changed.",
            mend="Register a new version (create_new_version=True), or bring the files back.",
            changed=list(fetched.changed[:_NAMED]),
        )
    return [f"{what} is not what it was when it was first read: {files} changed; the run reads it as it is now"]


async def settle_data(service: Service, record: Record) -> None:
    """When the run is over: say which of its inputs changed while it ran, and remove its private copies."""
    await asyncio.to_thread(_settle, service, record)


def remove_copies(record: Record) -> None:
    """Delete the copies of datasets that were made for the run alone. Blocking."""
    private = record.folder / _PRIVATE
    if private.is_dir():
        remove_tree(private)


def _settle(service: Service, record: Record) -> None:
    remove_copies(record)
    path = record.folder / _RECORD
    if not path.is_file():
        return
    inputs: dict[str, Any] = json.loads(path.read_text("ascii"))["inputs"]
    for data in record.spec.data:
        before = inputs.get(data.name, {}).pop("seen", None)
        changed = changes(before, observe(Path(inputs[data.name]["path"]))) if before else []
        if not changed:
            continue
        try:
            spoiled = service.datasets.discard_spoiled(service.datasets.resolve(data.reference))
        except DatasetNotFound:  # its definition was removed meanwhile
            spoiled = False
        end = "; the cached copy was thrown away and will be fetched again" if spoiled else ""
        notice = f"the data of {data.name} changed while the run was there: {_some(changed)}{end}"
        notices = record.doc.setdefault("notices", [])
        if notice not in notices:
            notices.append(notice)
    write_whole(path, _record_text(inputs).encode("ascii"), 0o600)


def _record_text(inputs: Mapping[str, Any]) -> str:
    return json.dumps({"format": 1, "inputs": inputs}, indent=1)


def _some(paths: Sequence[str]) -> str:
    named = ", ".join(paths[:3])
    return named if len(paths) <= 3 else f"{named} and {len(paths) - 3} more files"


def _copy(source: Path, target: Path, stop: threading.Event) -> Path:
    """A copy that the run may change; whole when its path is returned."""

    def copy(one: str, other: str) -> None:
        if stop.is_set():
            raise Stopped
        shutil.copyfile(one, other)

    with disk_errors(target, "copying a dataset for the run"):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True, mode=0o700)
        if source.is_file():
            copy(str(source), str(target / source.name))
            return target / source.name
        base = str(source).rstrip("/")
        for entry in LocalPlace().walk(base):
            inside = target / entry.path[len(base) + 1 :]
            inside.parent.mkdir(parents=True, exist_ok=True)
            copy(entry.path, str(inside))
    return target
