"""The keys of an endpoint, in a file that its server reads."""

from __future__ import annotations

import json
import secrets
from typing import Any

from jupyter_mltrain.cache import write_whole
from jupyter_mltrain.deployments.place import Place


def make_keys(place: Place, required: bool | None, *, fresh: bool) -> None:
    """Make the keys, or change whether they are asked for. Never more than its owner reads them."""
    try:
        keys = json.loads(place.keys.read_text("utf-8"))
    except FileNotFoundError:
        fresh, keys = True, {}
    if fresh:
        keys = {"required": bool(required), "primary": new_key(), "secondary": new_key()}
    elif required is not None:
        keys["required"] = required
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(place.keys, json.dumps(keys).encode(), 0o600)


def new_key() -> str:
    return secrets.token_urlsafe(24)


def read_keys(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.keys.read_text("utf-8"))
    return found


def write_keys(place: Place, keys: dict[str, Any]) -> None:
    write_whole(place.keys, json.dumps(keys).encode(), 0o600)
