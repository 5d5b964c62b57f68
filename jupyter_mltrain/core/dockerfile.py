"""An environment as a Dockerfile: what `image: build` makes of it, for whoever builds images elsewhere."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, version

from jupyter_mltrain.core.environment import (
    CURRENT,
    DEFAULT_CHANNELS,
    DEFAULT_CPU_IMAGE,
    EnvironmentDefinition,
    EnvironmentLock,
    default_image,
)

LOCK = "lock.txt"
MODULES = "modules"
PREFIX = "/opt/environment"


def dockerfile(
    definition: EnvironmentDefinition, lock: EnvironmentLock | None, image: str, *, modules: bool = False
) -> str:
    """The text of a Dockerfile for `definition` on the base `image`, with the exact packages of `lock` where there is one:
    that text has to lie beside it as `lock.txt`, and the files of its adaptations, with `modules`, in a folder of that
    name. `docker build` makes an image of them; nothing here does.

    The packages are one layer; what changes more often comes after them.
    """
    base = definition.docker.base_dockerfile
    lines = [f"# Environment {definition.name}{f':{definition.version}' if definition.version else ''}"]
    lines += [f"# {one.asked} -> {one.given}: {one.reason}" for one in definition.substitutions]
    if definition.packages.adaptations and not modules:
        lines.append(f"# Without what a build here adds: {', '.join(definition.packages.adaptations)}")
    if image == DEFAULT_CPU_IMAGE and lock:
        image = default_image(lock.python)
    lines += base.strip().splitlines() if base else [f"FROM {image}"]
    variables = [f"ENV {name}={_quoted(value)}" for name, value in definition.environment_variables.items()]
    if definition.user_managed or definition.name == CURRENT:
        return "\n".join(
            [*lines, *variables, "# Its interpreter is looked after by its user: nothing is installed.", ""]
        )
    lines += _python(definition, lock)
    requirements = lock.requirement_lines if lock else definition.packages.requirements(gpu=False)
    if requirements:
        lines += _packages(definition, lock)
    if modules and lock:
        lines.append(f"COPY {MODULES}/ {PREFIX}/lib/python{lock.python}/site-packages/")
    return "\n".join([*lines, f"ENV PATH={PREFIX}/bin:$PATH", *variables, ""])


def _python(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    packages = definition.packages
    uv = f"COPY --from=ghcr.io/astral-sh/uv:{_uv()} /uv /usr/local/bin/uv"
    if not packages.conda:
        python = lock.python if lock else packages.python or "3"
        # uv fetches a Python where the image has none of that version.
        return [uv, f"RUN uv venv --python {shlex.quote(python)} {PREFIX}"]
    exact = [line.replace("==", "=") for line in lock.conda_packages] if lock else [f"python={packages.python or '*'}"]
    specs = exact if lock else [*exact, *packages.conda]
    channels = " ".join(f"--channel {shlex.quote(one)}" for one in packages.channels or DEFAULT_CHANNELS)
    return [
        uv,
        "COPY --from=mambaorg/micromamba:2 /bin/micromamba /usr/local/bin/micromamba",
        f"RUN micromamba create --yes --prefix {PREFIX} {channels} {shlex.join(specs)}",
    ]


def _packages(definition: EnvironmentDefinition, lock: EnvironmentLock | None) -> list[str]:
    install = f"RUN uv pip install --no-cache --python {PREFIX}/bin/python"
    if lock is None:
        return [f"{install} {shlex.join(definition.packages.requirements(gpu=False))}"]
    return [f"COPY {LOCK} {PREFIX}/{LOCK}", f"{install} --no-deps --requirement {PREFIX}/{LOCK}"]


def _uv() -> str:
    try:
        return version("uv")
    except PackageNotFoundError:
        return "latest"


def _quoted(value: str) -> str:
    """`value` in Docker's double quotes, which fill in `$`."""
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
