"""Where the files of a deployed model are: `Model.get_model_path(name)`."""

from __future__ import annotations

import os
from typing import Any, Iterator


class ModelNotFoundException(Exception):  # noqa: N818 - the name in the SDK
    """No model of that name was deployed with the script."""


class Model:
    """A model that was deployed with a scoring script."""

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Any = None) -> str:
        """The path of the file or folder that was registered as `model_name`, of its newest version by default.

        Raises `ModelNotFoundException`.
        """
        for folder in _folders(model_name, version):
            entries = sorted(os.listdir(folder))
            if entries:
                return os.path.join(folder, entries[0]) if len(entries) == 1 else folder
        if os.path.exists(model_name):
            return model_name
        raise ModelNotFoundException(
            f"There is no model {model_name!r}{f' of version {version}' if version else ''} here."
            f" AZUREML_MODEL_DIR is {os.environ.get('AZUREML_MODEL_DIR', 'not set')}."
        )


def _folders(name: str, version: int | None) -> Iterator[str]:
    """Folders `<name>/<version>`, the newest first. With one model AZUREML_MODEL_DIR is such a folder, with several it is
    the one that holds them all."""
    given = os.environ.get("AZUREML_MODEL_DIR", "")
    roots = [given, os.path.dirname(os.path.dirname(given.rstrip(os.sep)))] if given else []
    for root in [*roots, "azureml-models"]:
        folder = os.path.join(root, name)
        versions = [v for v in os.listdir(folder) if v.isdigit()] if os.path.isdir(folder) else []
        for number in sorted(map(int, versions), reverse=True):
            if version is None or number == int(version):
                yield os.path.join(folder, str(number))
