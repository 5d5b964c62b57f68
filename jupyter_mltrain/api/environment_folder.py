"""An environment's definition as a folder: `azureml_environment.json` in the SDK's form, `conda_dependencies.yml`, and a
Dockerfile that makes an image of it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.conda import CondaSpecification, of_definition
from jupyter_mltrain.core.environment import ContainerSettings, EnvironmentDefinition, Packages
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import AlreadyThere, PathNotFound, UsageError

DEFINITION = "azureml_environment.json"
PACKAGES = "conda_dependencies.yml"
CONSTRAINTS = "constraints.txt"
DOCKERFILE = "Dockerfile"
OWN = "mltrain"
"""The key of what the SDK's form has no place for."""


def save(
    definition: EnvironmentDefinition, dockerfile: str, beside: Mapping[str, str], folder: Path, *, overwrite: bool
) -> None:
    """Write the folder; `beside`: the files that the Dockerfile needs. Raises `AlreadyThere` where it exists, unless
    `overwrite`."""
    if folder.exists() and not overwrite:
        raise AlreadyThere(
            f"The folder {folder} exists already.", mend="Give another path, or overwrite=True to write into it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DEFINITION).write_text(
        json.dumps(_document(definition), indent=4, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    specification = of_definition(definition)
    if specification.constraints:
        (folder / CONSTRAINTS).write_text("\n".join([*specification.constraints, ""]), encoding="utf-8")
        specification = replace(specification, pip=(*specification.pip, f"-c {CONSTRAINTS}"))
    (folder / PACKAGES).write_text(specification.dumps(), encoding="utf-8")
    for name, text in {DOCKERFILE: dockerfile, **beside}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def load(folder: Path) -> EnvironmentDefinition:
    """The definition in `folder`, unregistered: also one that the SDK wrote. Raises `PathNotFound` and `UsageError`."""
    path = folder / DEFINITION
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PathNotFound(f"There is no {DEFINITION} in {folder}.", mend="save_to_directory writes one.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    specification = CondaSpecification.load(folder / PACKAGES) if (folder / PACKAGES).exists() else CondaSpecification()
    try:
        return _definition(raw, specification)
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not as the SDK or this package writes it: {error!r}.") from error


def dockerfile_text(given: str | Path) -> str:
    """The text of a Dockerfile that is given as text or as a path. Raises `PathNotFound`."""
    text = os.fspath(given)
    if "\n" in text or text.lstrip().upper().startswith("FROM "):
        return text
    try:
        return Path(text).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PathNotFound(f"There is no Dockerfile {text}.", mend="Give its path, or its text.") from error


def _document(definition: EnvironmentDefinition) -> dict[str, Any]:
    docker = definition.docker
    return {
        "name": definition.name,
        "version": str(definition.version) if definition.version else None,
        "environmentVariables": dict(definition.environment_variables),
        "python": {
            "userManagedDependencies": definition.user_managed,
            "interpreterPath": definition.interpreter or "python",
            "condaDependenciesFile": None,
            "baseCondaEnvironment": None,
        },
        "docker": {
            "enabled": docker.enabled,
            "baseImage": docker.base_image,
            "baseDockerfile": docker.base_dockerfile,
            "shmSize": docker.shm_size,
            "arguments": list(docker.arguments),
        },
        "inferencingStackVersion": definition.inferencing_stack_version,
        OWN: {
            "description": definition.description,
            "pip_gpu": list(definition.pip_gpu),
            "adaptations": list(definition.adaptations),
            "imports": list(definition.imports),
            "given": dataclasses.asdict(definition.given) if definition.given else None,
            "substitutions": [dataclasses.asdict(one) for one in definition.substitutions],
            "image": docker.image,
        },
    }


def _definition(raw: Mapping[str, Any], specification: CondaSpecification) -> EnvironmentDefinition:
    python, docker, own = raw.get("python") or {}, raw.get("docker") or {}, raw.get(OWN) or {}
    given = own.get("given")
    return replace(
        specification.definition(check_name(raw["name"], "Environment")),
        environment_variables={name: str(value) for name, value in (raw.get("environmentVariables") or {}).items()},
        interpreter=python.get("interpreterPath") if python.get("userManagedDependencies") else None,
        docker=ContainerSettings(
            enabled=bool(docker.get("enabled")),
            base_image=docker.get("baseImage"),
            base_dockerfile=docker.get("baseDockerfile"),
            image=own.get("image", ""),
            shm_size=docker.get("shmSize"),
            arguments=tuple(docker.get("arguments") or ()),
        ),
        inferencing_stack_version=raw.get("inferencingStackVersion"),
        description=own.get("description", ""),
        pip_gpu=tuple(own.get("pip_gpu", ())),
        adaptations=tuple(own.get("adaptations", ())),
        imports=tuple(own.get("imports", ())),
        given=Packages.from_json(given) if given else None,
        substitutions=tuple(Substitution(**one) for one in own.get("substitutions", ())),
    )
