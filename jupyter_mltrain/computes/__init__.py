"""Engines: where the processes of a run are.

An engine is a class that implements `core.compute.Compute`, registered under its kind in the entry point group
`jupyter_mltrain.computes`; `jupyter_mltrain.testing.compute_contract` is the suite it has to pass.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.errors import EngineError, UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Compute

GROUP = "jupyter_mltrain.computes"


def load(kind: str, **settings: Any) -> Compute:
    """The engine of that kind (`local`, `docker`, …) made with `settings`.

    Raises `UsageError` for a kind or a setting that does not exist, `EngineError` where the engine's own libraries are
    missing.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in found:
        raise UsageError(f"There is no engine {kind!r}.", mend=f"There are: {', '.join(sorted(found))}.")
    try:
        make = found[kind].load()
    except ImportError as error:
        raise EngineError(
            f"The engine {kind!r} cannot be loaded: {error}.", mend=f"pip install 'jupyter-mltrain[{kind}]'"
        ) from error
    try:
        return make(**settings)
    except TypeError as error:
        raise UsageError(f"A setting of the engine {kind!r} is wrong: {error}.") from error
