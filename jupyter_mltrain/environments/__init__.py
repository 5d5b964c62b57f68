"""Environment → interpreter, by uv: defined by name and version, resolved once, built once per content."""

from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.environments import Environments, EnvironmentState, ReadyEnvironment
from jupyter_mltrain.environments.progress import Progress
from jupyter_mltrain.environments.store import EnvironmentStore

__all__ = [
    "CURRENT",
    "EnvironmentDefinition",
    "EnvironmentLock",
    "EnvironmentState",
    "EnvironmentStore",
    "Environments",
    "Progress",
    "ReadyEnvironment",
]
