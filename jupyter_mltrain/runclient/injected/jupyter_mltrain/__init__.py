"""jupyter_mltrain as a training script sees it: `from jupyter_mltrain import Run`.

This package is put in front of every other by the run (PYTHONPATH), and needs nothing but a Python of 3.8 or later. Names
that it does not have are looked for in a really installed jupyter_mltrain, if the environment has one.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["Run"]

_HERE = os.path.dirname(os.path.abspath(__file__))
_installed: Any = None  # the module of the really installed package, once it was asked for


def __getattr__(name: str) -> Any:
    if name == "Run":
        from ._run import Run

        globals()["Run"] = Run
        return Run
    # Python asks this for our own modules too, before it imports them; they are all private but one.
    value = None if name.startswith("_") and name != "__version__" else _from_installed(name)
    if value is None:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r} in a run: here it offers `Run` and `keras.MLTrainCallback`; for"
            " more, add the package jupyter-mltrain to the run's environment."
        )
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), "Run"})


def _from_installed(name: str) -> Any:
    """The really installed package's attribute `name`, or None."""
    global _installed
    if len(__path__) < 2:
        return None
    if _installed is None:
        import importlib.util

        # Its `__init__` runs under the package's name but beside it: what it imports from itself is then found through
        # our extended path, and `Run` stays ours.
        spec = importlib.util.spec_from_file_location(
            __name__, os.path.join(__path__[1], "__init__.py"), submodule_search_locations=list(__path__)
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _installed = module
    return getattr(_installed, name, None)


def _find_installed() -> str | None:
    for entry in sys.path:
        folder = os.path.join(os.path.abspath(entry or "."), "jupyter_mltrain")
        if os.path.isfile(os.path.join(folder, "__init__.py")) and not os.path.samefile(folder, _HERE):
            return folder
    return None


if __name__ == "jupyter_mltrain":  # in the service these files are a part of the package itself
    _folder = _find_installed()
    if _folder is not None:
        __path__.append(_folder)
