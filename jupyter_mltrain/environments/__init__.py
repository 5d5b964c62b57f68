"""Environment → interpreter, by uv: defined by name and version, resolved once, built once per content."""

from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.build import build_log
from jupyter_mltrain.environments.environments import Environments, EnvironmentState
from jupyter_mltrain.environments.progress import Progress
from jupyter_mltrain.environments.store import EnvironmentStore
from jupyter_mltrain.environments.tools import npm_command
from jupyter_mltrain.environments.usage import BuiltEnvironment, built_environments, remove_unused

__all__ = [
    "CURRENT",
    "BuiltEnvironment",
    "EnvironmentDefinition",
    "EnvironmentLock",
    "EnvironmentState",
    "EnvironmentStore",
    "Environments",
    "Progress",
    "build_log",
    "built_environments",
    "npm_command",
    "remove_unused",
]
