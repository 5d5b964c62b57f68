"""`env`: list, show, build."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, seconds
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.commands.values import environment
from jupyter_mltrain.errors import UsageError, from_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_mltrain.client.connection import Connection

Entry = Mapping[str, Any]

_STATES = {"ready": "built", "to build": "resolved, not built yet", "to resolve": "not resolved yet"}


def env(
    context: Context,
    *,
    action: str | None = None,
    name: str | None = None,
    requirements: str | None = None,
    python: str | None = None,
    interpreter: str | None = None,
) -> Table[Entry] | Text:
    """`list` environments; `show` one: definition, packages, last build log; `add` one from a requirements file or an
    existing interpreter; `build` one now, its log shown as it comes.

    Raises `EnvironmentNotFound` with the nearest names, and what a registration or build raises.
    """
    if action in {None, "list"}:
        return _list(context)
    if name is None:
        raise UsageError(f"`env {action}` needs the environment's name.", mend="`%mltrain env list` lists them.")
    if action == "add":
        return _add(context, name, requirements, python, interpreter)
    reference = str(environment(name))
    return _show(context, reference) if action == "show" else _build(context, reference)


def _list(context: Context) -> Table[Entry]:
    entries: list[Entry] = context.workspace().connection.get("/v1/environments")["environments"]
    return Table(
        ("environment", "version", "state", "python", "packages", "description"),
        [
            (
                e["name"],
                e.get("version"),
                "the kernel's own" if e["name"] == "current" else _STATES.get(str(e["state"]), e["state"]),
                e.get("python") or "",
                len(e["packages"]) or None,
                e.get("description") or "",
            )
            for e in entries
        ],
        items=entries,
    )


def _show(context: Context, reference: str) -> Text:
    connection = context.workspace().connection
    e: Entry = connection.get(f"/v1/environments/{part(reference)}")
    version = f":{e['version']}" if e.get("version") else ""
    lines = [
        f"{e['name']}{version}  {_STATES.get(str(e['state']), e['state'])}",
        *([e["description"]] if e.get("description") else []),
    ]
    facts = {
        "python": e.get("python") or e.get("interpreter"),
        "asked for": ", ".join(e.get("pip") or ()),
        "with GPUs": ", ".join(e.get("pip_gpu") or ()),
        "variables": ", ".join(e.get("environment_variables") or ()),
        "key": str(e.get("key") or "")[:16],
    }
    lines += [f"  {what:<10} {value}" for what, value in facts.items() if value]
    packages = list(e.get("packages") or ())
    if packages:
        lines += [f"  {'packages':<10} {len(packages)}:", *(f"    {p}" for p in packages)]
    log = b"".join(_log(connection, reference))
    if log:
        lines += ["Log of the last build here:", log.decode(errors="replace").rstrip()]
    return Text("\n".join(lines))


def _add(context: Context, name: str, requirements: str | None, python: str | None, interpreter: str | None) -> Text:
    from jupyter_mltrain.api.environment import Environment  # noqa: PLC0415 - nothing is loaded before it is used

    if (requirements is None) == (interpreter is None):
        raise UsageError(
            "`env add` needs what to make it from.", mend="Give -r requirements.txt, or --interpreter PATH."
        )
    if requirements is not None:
        made = Environment.from_pip_requirements(name, context.folder / requirements, python=python)
    else:
        made = Environment.from_existing_interpreter(name, context.folder / str(interpreter))
    added = made.register(context.workspace())
    return Text(f"Added {added.name}:{added.version}. Use it with `-e {added.name}`.")


def _build(context: Context, reference: str) -> Text:
    connection, path = context.workspace().connection, f"/v1/environments/{part(reference)}"
    connection.post(f"{path}/build")
    tell = _lines(context.say)
    for data in _log(connection, reference, wait=5):
        tell(data)
    tell(b"\n")
    state: Entry = connection.get(f"{path}/build")
    if state["state"] == "failed":
        raise from_wire(state["error"])
    if state.get("cached"):
        return Text(f"{reference} was built already.")
    return Text(
        f"{reference} is built ({seconds(state.get('seconds'))}). Try it: {shlex.quote(str(state.get('python', '')))}"
    )


def _log(connection: Connection, reference: str, *, wait: float = 0) -> Iterator[bytes]:
    """The log of the last build that was asked for: with `wait` to its end, as it grows; else what there is."""
    offset, complete = 0, False
    while not complete:
        data, headers = connection.bytes(f"/v1/environments/{part(reference)}/log", offset=offset, wait=wait)
        yield data
        offset, complete = int(headers["x-next-offset"]), headers["x-complete"] == "1" or not (data or wait)


def _lines(say: Callable[[str], None]) -> Callable[[bytes], None]:
    """Says whole lines of the bytes it is given."""
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if line.strip():
                say(line.decode(errors="replace"))

    return feed
