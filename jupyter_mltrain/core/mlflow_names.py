"""Names as MLflow accepts them, and back.

MLflow takes letters and digits of any script, `_ - . : /` and space, at most 250 of them, and no name that a path
would resolve to something else (`a//b`, `../a`, `/a`, `a/`, nothing at all). Most names are their own key. What it
refuses is written as `:` and two hex digits per UTF-8 byte, as in a URL but with a character that is allowed:

    loss            loss                val/accuracy    val/accuracy        精度      精度
    lr<0.1          lr:3C0.1            a//b            a:2F:2Fb            (empty)   :FF
    100%            100:25              :3C             :3A3C               a:b       a:b
    loss, rank 3    loss:rank3          (300 letters)   216 letters + `:FE` + 32 hex digits of its hash

`metric_name` undoes all but the last, for which the full name goes along elsewhere (`mltrain/values.jsonl`).
"""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise

LIMIT = 250
"""Characters in a key, MLflow's limit."""

_RANK = re.compile(r":rank([1-9][0-9]{0,8})\Z")
_ESCAPED = re.compile(r"(?::[0-9A-F]{2})+")
_REFUSED = re.compile(r"[^\w.\- :/]")
# A colon that would read as one of our own marks.
_AMBIGUOUS = re.compile(r":(?=[0-9A-F]{2}|rank[1-9][0-9]{0,8}\Z)")
_EMPTY = ":FF"  # bytes that no UTF-8 text contains
_SHORTENED = ":FE"
_HASH_DIGITS = 32
_RESERVED = ("mlflow.", "mltrain.")


def metric_key(name: str, rank: int = 0) -> str:
    """The key under which MLflow holds the metric `name` of a rank. Different names and ranks have different keys."""
    suffix = f":rank{rank}" if rank else ""
    return _shortened(_escape(name), name, suffix)


def metric_name(key: str) -> tuple[str, int]:
    """Name and rank of the metric that MLflow holds under `key`. For a shortened key (`is_shortened`): the key itself."""
    match = _RANK.search(key)
    rank = int(match[1]) if match else 0
    plain = key[: match.start()] if match else key
    return (plain if is_shortened(plain) else _unescape(plain)), rank


def is_shortened(key: str) -> bool:
    """Whether `key` stands for a name too long for MLflow."""
    plain = _RANK.sub("", key)
    return plain[-_HASH_DIGITS - len(_SHORTENED) : -_HASH_DIGITS] == _SHORTENED


def tag_key(name: str) -> str:
    """The key of a user's tag or parameter. A name in MLflow's or our own namespace (`mlflow.…`) loses its meaning there."""
    escaped = _escape(name)
    if escaped.startswith(_RESERVED):
        escaped = escaped.replace(".", ":2E", 1)
    return _shortened(escaped, name, "")


def tag_name(key: str) -> str:
    """The user's name of the tag or parameter that MLflow holds under `key`; the key itself if it was shortened."""
    return key if is_shortened(key) else _unescape(key)


def _escape(name: str) -> str:
    if not name:
        return _EMPTY
    if name.isascii() and name.isidentifier():
        return name
    escaped = _REFUSED.sub(lambda m: _hex(m[0]), _AMBIGUOUS.sub(":3A", name))
    parts = escaped.split("/")
    if len(parts) > 1 or parts[0] in {".", ".."}:
        parts = [part.replace(".", ":2E") if part in {".", ".."} else part for part in parts]
        # A slash is kept only between two parts that are there.
        escaped = parts[0]
        for previous, part in pairwise(parts):
            escaped += ("/" if previous and part else ":2F") + part
    return ":2E" + escaped[1:] if escaped.startswith("..") else escaped


def _unescape(key: str) -> str:
    if key == _EMPTY:
        return ""
    return _ESCAPED.sub(lambda m: bytes.fromhex(m[0].replace(":", "")).decode(errors="surrogatepass"), key)


def _hex(character: str) -> str:
    return "".join(f":{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def _shortened(escaped: str, name: str, suffix: str) -> str:
    if len(escaped) + len(suffix) <= LIMIT:
        return escaped + suffix
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    room = LIMIT - len(suffix) - len(_SHORTENED) - _HASH_DIGITS
    # Not through the middle of an escape, nor ending in a slash.
    start = re.sub(r":[0-9A-F]?\Z", "", escaped[:room]).rstrip("/")
    return f"{start}{_SHORTENED}{digest}{suffix}"
