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
    for name in names:
        source = files("jupyter_mltrain.environments.adaptations") / f"{name}.py"
        (site_packages / f"mltrain_{name}.py").write_bytes(source.read_bytes())
    if names:
        lines = [f"import mltrain_{name}" for name in names]
        (site_packages / "mltrain_adaptations.pth").write_text("\n".join([*lines, ""]), encoding="utf-8")
