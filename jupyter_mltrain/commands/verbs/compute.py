"""`compute`: list, show, create, update, rm, sizes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, seconds
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.client.connection import Connection

Entry = Mapping[str, Any]
_SCALE = ("min_nodes", "max_nodes", "idle")


def compute(
    context: Context, *, action: str | None = None, name: str | None = None, size: str | None = None, **scale: Any
) -> Table[Entry] | Text:
    """`list` the targets there are; `show` one with its nodes; `create`, `update` or `rm` a pool of nodes; `sizes` of
    nodes there are.

    Raises `TargetNotFound` with the nearest names, `ComputeTargetException` for what no pool can be, `TargetInUse`.
    """
    connection = context.workspace().connection
    given = {key: scale[key] for key in _SCALE if scale.get(key) is not None}
    if action not in {"create", "update"} and (given or size is not None):
        raise UsageError("A size and numbers of nodes belong to `compute create` and `compute update`.")
    if action in {None, "list"}:
        return _list(connection)
    if action == "sizes":
        return _sizes(connection)
    if name is None:
        raise UsageError(f"`compute {action}` needs the target's name.", mend="`%mltrain compute` lists them.")
    if action == "rm":
        connection.delete(f"/v1/targets/{part(name)}")
        return Text(f"{name} is gone.")
    if action == "create":
        return _create(connection, name, size, given)
    if action == "update":
        return _update(connection, name, size, given)
    return Text("\n".join(_lines(connection.get(f"/v1/targets/{part(name)}"), _names(connection, name))))


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


def _create(connection: Connection, name: str, size: str | None, given: Mapping[str, Any]) -> Text:
    if size is None:
        raise UsageError(
            "`compute create` needs the size of a node.",
            mend="Give `--size NAME`; `%mltrain compute sizes` lists them.",
        )
    made = connection.post("/v1/targets", {"name": name, "size": size, **_body(given)})
    return Text("\n".join([*_lines(made, {}), f"Use it with `-t {made['name']}`."]))


def _update(connection: Connection, name: str, size: str | None, given: Mapping[str, Any]) -> Text:
    if size is not None:
        raise UsageError("A target keeps its size.", mend="Make another: `%mltrain compute create NAME --size …`.")
    if not given:
        raise UsageError("`compute update` needs what to change.", mend="Give --min-nodes, --max-nodes or --idle.")
    return Text("\n".join(_lines(connection.patch(f"/v1/targets/{part(name)}", _body(given)), {})))


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
        "engine": f"{target['engine']}: {target['health']['problem']}" if not target["health"]["ok"] else "",
    }
    lines += [f"  {what:<10} {value}" for what, value in facts.items() if value]
    lines += [f"  instead of {one['asked']}: {one['given']}; {one['reason']}" for one in target["substitutions"]]
    now = time.time()
    for node in target["nodes"]:
        run = names.get(node["run"], node["run"]) if node["run"] else ""
        said = [node["state"], run, f"for {seconds(max(0.0, now - node['since']))}", node["problem"]]
        lines.append(f"  node {node['number']:<5} {' '.join(word for word in said if word)}")
    return lines


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
