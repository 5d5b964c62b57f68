"""Small modules that an environment can hold so that scripts of another time find what they know. Each is loaded when a
Python of that environment starts; its name ends in the version of its content, which counts for the environment's key."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jupyter_mltrain.errors import UsageError

KNOWN = ("keras_optimizers_1",)


def check(names: Sequence[str]) -> None:
    """Raise `UsageError` for one that does not exist."""
    if unknown := sorted(set(names) - set(KNOWN)):
        raise UsageError(f"There is no adaptation {unknown[0]!r}.", mend=f"There are {', '.join(KNOWN)}.")


def adapt(site_packages: Path, names: Sequence[str]) -> None:
    """Put the modules `names` into `site_packages`, and what loads them at each start."""
    for name, text in modules(names).items():
        (site_packages / name).write_text(text, encoding="utf-8")


def modules(names: Sequence[str]) -> dict[str, str]:
    """The files that the adaptations `names` are in `site-packages`."""
    folder = files("jupyter_mltrain.environments.adaptations")
    found = {f"mltrain_{name}.py": (folder / f"{name}.py").read_text(encoding="utf-8") for name in names}
    if names:
        found["mltrain_adaptations.pth"] = "".join(f"import mltrain_{name}\n" for name in names)
    return found
