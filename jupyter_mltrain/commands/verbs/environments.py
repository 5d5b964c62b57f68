"""`env`: list, show, add, build, rm, prune."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.build import EnvironmentBuild, log
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, seconds, size
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.commands.values import environment
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.environment import Environment

Entry = Mapping[str, Any]

_STATES = {"ready": "built", "to build": "resolved, not built yet", "to resolve": "not resolved yet"}


def env(
    context: Context,
    *,
    action: str | None = None,
    name: str | None = None,
    requirements: str | None = None,
    file: str | None = None,
    python: str | None = None,
    interpreter: str | None = None,
    dockerfile: bool = False,
    unused_days: int | None = None,
) -> Table[Entry] | Text:
    """`list` environments; `show` one: definition, packages, last build log, or its Dockerfile; `add` one from a
    requirements file, a conda file or an existing interpreter; `build` one now, its log shown as it comes; `rm` forgets a
    version or a name; `prune` removes what was built and is not used.

    Raises `EnvironmentNotFound` with the nearest names, and what a registration or build raises.
    """
    if action in {None, "list"}:
        return _list(context)
    if action == "prune":
        return _prune(context, unused_days)
    if name is None:
        raise UsageError(f"`env {action}` needs the environment's name.", mend="`%mltrain env list` lists them.")
    if action == "add":
        return _add(context, name, _source(name, context, requirements, file, python, interpreter))
    reference = str(environment(name))
    if action == "show":
        return _dockerfile(context, reference) if dockerfile else _show(context, reference)
    return _remove(context, reference) if action == "rm" else _build(context, reference)


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
    given: Entry = e.get("given") or {}
    docker: Entry = e.get("docker") or {}
    image = "a Dockerfile" if docker.get("base_dockerfile") else docker.get("base_image")
    facts = {
        "python": e.get("python") or e.get("interpreter"),
        "asked for": ", ".join((*(e.get("conda") or ()), *(e.get("pip") or ()))),
        "channels": ", ".join(e.get("channels") or ()),
        "with GPUs": ", ".join(e.get("pip_gpu") or ()),
        "given": ", ".join(filter(None, (given.get("python"), *given.get("conda", ()), *given.get("pip", ())))),
        "variables": ", ".join(e.get("environment_variables") or ()),
        "base image": f"{image} (where a target runs containers)" if docker.get("enabled") else "",
        "image": "built, where a target runs containers" if docker.get("image") else "",
        "container": " ".join(docker.get("arguments") or ()),
        "key": str(e.get("key") or "")[:16],
    }
    lines += [f"  {what:<10} {value}" for what, value in facts.items() if value]
    for one in e.get("substitutions") or ():
        lines.append(f"  {'instead':<10} {one['asked']} → {one['given']}: {one['reason']}")
    packages = list(e.get("packages") or ())
    if packages:
        lines += [f"  {'packages':<10} {len(packages)}:", *(f"    {p}" for p in packages)]
    said = b"".join(log(connection, reference))
    if said:
        lines += ["Log of the last build here:", said.decode(errors="replace").rstrip()]
    return Text("\n".join(lines))


def _dockerfile(context: Context, reference: str) -> Text:
    answer = context.workspace().connection.get(f"/v1/environments/{part(reference)}/dockerfile")
    return Text(str(answer["dockerfile"]).rstrip("\n"))


def _source(
    name: str,
    context: Context,
    requirements: str | None,
    file: str | None,
    python: str | None,
    interpreter: str | None,
) -> Environment:
    from jupyter_mltrain.api.environment import Environment  # noqa: PLC0415 - nothing is loaded before it is used

    if sum(given is not None for given in (requirements, file, interpreter)) != 1:
        raise UsageError(
            "`env add` needs what to make it from.",
            mend="Give -r requirements.txt, --file conda_dependencies.yml, or --interpreter PATH.",
        )
    if python is not None and requirements is None:
        raise UsageError("`--python` goes with -r.", mend="A conda file says it itself, as python=3.11.")
    if requirements is not None:
        return Environment.from_pip_requirements(name, context.folder / requirements, python=python)
    if file is not None:
        return Environment.from_conda_specification(name, context.folder / file)
    return Environment.from_existing_interpreter(name, context.folder / str(interpreter))


def _add(context: Context, name: str, made: Environment) -> Text:
    added = made.register(context.workspace())
    lines = [f"Added {name}:{added.version}. Use it with `-e {name}`."]
    lines += [f"  {one.asked} → {one.given}: {one.reason}" for one in added.substitutions]
    return Text("\n".join(lines))


def _build(context: Context, reference: str) -> Text:
    state = EnvironmentBuild(context.workspace(), reference).start().wait_for_completion(say=context.say)
    if state.get("cached"):
        return Text(f"{reference} was built already.")
    return Text(
        f"{reference} is built ({seconds(state.get('seconds'))}). Try it: {shlex.quote(str(state.get('python', '')))}"
    )


def _remove(context: Context, reference: str) -> Text:
    removed = context.workspace().connection.delete(f"/v1/environments/{part(reference)}")["removed"]
    return Text(f"Removed {', '.join(removed)}. What was built of it stays until `%mltrain env prune`.")


def _prune(context: Context, unused_days: int | None) -> Text:
    body = {} if unused_days is None else {"unused_days": unused_days}
    pruned = context.workspace().connection.post("/v1/environments/prune", body, timeout=600)
    if not pruned["removed"]:
        return Text("Nothing to remove: all that is built was used lately.")
    lines = [f"  {one['name'] or 'a failed build'}  {size(one['bytes'])}" for one in pruned["removed"]]
    return Text("\n".join([f"Removed {len(lines)}, {size(pruned['bytes'])}:", *lines]))
