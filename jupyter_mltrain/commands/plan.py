"""What `--dry-run` shows: what would run, where, in which environment, and what would go along."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_mltrain.commands.display import Table, seconds, size


class Plan(Table[tuple[str, str]]):
    """The plan of a run that was not started. `request` is what was asked for, `answer` what the service made of it."""

    def __init__(self, request: Mapping[str, Any], answer: Mapping[str, Any], notices: Sequence[str]) -> None:
        self.request, self.answer = dict(request), dict(answer)
        self.notices = [*notices, *(answer.get("notices") or ())]
        rows = [(what, value) for what, value in _rows(request, answer) if value]
        super().__init__(
            ("", ""),
            rows,
            items=rows,
            longest=500,
            title="Nothing was started. This would run:",
            note="\n".join(f"Note: {notice}" for notice in self.notices),
        )


def _rows(request: Mapping[str, Any], answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    plan: Mapping[str, Any] = answer.get("plan") or {}
    environment: Mapping[str, Any] = answer.get("environment") or {}
    ranks: Sequence[Mapping[str, Any]] = plan.get("ranks") or ()
    script = shlex.join([str(request.get("script") or ""), *request["arguments"]])
    return [
        ("script", script),
        ("command", shlex.join(ranks[0]["argv"]) if ranks else ""),
        ("experiment", str(request["experiment"])),
        ("processes", _processes(ranks)),
        ("target", str(request.get("target") or plan.get("engine") or "")),
        ("environment", _environment(request, environment)),
        ("where", str(environment.get("place") or "")),
        ("first", "; ".join(environment.get("steps") or ())),
        ("container", _container(plan.get("container") or {}, len(plan.get("more_containers") or ()))),
        ("data", ", ".join(_data(d) for d in request["data"])),
        ("resumes from", str(request.get("resume_from") or "")),
        ("retries", str(request.get("retries") or "")),
        ("snapshot", _snapshot(answer.get("snapshot") or {})),
        ("resources", _resources(request["resources"])),
        ("variables", ", ".join(request["environment_variables"])),
        ("secrets", ", ".join(request["secrets"])),
        ("tags", ", ".join(f"{k}={v}" if v else k for k, v in request["tags"].items())),
    ]


def _processes(ranks: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(str(rank["role"]) for rank in ranks) if len(ranks) > 1 else ""


def _environment(request: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    name = str(environment.get("name") or request.get("environment") or "")
    if environment.get("version") is not None:
        name = f"{name.partition(':')[0]}:{environment['version']}"
    states = {True: "built already", False: "to be built first"}
    built = environment.get("cached", environment.get("built"))
    return f"{name} ({states[built]})" if isinstance(built, bool) else name


def _container(request: Mapping[str, Any], more: int) -> str:
    """What its engine would be asked for, `more` times beside."""
    if not request:
        return ""
    host: Mapping[str, Any] = request["HostConfig"]
    words = [str(request["Image"]), f"user {request['User']}"]
    if "Memory" in host:
        words.append(f"at most {size(host['Memory'])} of memory")
    if "NanoCpus" in host:
        words.append(f"{host['NanoCpus'] / 1e9:g} CPUs")
    words += [f"GPUs {', '.join(device.get('DeviceIDs') or ['all'])}" for device in host.get("DeviceRequests") or ()]
    words.append(f"{size(host['ShmSize'])} of shared memory")
    words += [f"{limit['Name']} {limit['Soft']}:{limit['Hard']}" for limit in host.get("Ulimits") or ()]
    named = {"network": host.get("NetworkMode"), "ipc": host.get("IpcMode"), "hostname": request.get("Hostname")}
    words += [f"{name} {value}" for name, value in named.items() if value]
    volumes = [str(mount["Source"]) for mount in host["Mounts"]]
    each = f"{1 + more} nodes, each in one of its own: " if more else ""
    return f"{each}{', '.join(words)}; mounts {', '.join(volumes)}"


def _data(entry: Mapping[str, Any]) -> str:
    version = f":{entry['version']}" if entry.get("version") else ""
    argument = f"{entry['argument']} " if entry.get("argument") else ""
    return f"{argument}{entry['name']}{version}"


def _snapshot(snapshot: Mapping[str, Any]) -> str:
    if not snapshot:
        return ""
    parts = [f"{snapshot.get('files', 0)} files, {size(snapshot.get('bytes', 0))}"]
    for key, word in (("ignored", "ignored"), ("secrets", "left out as they look like secrets")):
        left_out = snapshot.get(key)
        if isinstance(left_out, list) and left_out:
            names = ", ".join(str(name) for name in left_out[:3])
            parts.append(f"{word}: {names}{' …' if len(left_out) > 3 else ''}")
        elif isinstance(left_out, int) and left_out:
            parts.append(f"{left_out} {word}")
    return "; ".join(parts)


def _resources(resources: Mapping[str, Any]) -> str:
    words = {
        "gpus": lambda n: f"{n} GPUs",
        "cpus": lambda n: f"{n} CPUs",
        "memory_gb": lambda n: f"{n:g} GB",
        "max_run_seconds": lambda n: f"at most {seconds(n)}",
    }
    return ", ".join(words[name](value) for name, value in resources.items() if value is not None)
