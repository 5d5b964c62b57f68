"""What MLflow holds of a run beside its points: name, status, times, tags and parameters. Pure but for `spec.json`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.mlflow_names import is_shortened, tag_key
from jupyter_mltrain.core.status import TERMINAL, Status
from jupyter_mltrain.tracking.points import PARAM_LIMIT, TAG_LIMIT

RUN_ID = "mltrain.run_id"
"""The tag by which a run is found in MLflow, whose own run ids cannot be chosen."""

STATUS = {
    Status.NOT_STARTED: "SCHEDULED",
    Status.PREPARING: "SCHEDULED",
    Status.QUEUED: "SCHEDULED",
    Status.COMPLETED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELED: "KILLED",
}
"""Our status → MLflow's; all others are `RUNNING`. Our own stands in the tag `mltrain.status`."""

_OPTION = re.compile(r"--?[^\W\d]")
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Header:
    """Times in seconds since the epoch. Keys are MLflow's (`core.mlflow_names`). `values`: lines of the values file for
    what was cut to MLflow's limits."""

    run_id: str
    experiment: str
    run_name: str
    started: float
    ended: float
    terminal: bool
    mlflow_status: str
    tags: dict[str, str]
    params: dict[str, str]
    values: list[str]
    digest: str


def header_of(run_id: str, folder: Path, state: Mapping[str, Any]) -> Header:
    """The header of the run recorded in `folder`. `state` is its RunState; what it lacks comes from `spec.json`."""
    spec = _read_spec(folder)
    known = {**spec, **{key: value for key, value in state.items() if value is not None}}
    status = Status(known["status"]) if known.get("status") in {s.value for s in Status} else Status.NOT_STARTED
    created = float(known.get("started") or known.get("created") or _id_time(run_id))
    tags, params, values = _Labels(TAG_LIMIT), _Labels(PARAM_LIMIT), list[str]()
    for key, value in _own_tags(known, spec, status):
        tags.add(key, value)
    for key, value in dict(known.get("tags") or {}).items():
        tags.add(tag_key(str(key)), value, {"k": "tag", "key": key, "value": value})
    for name, value in _options(known.get("arguments") or ()):
        params.add(tag_key(name), value, {"k": "param", "key": name, "value": value})
    values = tags.values + params.values
    text = json.dumps([known.get("display_name"), tags.labels, params.labels])
    return Header(
        run_id=run_id,
        experiment=str(known.get("experiment") or "default"),
        run_name=_plain(known.get("display_name") or "")[:250],
        started=created,
        ended=float(known.get("ended") or created),
        terminal=status in TERMINAL,
        mlflow_status=STATUS.get(status, "RUNNING"),
        tags=tags.labels,
        params=params.labels,
        values=values,
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


class _Labels:
    """Tags or parameters within MLflow's limits; what is cut goes to `values` as well."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.labels: dict[str, str] = {}
        self.values: list[str] = []

    def add(self, key: str, value: Any, record: dict[str, Any] | None = None) -> None:
        text = _plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        if record and (len(text) > self._limit or is_shortened(key)):
            self.values.append(_plain(json.dumps({"rank": 0, "record": record}, ensure_ascii=False)))
        self.labels[key] = text[: self._limit]


def _own_tags(known: Mapping[str, Any], spec: Mapping[str, Any], status: Status) -> Iterable[tuple[str, str]]:
    environment = known.get("environment")
    if isinstance(environment, dict):
        name, version = environment.get("name"), environment.get("version")
    else:
        name, version = environment, known.get("environment_version")
    failure = known.get("failure") or {}
    git = known.get("git") or {}
    command = known.get("command") or spec.get("command")
    pairs: list[tuple[str, Any]] = [
        (RUN_ID, known.get("run_id") or known.get("id")),
        ("mltrain.status", status.value),
        ("mltrain.target", known.get("target")),
        ("mltrain.environment", f"{name}:{version}" if name and version is not None else name),
        ("mltrain.environment.key", environment.get("key") if isinstance(environment, dict) else None),
        ("mltrain.workspace", (known.get("workspace") or {}).get("id")),
        ("mltrain.failure", failure.get("title")),
        ("mltrain.rerun_of", known.get("rerun_of")),
        ("mlflow.note.content", known.get("notes")),
        ("mlflow.source.type", "JOB"),
        ("mlflow.source.name", spec.get("script") or (" ".join(command) if isinstance(command, list) else command)),
        ("mlflow.source.git.commit", git.get("commit")),
        ("mlflow.source.git.branch", git.get("branch")),
        ("mlflow.source.git.repoURL", git.get("repository") or git.get("url") or git.get("remote")),
        *((tag_key(f"git.{key}").replace("git.", "mltrain.git.", 1), value) for key, value in git.items()),
        *((_data_key(data["name"]), data.get("version")) for data in known.get("data") or ()),
    ]
    return [(key, str(value)) for key, value in pairs if value not in (None, "")]


def _data_key(name: str) -> str:
    # `check_name` allows 255 characters, MLflow 250 with the prefix.
    return tag_key(f"data.{name[:200]}").replace("data.", "mltrain.data.", 1)


def _options(arguments: Iterable[Any]) -> list[tuple[str, str]]:
    """Arguments of a script as named values: `--a 1 --b=2 --flag x` → a=1, b=2, flag=x; `-f` at the end → f=true.
    Others are `argument.<position>`; of an option given again, the values are joined by a space."""
    words = [str(each) for each in arguments]
    found: dict[str, list[str]] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if _OPTION.match(word):
            name, equals, value = word.lstrip("-").partition("=")
            if not equals:
                follows = position + 1 < len(words) and not _OPTION.match(words[position + 1])
                value = words[position + 1] if follows else "true"
                position += follows
            found.setdefault(name, []).append(value)
        else:
            found.setdefault(f"argument.{position}", []).append(word)
        position += 1
    return [(name, " ".join(values)) for name, values in found.items()]


def _read_spec(folder: Path) -> dict[str, Any]:
    try:
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return spec if isinstance(spec, dict) else {}


def _id_time(run_id: str) -> float:
    parts = run_id.rsplit("_", 2)
    return float(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0.0


def _plain(text: str) -> str:
    return _HALF.sub("\ufffd", text)
