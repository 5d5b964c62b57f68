"""How far the publication of a run is: `publish.json` in its record, and what MLflow cannot hold beside it.

Written after what it tells has reached MLflow, so a process killed in between sends some of it again, with the same
keys, steps and times: MLflow holds exact duplicates once.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FORMAT = 1
FILE = "publish.json"
VALUES = "publish.values.jsonl"
"""Records that MLflow cannot hold exactly, as logged; its artifact `mltrain/values.jsonl`."""


@dataclass
class Cursor:
    """What of a run is in the MLflow at `uri`."""

    uri: str
    mlflow_run: str = ""
    header: str = ""
    """Digest of the tags, parameters and name that were sent."""
    tags: list[str] = field(default_factory=list)
    """Keys of the tags that were sent from the run's state: one that is gone from there is deleted."""
    offsets: dict[str, int] = field(default_factory=dict)
    """Bytes of each stream file that are published."""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Points of each series of each file so far: a record without a step is numbered by them."""
    told: list[str] = field(default_factory=list)
    """What stands in the values file and is not to be written again: keys of shortened names, digests of lines."""
    values: int = 0
    """Bytes of the values file that count; what is behind them was written by a process that was killed."""
    values_sent: int = 0
    points: int = 0
    outputs: str = ""
    """Digest of the list of outputs that is being, or was, copied."""
    outputs_done: int = 0
    status: str = ""
    """MLflow's status, as last sent."""

    @classmethod
    def load(cls, folder: Path, uri: str) -> Cursor:
        """The cursor of the run recorded in `folder`; a fresh one if there is none for `uri`, or it cannot be read."""
        raw = read(folder)
        if raw.get("format") != FORMAT or raw.get("uri") != uri:
            return cls(uri)
        return cls(**{f.name: raw[f.name] for f in fields(cls) if f.name in raw})

    def save(self, folder: Path) -> None:
        draft = folder / f"{FILE}.new"
        draft.write_text(json.dumps({"format": FORMAT, **asdict(self)}), encoding="utf-8")
        draft.replace(folder / FILE)

    def keep_values(self, folder: Path, lines: list[str]) -> None:
        """Append to the values file; they count once the cursor is saved."""
        if not lines:
            return
        data = "".join(line + "\n" for line in lines).encode()
        descriptor = os.open(folder / VALUES, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, self.values)
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.seek(self.values)
                file.write(data)
        finally:
            os.close(descriptor)
        self.values += len(data)


def read(folder: Path) -> dict[str, Any]:
    """`publish.json` as it stands; empty if there is none or it is not readable."""
    try:
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
