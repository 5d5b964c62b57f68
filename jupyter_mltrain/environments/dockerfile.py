"""An environment as a Dockerfile: what a container with the same packages would be made of."""

from __future__ import annotations

import json
import re

from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.substitutions import Table, image_of

_VENV = "/opt/environment"


def dockerfile(definition: EnvironmentDefinition, lock: EnvironmentLock | None, table: Table) -> str:
    """The text of a Dockerfile for `definition`, with the exact packages of `lock` where there is one.

    `docker build -t NAME -f FILE .` makes an image of it, anywhere; nothing here does.
    """
    base = definition.docker.base_dockerfile
    lines = [f"# Environment {definition.name}{f':{definition.version}' if definition.version else ''}"]
    lines += [f"# {one.asked} -> {one.given}: {one.reason}" for one in definition.substitutions]
    lines += base.strip().splitlines() if base else [f"FROM {image_of(definition, table)}"]
    # A variable's JSON text is what Docker takes in double quotes, but for `$`, which it would fill in.
    lines += [
        f"ENV {name}={json.dumps(value, ensure_ascii=False).replace('$', chr(92) + '$')}"
        for name, value in definition.environment_variables.items()
    ]
    if definition.user_managed:
        return "\n".join([*lines, "# Its interpreter is looked after by its user: nothing is installed.", ""])
    lines += _conda(definition, lock) if definition.packages.conda else _pip(definition, lock)
    return "\n".join([*lines, ""])


def _pip(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    requirements = lock.requirements.strip() if lock else "\n".join(definition.packages.requirements(gpu=False))
    python = f"python{lock.python}" if lock else "python3"
    return [
        # The image's own Python may be another: uv brings the one that was resolved for.
        "RUN python3 -m pip install --no-cache-dir uv || (apt-get update && apt-get install -y python3-pip && python3 -m pip install uv)",
        f"RUN uv venv --python {python.removeprefix('python')} {_VENV}",
        *_file("/tmp/requirements.txt", requirements),  # noqa: S108 - in the image
        f"RUN uv pip install --no-cache --python {_VENV}/bin/python -r /tmp/requirements.txt",
        f"ENV PATH={_VENV}/bin:$PATH",
    ]


def _conda(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    raise NotImplementedError


def _file(path: str, content: str) -> list[str]:
    """A file of the image, written out: the Dockerfile needs no other file beside it."""
    end = "EOF"
    while re.search(rf"^{end}$", content, re.MULTILINE):
        end += "F"
    return [f"COPY <<'{end}' {path}", *content.splitlines(), end]
