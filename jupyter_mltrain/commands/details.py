"""A run in words, for a terminal: how it stands, what it was, what it left."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.display import moment, one_line, seconds, size

if TYPE_CHECKING:
    from jupyter_mltrain.core.wire_system import SystemUsage

_LATE_SECONDS = 1.0
"""What a rank is behind and is worth a word."""


def details(state: Mapping[str, Any], usage: SystemUsage | None = None) -> str:
    """The state of a run (`Run.state`) as lines of text, and what it used (`Run.usage()`); a failure leads with its
    cause."""
    head = f"{state['display_name']}  {state['status']}"
    if state.get("duration") is not None:
        head += f"  {seconds(state['duration'])}"
    told = [*_facts(state), *(("used", line) for line in used_lines(usage))]
    width = max((len(name) for name, _ in told), default=0)
    facts = [f"  {name:<{width}}  {value}" for name, value in told]
    return "\n".join([head, *_failure(state.get("failure")), *facts])


def used_lines(usage: SystemUsage | None) -> Iterator[str]:
    """Of each node that was sampled a line: the most memory, the mean share of its CPUs, and of each GPU the same."""
    for node in usage["nodes"] if usage else ():
        series = [one for one in usage["series"] if one["rank"] == node["rank"]] if usage else []
        words = []
        for one in series:
            of = f"GPU {one['gpu']} " if one["gpu"] is not None else ""
            if one["measure"] == "memory":
                limit = f" of {size(node['memory_limit'])}" if node["memory_limit"] else ""
                words.append(f"peak memory {size(one['peak'])}{limit}")
            elif one["measure"] == "cpu":
                cpus = f"{node['cpus']} CPU{'s' if node['cpus'] > 1 else ''}"
                words.append(f"mean CPU {one['mean']:.0f} % of {cpus}")
            elif one["measure"] == "gpu":
                words.append(f"{of}mean {one['mean']:.0f} %")
            else:
                words.append(f"{of}peak memory {size(one['peak'])}")
        rank = f"rank {node['rank']}: " if node["rank"] else ""
        if words:
            yield rank + ", ".join(words)
        if node["problem"]:
            yield rank + one_line(node["problem"], 200)


def _failure(failure: Mapping[str, Any] | None) -> Iterator[str]:
    if not failure:
        return
    yield f"✗ {failure['title']}"
    for fact in failure.get("evidence") or ():
        yield f"  {one_line(fact, 200)}"
    if failure.get("traceback"):
        yield from (f"  | {line}" for line in str(failure["traceback"]).rstrip().splitlines()[-30:])
    if failure.get("mend"):
        yield f"  {failure['mend']}"


def _facts(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    environment = state["environment"]
    version = f":{environment['version']}" if environment.get("version") else ""
    outputs = state["outputs"]
    facts = {
        "experiment": state["experiment"],
        "id": state["id"],
        "submitted": moment(state["created"]),
        "target": state["target"],
        "environment": f"{environment['name']}{version}",
        "data": ", ".join(map(_data, state["data"])),
        "arguments": shlex.join(state.get("arguments") or ()),
        "stages": ", ".join(_stages(state)),
        "progress": _progress(state.get("progress")),
        "ranks": _ranks(state),
        "examples": _examples(state.get("ranks")),
        "outputs": f"{outputs['files']} files, {size(outputs['bytes'])}" if outputs["files"] else "",
        "models": ", ".join(f"{m['name']}:{m['version']}" for m in state["models"]),
        "tags": ", ".join(f"{k}={v}" if v else str(k) for k, v in state["tags"].items()),
        "MLflow": " ".join(str(x) for x in (state["tracking"]["state"], state["tracking"].get("message")) if x),
    }
    yield from ((name, str(value)) for name, value in facts.items() if value)
    for series in state.get("metrics") or ():
        rank = f" (rank {series['rank']})" if series.get("rank") else ""
        yield "metric", f"{one_line(series['name'])}{rank} {one_line(series['last'])}, {series['count']} points"
    for substitution in state.get("substitutions") or ():
        yield "instead", f"{substitution['given']} for {substitution['asked']}: {substitution['reason']}"
    for notice in state["notices"]:
        yield "note", str(notice)


def _stages(state: Mapping[str, Any]) -> Iterator[str]:
    for stage in state.get("stages") or ():
        if stage["state"] in {"done", "failed"} and stage.get("started") and stage.get("ended"):
            yield f"{stage['name']} {seconds(stage['ended'] - stage['started'])}"
        elif stage["state"] == "active":
            yield f"{stage['name']} …"


def _progress(progress: Mapping[str, Any] | None) -> str:
    if not progress:
        return ""
    total = f"/{progress['total']}" if progress.get("total") else ""
    left = f", about {seconds(progress['eta'])} left" if progress.get("eta") else ""
    return f"{progress['label']} {progress['value']}{total}{left}"


def _ranks(state: Mapping[str, Any]) -> str:
    """How many processes are how; of those that did not end well, why, and of the one that lags most, how much."""
    ranks = (state.get("ranks") or {}).get("ranks") or ()
    if not ranks:
        return ""
    counts = Counter(one["status"] for one in ranks)
    words = [", ".join(f"{count} {status}" for status, count in counts.items())]
    words += [f"rank {one['rank']} failed: {one_line(one['exit'], 80)}" for one in ranks if one["status"] == "failed"][
        :3
    ]
    late = max(ranks, key=lambda one: one["behind"] or 0.0)
    if (late["behind"] or 0.0) >= _LATE_SECONDS:
        words.append(f"rank {late['rank']} is {seconds(late['behind'])} behind")
    more = state["processes"] - len(ranks)
    return "; ".join([*words, *([f"{more} more"] if more > 0 else [])])


def _examples(ranks: Mapping[str, Any] | None) -> str:
    scaling = (ranks or {}).get("scaling")
    if not scaling or scaling["examples"] is None:
        return ""
    told = f"{scaling['examples']:,.0f}/s of {scaling['processes']} processes"
    if scaling["efficiency"] is None:
        return told
    return f"{told}, efficiency {scaling['efficiency']:.0%} against {scaling['baseline']['name']}"


def _data(read: Mapping[str, Any]) -> str:
    """A dataset as a run read it: version, the begin of its content's hash, which of its files."""
    kind, _, digest = str(read.get("key") or "").partition(":")
    facts = [f"{kind}:{digest[:12]}"] if digest else []
    facts += [*read.get("selection", ()), *(["not as first read"] if read.get("changed") else [])]
    version = "" if read["version"] is None else f":{read['version']}"
    return f"{read['name']}{version}" + (f" ({', '.join(facts)})" if facts else "")
