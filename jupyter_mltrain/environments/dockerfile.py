"""A folder to build an environment's image from: its Dockerfile, and the files that this needs beside it."""

from __future__ import annotations

from jupyter_mltrain.core.dockerfile import LOCK, MODULES
from jupyter_mltrain.core.dockerfile import dockerfile as text_of
from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments import adaptations
from jupyter_mltrain.environments.substitutions import Table, image_of


def dockerfile(definition: EnvironmentDefinition, lock: EnvironmentLock | None, table: Table) -> str:
    """The text of a Dockerfile for `definition`, with the exact packages of `lock` where there is one."""
    modules = bool(lock and lock.adaptations)
    return text_of(definition, lock, image_of(definition, table), modules=modules)


def beside(lock: EnvironmentLock | None) -> dict[str, str]:
    """The texts of the files that the Dockerfile needs, by their names."""
    if lock is None:
        return {}
    modules = adaptations.modules(lock.adaptations)
    return {LOCK: lock.dumps(), **{f"{MODULES}/{name}": text for name, text in modules.items()}}
