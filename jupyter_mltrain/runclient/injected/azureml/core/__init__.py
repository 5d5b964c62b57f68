"""`Run` is that of `jupyter_mltrain`: what a script logs goes to its run here."""

from __future__ import annotations

from typing import Any

__all__ = ["Model", "Run"]


def __getattr__(name: str) -> Any:
    if name == "Run":
        from jupyter_mltrain import Run

        return Run
    if name == "Model":
        from .model import Model

        return Model
    if name.startswith("_") or name in ("run", "model"):
        raise AttributeError(name)
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r} in a run of jupyter_mltrain: here it offers `Run` and `Model`; for"
        " more, use an environment that has the SDK."
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
