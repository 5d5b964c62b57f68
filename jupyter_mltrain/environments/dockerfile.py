"""An environment as a Dockerfile: what an image with the same packages is made of."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import version

from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.conda import DEFAULT_CHANNELS
from jupyter_mltrain.environments.substitutions import Table, image_of

LOCK = "lock.txt"
_PREFIX = "/opt/environment"


def dockerfile(definition: EnvironmentDefinition, lock: EnvironmentLock | None, table: Table) -> str:
    """The text of a Dockerfile for `definition`, with the exact packages of `lock` where there is one: that text has to
    lie beside it as `lock.txt`. `docker build` makes an image of the two; nothing here does."""
    base = definition.docker.base_dockerfile
    lines = [f"# Environment {definition.name}{f':{definition.version}' if definition.version else ''}"]
    lines += [f"# {one.asked} -> {one.given}: {one.reason}" for one in definition.substitutions]
    if definition.packages.adaptations:
        lines.append(f"# Without what a build here adds: {', '.join(definition.packages.adaptations)}")
    lines += base.strip().splitlines() if base else [f"FROM {image_of(definition, table)}"]
    lines += [f"ENV {name}={_quoted(value)}" for name, value in definition.environment_variables.items()]
    if definition.user_managed or definition.name == CURRENT:
        return "\n".join([*lines, "# Its interpreter is looked after by its user: nothing is installed.", ""])
    lines += _python(definition, lock)
    requirements = lock.requirement_lines if lock else definition.packages.requirements(gpu=False)
    if requirements:
        lines += _packages(definition, lock)
    return "\n".join([*lines, f"ENV PATH={_PREFIX}/bin:$PATH", ""])


def _python(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    packages = definition.packages
    uv = f"COPY --from=ghcr.io/astral-sh/uv:{version('uv')} /uv /usr/local/bin/uv"
    if not packages.conda:
        python = lock.python if lock else packages.python or "3"
        # uv fetches a Python where the image has none of that version.
        return [uv, f"RUN uv venv --python {shlex.quote(python)} {_PREFIX}"]
    exact = [line.replace("==", "=") for line in lock.conda_packages] if lock else [f"python={packages.python or '*'}"]
    specs = exact if lock else [*exact, *packages.conda]
    channels = " ".join(f"--channel {shlex.quote(one)}" for one in packages.channels or DEFAULT_CHANNELS)
    return [
        uv,
        "COPY --from=mambaorg/micromamba:2 /bin/micromamba /usr/local/bin/micromamba",
        f"RUN micromamba create --yes --prefix {_PREFIX} {channels} {shlex.join(specs)}",
    ]


def _packages(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    install = f"RUN uv pip install --no-cache --python {_PREFIX}/bin/python"
    if lock is None:
        return [f"{install} {shlex.join(definition.packages.requirements(gpu=False))}"]
    return [f"COPY {LOCK} {_PREFIX}/{LOCK}", f"{install} --no-deps --requirement {_PREFIX}/{LOCK}"]


def _quoted(value: str) -> str:
    """`value` in Docker's double quotes, which fill in `$`."""
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
