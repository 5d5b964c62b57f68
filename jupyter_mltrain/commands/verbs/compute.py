"""`compute`: list, show, create, update, rm, sizes; of attached engines: attach, detach, prune."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, seconds, size
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.core.target import DOCKER
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.client.connection import Connection

Entry = Mapping[str, Any]
_ATTACH_SECONDS = 300.0
"""A host at the end of a slow line is tried step by step, and an image may have to come first."""
_SCALE = frozenset({"min_nodes", "max_nodes", "idle"})
_OPTIONS = {
    "create": _SCALE | {"size"},
    "update": _SCALE,
    "attach": frozenset(
        {"docker_context", "base_image", "user", "max_nodes", "tls_ca", "tls_cert", "tls_key", "image", "registry"}
    ),
    "prune": frozenset({"yes"}),
}
"""Which options an action takes."""


def compute(
    context: Context, *, action: str | None = None, name: str | None = None, urls: Sequence[str] = (), **options: Any
) -> Table[Entry] | Text:
    """`list` the targets there are; `show` one with its nodes; `create`, `update` or `rm` a pool of nodes; `sizes` of
    nodes there are; `attach` the engine at a URL, or several as one target, `detach` it, `prune` what we left on it.

    Raises `UsageError` for an option that belongs to another action, `TargetNotFound` with the nearest names,
    `ComputeTargetException` for what no pool can be or an engine that cannot be used, `TargetInUse`.
    """
    connection = context.workspace().connection
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    if urls and action != "attach":
        raise UsageError(f"A URL belongs to `compute attach`: {urls[0]!r}.")
    _check_options(action or "list", given)
    if action is None or action == "list":
        return _list(connection)
    if action == "sizes":
        return _sizes(connection)
    if name is None:
        raise UsageError(f"`compute {action}` needs the target's name.", mend="`%mltrain compute` lists them.")
    return _ACTIONS[action](connection, name, {**given, "urls": urls} if urls else given)


def _check_options(action: str, given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in _OPTIONS.get(action, frozenset()):
            places = ", ".join(f"`compute {name}`" for name, keys in _OPTIONS.items() if key in keys)
            raise UsageError(f"--{key.replace('_', '-')} belongs to {places}.")


def _show(connection: Connection, name: str, _: Mapping[str, Any]) -> Text:
    return Text("\n".join(_lines(connection.get(f"/v1/targets/{part(name)}"), _names(connection, name))))


def _remove(connection: Connection, name: str, _: Mapping[str, Any]) -> Text:
    connection.delete(f"/v1/targets/{part(name)}")
    return Text(f"{name} is gone.")


def _list(connection: Connection) -> Table[Entry]:
    answer = connection.get("/v1/targets")
    entries: list[Entry] = answer["targets"]
    return Table(
        ("target", "kind", "size", "at most", "now", "queued", "each node has"),
        [
            (
                e["name"],
                e["kind"],
                (e["definition"] or {}).get("size"),
                f"{e['max_nodes']} {'nodes' if e['node'] else 'runs at once'}",
                _now(e["nodes"]),
                e["queued"],
                _share(e),
            )
            for e in entries
        ],
        items=entries,
        note="\n".join(answer["problems"]),
    )


def _sizes(connection: Connection) -> Table[Entry]:
    entries: list[Entry] = connection.get("/v1/sizes")["sizes"]
    return Table(
        ("size", "CPUs", "GB of memory", "GPUs", "which were"),
        [(e["name"], e["cpus"], e["memory_gb"], e["gpus"] or None, e["gpu"]) for e in entries],
        items=entries,
        note="A node here has at most what this machine has. Yours: .mltrain/computes/sizes.toml",
    )


def _create(connection: Connection, name: str, given: Mapping[str, Any]) -> Text:
    if "size" not in given:
        raise UsageError(
            "`compute create` needs the size of a node.",
            mend="Give `--size NAME`; `%mltrain compute sizes` lists them.",
        )
    made = connection.post("/v1/targets", {"name": name, **_body(given)})
    return Text("\n".join([*_lines(made, {}), f"Use it with `-t {made['name']}`."]))


def _update(connection: Connection, name: str, given: Mapping[str, Any]) -> Text:
    if not given:
        raise UsageError("`compute update` needs what to change.", mend="Give --min-nodes, --max-nodes or --idle.")
    return Text("\n".join(_lines(connection.patch(f"/v1/targets/{part(name)}", _body(given)), {})))


def _attach(connection: Connection, name: str, given: Mapping[str, Any]) -> Text:
    url, *hosts = given.get("urls", ()) or ("",)
    settings = {key.removeprefix("docker_"): value for key, value in given.items() if key != "urls"}
    settings |= ({"url": url} if url else {}) | ({"hosts": hosts} if hosts else {})
    body = {"name": name, "engine": DOCKER, "settings": settings}
    made = connection.post("/v1/attached-targets", body, timeout=_ATTACH_SECONDS)
    return Text("\n".join([*_lines(made, {}), f"Use it with `-t {made['name']}`."]))


def _prune(connection: Connection, name: str, given: Mapping[str, Any]) -> Table[Entry]:
    yes = bool(given)
    answer = connection.post(f"/v1/targets/{part(name)}/prune", {"dry_run": not yes}, timeout=600)
    found: list[Entry] = answer["leftovers"]
    bytes_ = size(sum(one["bytes"] or 0 for one in found))
    note = f"{len(found)} removed, {bytes_} freed." if yes else f"{len(found)}, {bytes_}: `--yes` removes them."
    return Table(
        ("what", "name", "size", "why it may go"),
        [
            (one["kind"], _where(one), size(one["bytes"]) if one["bytes"] is not None else None, one["why"])
            for one in found
        ],
        items=found,
        note=note if found else "",
        empty=f"Nothing of ours lies on {name} that may go.",
    )


def _where(leftover: Entry) -> str:
    return f"{leftover['name']} on {leftover['host']}" if leftover["host"] else str(leftover["name"])


def _body(given: Mapping[str, Any]) -> dict[str, Any]:
    return {{"idle": "idle_seconds"}.get(key, key): value for key, value in given.items()}


def _lines(target: Entry, names: Mapping[str, str]) -> list[str]:
    """What `show` says of a target. `names`: run id → display name."""
    asked: Entry = target["definition"] or {}
    lines = [f"{target['name']}  {target['kind']}{', ' + asked['size'] if asked.get('size') else ''}"]
    lines += [asked["description"]] if asked.get("description") else []
    facts = {
        "nodes": _scale(target),
        "each has": _share(target),
        "queue": f"{target['queued']} wait" if target["queued"] else "empty",
        "engine": f"{target['engine']}: {target['health']['problem']}" if not _usable(target) else "",
    }
    lines += [f"  {what:<10} {value}" for what, value in facts.items() if value]
    lines += [_host(host) for host in target["hosts"]] or [f"  ✓ {step}" for step in target["health"]["steps"]]
    lines += [f"  instead of {one['asked']}: {one['given']}; {one['reason']}" for one in target["substitutions"]]
    now = time.time()
    for node in target["nodes"]:
        run = names.get(node["run"], node["run"]) if node["run"] else ""
        said = [
            node["state"],
            run,
            f"on {node['host']}" if node["host"] else "",
            f"for {seconds(max(0.0, now - node['since']))}",
            node["problem"],
        ]
        lines.append(f"  node {node['number']:<5} {' '.join(word for word in said if word)}")
    return lines


def _usable(target: Entry) -> bool:
    return bool(target["health"]["ok"] or target["hosts"])


def _host(host: Entry) -> str:
    """`✓ box-1: 2 of 8 runs, 16 CPUs, 64 GB, no GPU`."""
    has, health = host["capacity"], host["health"]
    what = f"{_count(has['cpus'], 'CPU')}, {has['memory_gb']:.1f} GB, {_count(len(has['gpus']), 'GPU')}"
    problem = "" if health["ok"] else f"; {health['problem']} {health['mend']}".rstrip()
    return f"  {'✓' if health['ok'] else '✗'} {host['name']}: {host['runs']} of {has['slots']} runs, {what}{problem}"


def _scale(target: Entry) -> str:
    asked = target["definition"]
    if asked is None or not target["node"]:
        return f"{target['max_nodes']} runs at once"
    stays = f", {asked['min_nodes']} always" if asked["min_nodes"] else ""
    return f"at most {asked['max_nodes']}{stays}; an idle one goes after {seconds(asked['idle_seconds'])}"


def _share(target: Entry) -> str:
    has = target["node"]
    if not has:
        return "what its run asks for"
    return f"{_count(has['cpus'], 'CPU')}, {has['memory_gb']:g} GB, {_count(has['gpus'], 'GPU')}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"


def _now(nodes: Sequence[Entry]) -> str:
    """`2 running, 1 idle`."""
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node["state"]] = counts.get(node["state"], 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _names(connection: Connection, target: str) -> dict[str, str]:
    found = connection.get("/v1/runs", target=target, limit=200)["runs"]
    return {run["id"]: run["display_name"] for run in found}


_ACTIONS: Mapping[str, Callable[[Connection, str, Mapping[str, Any]], Table[Entry] | Text]] = {
    "show": _show,
    "create": _create,
    "update": _update,
    "rm": _remove,
    "attach": _attach,
    "detach": _remove,
    "prune": _prune,
}
"""What is done to a target that has a name."""
