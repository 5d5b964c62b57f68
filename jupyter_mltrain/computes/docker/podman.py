"""Podman's service speaks Docker's API, and answers some things otherwise. Here they become what Docker answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import requests

_CONFLICT = 409
_FAILED = 500
_IN_CONFLICT = ("is already in use", "can only kill running containers", "is not running")
"""What is 409 with Docker: a name that is taken, a container that has ended meanwhile."""
_ENDS_JUST_NOW = "/ns/mnt: no such file or directory"
"""A file was asked of a container whose last process has ended, which Podman does not know yet; in a moment it is there."""
_MADE_JUST_NOW = "volume already exists"
"""Two have made one volume at once; Docker gives it to both, and so does Podman whoever asks next."""
_PATIENCE = 10.0
_STEP = 0.05


def answered(response: requests.Response) -> bool:
    """Whether it is Podman's answer."""
    return response.headers.get("Server", "").startswith("Libpod/")


def asked(send: Callable[[], requests.Response]) -> requests.Response:
    """What `send` answers, as Docker would say it; Docker's own answers are left as they are.

    Reads the body of an answer that tells of an error, and asks again where only the moment was wrong.
    """
    response, until = send(), time.monotonic() + _PATIENCE
    if not answered(response):
        return response
    while _came_too_early(response) and time.monotonic() < until:
        time.sleep(_STEP)
        response = send()
    if response.status_code == _FAILED and any(words in response.text for words in _IN_CONFLICT):
        response.status_code = _CONFLICT
    return response


def _came_too_early(response: requests.Response) -> bool:
    if response.status_code != _FAILED:
        return False
    reads = response.request.method in {"GET", "HEAD"}
    return (reads and _ENDS_JUST_NOW in response.text) or _MADE_JUST_NOW in response.text
