"""How the sources of a dataset are written, and under which path each of their files stands in the dataset.

One source: what comes before its files is left out (`data/*.csv` gives `a.csv`; a folder's files stand as in the folder).
Several: local paths and those of one datastore stand as below their common folder; a URL's file keeps scheme and host in
front, `http/host/folder/file`, as in the SDK, whose scripts look for them with `**/`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from jupyter_mltrain.errors import UserErrorException

DATASTORE = "datastore"
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.\-]*)://")
_MAGIC = re.compile(r"[*?\[]")
WEB = frozenset({"http", "https"})


def scheme_of(source: str) -> str:
    """`s3` of `s3://bucket/x`; empty for a local path."""
    found = _SCHEME.match(source)
    return found.group(1).lower() if found else ""


def datastore_of(source: str) -> str:
    """`raw` of `datastore://raw/folder/`."""
    return source.partition("://")[2].partition("/")[0]


def is_pattern(source: str) -> bool:
    """Whether a source is a pattern (`*`, `?`, `[…]`). A question mark in a web address begins its query."""
    return bool(_MAGIC.search(source)) if scheme_of(source) not in WEB else "*" in source


def base_of(pattern: str) -> str:
    """The folder that all matches of a pattern lie below: `/data/x` of `/data/x/*/y.csv`."""
    return _MAGIC.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def path_of_url(url: str) -> str:
    """`http/host/folder/file` of `http://host/folder/file?query`: the SDK's place for a URL in a list. Raises
    `UserErrorException` for one that names no file."""
    parts = urlsplit(url)
    path = clean(unquote(parts.path))
    if not path:
        raise UserErrorException(f"{url} names no file.", mend="Give the address of a file.")
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return "/".join(part for part in (parts.scheme.lower(), host, path) if part)


def clean(path: str) -> str:
    """`path` as a relative path inside of something. Raises `UserErrorException` for one that would lead out of it."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        raise UserErrorException(f"The path {path!r} leads out of its folder.", mend="Write it without `..`.")
    if any(len(part.encode(errors="surrogateescape")) > 255 for part in parts):
        raise UserErrorException(f"A part of the path {path[:80]!r}… is longer than 255 bytes.")
    return "/".join(parts)


def common_folder(places: Sequence[str]) -> str:
    """The folder that all of `places` (absolute paths of files or folders; a folder stands for itself) lie in."""
    return posixpath.commonpath([posixpath.dirname(place.rstrip("/")) for place in places]) if places else ""
