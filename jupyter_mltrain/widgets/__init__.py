"""How a run shows in a notebook: the mime bundle, the static card inside it, and the widget.

Public names load on first use: ipywidgets takes a kernel 0.2 s.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "DeployForm": "forms",
    "EnvironmentForm": "forms",
    "RunDetails": "run_details",
    "RunWidget": "run_widget",
}

__all__ = ["DeployForm", "EnvironmentForm", "RunDetails", "RunWidget"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jupyter_mltrain.widgets' has no attribute {name!r}")
    value = getattr(import_module(f"jupyter_mltrain.widgets.{_NAMES[name]}"), name)
    globals()[name] = value
    return value
