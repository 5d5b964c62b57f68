"""`data`: list, show, fetch, add, rm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, moment, seconds, size
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.commands.values import named
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.client.connection import Connection

Entry = Mapping[str, Any]

_MOST_PATHS = 20


def data(
    context: Context,
    *,
    action: str | None = None,
    name: str | None = None,
    paths: Sequence[str] = (),
    description: str | None = None,
    tag: Sequence[tuple[str, str]] = (),
    new_version: bool = False,
    unregister: bool = False,
) -> Table[Entry] | Text:
    """`list` the datasets there are; `show` one: where its files lie and what of them is here; `fetch` one now, so that a
    run need not; `add` files, folders, patterns or URLs under a name; `rm` what was fetched of one.

    Raises `DatasetNotFound` with the nearest names, `Unreachable`, `DownloadCorrupt`, `PathNotFound`.
    """
    if action in {None, "list"}:
        return _list(context)
    if name is None:
        raise UsageError(f"`data {action}` needs the dataset's name.", mend="`%mltrain data list` lists them.")
    if paths and action != "add":
        raise UsageError(f"`{paths[0]}` is one argument too many for `data {action}`.")
    if action == "add":
        return _add(context, name, paths, description, dict(tag), new_version=new_version)
    reference = str(named(name, "Dataset"))
    if action == "show":
        return _show(context.workspace().connection, reference)
    return _fetch(context, reference) if action == "fetch" else _remove(context, reference, unregister=unregister)


def _list(context: Context) -> Table[Entry]:
    entries: list[Entry] = context.workspace().connection.get("/v1/datasets", timeout=60)["datasets"]
    return Table(
        ("dataset", "version", "here", "files", "size", "description"),
        [
            (
                e["name"],
                e["version"],
                "yes" if e["cached"] else "fetched on first use",
                e["files"],
                "" if e["bytes"] is None else size(e["bytes"]),
                e["description"],
            )
            for e in entries
        ],
        items=entries,
    )


def _show(connection: Connection, reference: str) -> Text:
    e: Entry = connection.get(f"/v1/datasets/{part(reference)}", timeout=60)
    paths: list[str] = connection.get(f"/v1/datasets/{part(reference)}/paths", timeout=600)["paths"]
    more = [f"and {len(e['sources']) - 3} more"] if len(e["sources"]) > 3 else []
    facts = {
        "from": ", ".join([*e["sources"][:3], *more]) or "ready-made",
        "selection": "; ".join(_step(step) for step in e["selection"]),
        "tags": ", ".join(f"{k}={v}" if v else k for k, v in e["tags"].items()),
        "added": moment(e["created"]) if e["created"] else "",
        "versions": ", ".join(map(str, e["versions"])) if len(e["versions"]) > 1 else "",
        "content": e["key"],
        "here": e["path"] or ("where it lies" if e["cached"] else "fetched on first use"),
        "in cache": size(e["cached_bytes"]) if e["cached_bytes"] else "",
    }
    lines = [f"{e['name']}:{e['version']}  {e['kind']}", *([e["description"]] if e["description"] else [])]
    lines += [f"  {what:<10} {value}" for what, value in facts.items() if value]
    lines += [f"  {'instead':<10} {_instead(s)}" for s in e["substitutions"]]
    lines += [f"  {'files':<10} {len(paths)}:", *(f"    {path}" for path in paths[:_MOST_PATHS])]
    if len(paths) > _MOST_PATHS:
        lines.append(f"    and {len(paths) - _MOST_PATHS} more")
    return Text("\n".join(lines))


def _fetch(context: Context, reference: str) -> Text:
    from jupyter_mltrain.api.fetching import fetch_dataset  # noqa: PLC0415 - nothing is loaded before it is used

    context.say(f"Fetching {reference} …")
    entry = fetch_dataset(context.workspace(), reference)
    changed = _changed(entry)
    if entry["source"] in {"cache", "this machine"}:
        return Text(f"{reference} was here already: {entry['path']}{changed}")
    came = f"{size(entry['bytes'])} from {entry['source']} in {seconds(entry['seconds'])}, checked"
    return Text(f"{reference}: {came}. {entry['path']}{changed}")


def _changed(entry: Entry) -> str:
    if not entry["changed"]:
        return ""
    return f"\nIts files are not what they were when it was first fetched: {', '.join(entry['changed'][:3])}"


def _add(
    context: Context,
    name: str,
    paths: Sequence[str],
    description: str | None,
    tags: Mapping[str, str],
    *,
    new_version: bool,
) -> Text:
    from jupyter_mltrain.api.dataset import Dataset  # noqa: PLC0415 - nothing is loaded before it is used

    if not paths:
        raise UsageError("`data add` needs files, folders, patterns or URLs.", mend="Write `data add NAME PATH …`.")
    given = [path if "://" in path or path.startswith(("/", "~")) else str(context.folder / path) for path in paths]
    dataset = Dataset.File.from_files(given)
    made = dataset.register(context.workspace(), name, description, tags, create_new_version=new_version)
    return Text("\n".join([f"Added {made.name}:{made.version}. Use it with `-d {made.name}`.", *made.notes]))


def _remove(context: Context, reference: str, *, unregister: bool) -> Text:
    connection = context.workspace().connection
    found: Entry = connection.get(f"/v1/datasets/{part(reference)}")
    reference = f"{found['name']}:{found['version']}"
    path = f"/v1/datasets/{part(reference)}/remove"
    freed = connection.post(path, {"what": "cache"}, timeout=600)["bytes"]
    said = f"Removed {size(freed)} that were fetched of {reference}." if freed else f"Nothing of {reference} is cached."
    if unregister:
        connection.post(path, {"what": "definition"})
        said += f" {reference} is no longer registered."
    return Text(said)


def _instead(substitution: Mapping[str, Any]) -> str:
    return f"{substitution['given']} for {substitution['asked']}: {substitution['reason']}"


def _step(step: Mapping[str, Any]) -> str:
    from jupyter_mltrain.core.dataset import Selected  # noqa: PLC0415 - nothing is loaded before it is used

    return str(Selected(**step))
