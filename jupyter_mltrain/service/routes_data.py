"""Routes about datasets and datastores."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_mltrain.core import wire_data as answers
from jupyter_mltrain.core.dataset import DatasetDefinition, FileDatasetDefinition, Selected
from jupyter_mltrain.core.datastore import DatastoreDefinition
from jupyter_mltrain.data import FetchProgress
from jupyter_mltrain.data.catalog import AnyDefinition, Catalog
from jupyter_mltrain.data.uploads import upload
from jupyter_mltrain.errors import ConflictError
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.wire import Nothing
from jupyter_mltrain.service.wire_data import (
    DatasetRequest,
    DatastoreRequest,
    RemoveDatasetRequest,
    UploadRequest,
    ValuesRequest,
)

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

NAMED_FILES = 20
"""Most paths of changed files that an answer names."""


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")
    under_way: dict[str, answers.FetchProgress] = {}

    @routes.get("/datasets")
    async def datasets() -> answers.DatasetList:
        def read() -> list[answers.Dataset]:
            return [describe(service.datasets, definition) for definition in service.datasets.list()]

        return {"datasets": await asyncio.to_thread(read)}

    @routes.post("/datasets", status_code=201)
    async def add(request: DatasetRequest) -> answers.DatasetDetails:
        """Register it; one without a name is kept by its id."""
        return await service.working(in_thread(lambda _: _add(service.datasets, request)))

    @routes.get("/datasets/{name}")
    async def dataset(name: str) -> answers.DatasetDetails:
        """`name`: NAME, NAME:VERSION or id:ID."""
        return await asyncio.to_thread(lambda: details(service.datasets, service.datasets.resolve(name)))

    @routes.get("/datasets/{name}/paths")
    async def paths(name: str) -> answers.DatasetPaths:
        """Paths of its files in it; may ask where they lie."""

        def read() -> list[str]:
            found = service.datasets.paths(service.datasets.resolve(name))
            return [path.encode(errors="surrogateescape").decode(errors="replace") for path in found]

        return {"paths": await service.working(in_thread(lambda _: read()))}

    @routes.post("/datasets/{name}/fetch")
    async def fetch(name: str, _: Nothing) -> answers.FetchedDataset:
        """Fetch it now; answers when it is there."""
        definition = await asyncio.to_thread(service.datasets.resolve, name)
        under_way[name] = {"state": "fetching", "source": "", "done": 0, "total": 0}

        def report(progress: FetchProgress) -> None:
            now = under_way[name]
            now["source"], now["done"], now["total"] = progress.source, progress.done, progress.total

        try:
            fetched = await service.working(
                in_thread(lambda stop: service.datasets.fetch(definition, progress=report, cancelled=stop))
            )
        except BaseException:
            under_way[name]["state"] = "failed"
            raise
        under_way[name]["state"] = "done"
        return {
            **await asyncio.to_thread(describe, service.datasets, definition),
            "key": fetched.key,
            "path": str(fetched.path),
            "source": fetched.source,
            "seconds": fetched.seconds,
            "bytes": fetched.bytes,
            "changed": list(fetched.changed[:NAMED_FILES]),
        }

    @routes.get("/datasets/{name}/fetch")
    async def fetching(name: str) -> answers.FetchProgress:
        return under_way.get(name, {"state": "idle", "source": "", "done": 0, "total": 0})

    @routes.post("/datasets/{name}/remove")
    async def remove(name: str, request: RemoveDatasetRequest) -> answers.Freed:
        definition = await asyncio.to_thread(service.datasets.resolve, name)
        if request.what == "definition":
            await asyncio.to_thread(service.datasets.remove, definition)
            return {"bytes": 0}
        known = await asyncio.to_thread(describe, service.datasets, definition)
        await _refuse_while_read(service, known)
        return {"bytes": await service.working(in_thread(lambda _: service.datasets.drop(definition)))}

    @routes.get("/datastores")
    async def datastores() -> answers.DatastoreList:
        stores = service.datasets.datastores
        return {"datastores": await asyncio.to_thread(lambda: [_datastore(service, d) for d in stores.list()])}

    @routes.post("/datastores", status_code=201)
    async def add_datastore(request: DatastoreRequest) -> answers.Datastore:
        """Register it, in place of one of that name."""
        service.datasets.datastores.lend(request.values)
        definition = DatastoreDefinition(request.name, request.url, request.options)
        made = await asyncio.to_thread(service.datasets.datastores.register, definition)
        return _datastore(service, made)

    @routes.get("/datastores/{name}")
    async def datastore(name: str) -> answers.Datastore:
        return _datastore(service, await asyncio.to_thread(service.datasets.datastores.get, name))

    @routes.post("/datastores/{name}/values")
    async def lend(name: str, request: ValuesRequest) -> answers.Datastore:
        """Values for the environment variables that it names; kept in memory alone."""
        service.datasets.datastores.lend(request.values)
        return await datastore(name)

    @routes.post("/datastores/{name}/upload")
    async def put(name: str, request: UploadRequest) -> answers.Uploaded:
        """Copy files of this machine into it."""
        stores = service.datasets.datastores
        done = await service.working(
            in_thread(lambda _: upload(stores, name, request.files, overwrite=request.overwrite))
        )
        return {"files": done.files, "bytes": done.bytes, "skipped": done.skipped}

    @routes.post("/datastores/{name}/remove")
    async def remove_datastore(name: str, _: Nothing) -> answers.Freed:
        """Forget it; its files stay where they are."""
        await asyncio.to_thread(service.datasets.datastores.remove, name)
        return {"bytes": 0}

    return routes


async def _refuse_while_read(service: Service, dataset: answers.Dataset) -> None:
    """Raise `ConflictError` where a live run has the files before it."""
    for run_id in await service.store.call(service.store.live):
        record = await service.record(run_id)
        same = (dataset["name"], dataset["version"])
        if any(
            (read["name"], read["version"]) == same or read.get("key") == dataset["key"] for read in record.doc["data"]
        ):
            raise ConflictError(
                f"The run {record.row['display_name']} reads {dataset['name']}:{dataset['version']} now.",
                mend="Wait for it to end, or cancel it.",
            )


def describe(catalog: Catalog, definition: AnyDefinition) -> answers.Dataset:
    """What a list says of a dataset. Blocking; asks nobody."""
    if isinstance(definition, DatasetDefinition):
        return {
            "name": definition.name,
            "version": definition.version,
            "id": "",
            "kind": "ready-made",
            "description": definition.description,
            "tags": {},
            "key": f"sha256:{definition.key}",
            "files": len(definition.files),
            "bytes": definition.download,
            "cached": catalog.cached(definition) is not None,
        }
    known = catalog.definitions.content(definition)
    return {
        "name": definition.name,
        "version": definition.version,
        "id": definition.id,
        "kind": "registered" if definition.name else "unregistered",
        "description": definition.description,
        "tags": dict(definition.tags),
        "key": known.hash if known else "",
        "files": len(known.files) if known else None,
        "bytes": known.bytes if known else None,
        "cached": catalog.is_here(definition),
    }


def details(catalog: Catalog, definition: AnyDefinition) -> answers.DatasetDetails:
    """All that is known of a dataset. Blocking; asks nobody."""
    path = str(catalog.cached(definition) or "") or None if catalog.is_here(definition) else None
    common = describe(catalog, definition)
    freed = catalog.cached_bytes(definition)
    if isinstance(definition, DatasetDefinition):
        return {
            **common, "sources": [], "selection": [], "partition_format": "", "created": 0.0, "versions": [definition.version], "path": path,
            "cached_bytes": freed, "substitutions": [],
        }  # fmt: skip
    versions = [one.version for one in catalog.definitions.versions(definition.name)] if definition.name else []
    return {
        **common,
        "sources": list(definition.sources),
        "selection": [step.to_json() for step in definition.selection],
        "partition_format": definition.partition_format,
        "created": definition.created,
        "versions": versions,
        "path": path,
        "cached_bytes": freed,
        "substitutions": [
            {"kind": s.kind, "asked": s.asked, "given": s.given, "reason": s.reason}
            for s in catalog.substitutions(definition)
        ],
    }


def _add(catalog: Catalog, request: DatasetRequest) -> answers.DatasetDetails:
    selection = tuple(Selected(**step.model_dump()) for step in request.selection)
    given = FileDatasetDefinition(
        id="",
        sources=tuple(request.sources),
        selection=selection,
        name=request.name,
        description=request.description,
        tags=request.tags,
        partition_format=request.partition_format,
    )
    if request.name:
        made = catalog.register(given, new_version=request.create_new_version, validate=request.validate_sources)
    else:
        made = catalog.keep(given, validate=request.validate_sources)
    return details(catalog, made)


def _datastore(service: Service, definition: DatastoreDefinition) -> answers.Datastore:
    values = service.datasets.datastores.values
    return {
        "name": definition.name,
        "url": definition.url,
        "options": dict(definition.options),
        "variables": list(definition.variables),
        "missing": [name for name in definition.variables if name not in values],
    }
