"""Which requests of a browser pass to a service, and what of the answers does not.

Ids and paths below a run's own areas pass; absolute paths, specs (they hold variables) and the service's own controls
do not. What is not in the table is refused.
"""

from __future__ import annotations

import re
from typing import Any

_RUN = r"runs/[^/]+"
_PASS = (
    ("GET", r"runs"),
    ("GET", _RUN),
    ("PATCH", _RUN),
    ("GET", _RUN + r"/(?:metrics|series|system(?:/series)?|values|logged|ranks|logs|log|files|file|inspect)"),
    ("POST", _RUN + r"/(?:cancel|rerun|models|smoke)"),
    ("GET", r"models(?:/[^/]+)?(?:/\d+)?"),
    ("GET", r"models/[^/]+/\d+/files"),
    ("POST", r"models/[^/]+/\d+/(?:smoke|deploy|deployment-plan)"),
    ("GET", r"endpoints(?:/[^/]+(?:/(?:log|latency))?)?"),
    ("POST", r"endpoints/[^/]+/(?:test|reload)"),
    ("DELETE", r"endpoints/[^/]+"),
    ("GET", r"environments(?:/[^/]+(?:/(?:build|log|dockerfile))?)?"),
    ("POST", r"environments(?:/preview|/[^/]+/build)?"),
    ("GET", r"datasets|targets|usage"),
)
_COMPILED = tuple((method, re.compile(pattern)) for method, pattern in _PASS)

_NOT_TAKEN = frozenset({"inference", "interpreter", "kernel_python", "source_directory"})

_HIDDEN = frozenset({"source_directory", "kernel_python", "root"})


def passes(method: str, path: str) -> bool:
    """Whether `method` on `path` (behind `/v1/`, decoded) may reach a service."""
    if ".." in path.split("/"):
        return False
    return any(method == m and pattern.fullmatch(path) for m, pattern in _COMPILED)


def takes(body: Any) -> bool:
    """Whether what a browser sends names no file of this machine and no interpreter: those are said in Python alone."""
    return not isinstance(body, dict) or not any(body.get(key) for key in _NOT_TAKEN)


def starts_service(method: str) -> bool:
    """Only a click may start a service: showing an output reads."""
    return method != "GET"


def visible(answer: Any) -> Any:
    """`answer` without what only processes of this user on this machine should know."""
    if isinstance(answer, dict):
        return {k: visible(v) for k, v in answer.items() if k not in _HIDDEN}
    if isinstance(answer, list):
        return [visible(v) for v in answer]
    return answer
