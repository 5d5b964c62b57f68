"""How a run gets a dataset: as an argument of its script."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.spec import DATA_PLACEHOLDER

if TYPE_CHECKING:
    from jupyter_mltrain.api.dataset import FileDataset
    from jupyter_mltrain.api.workspace import Workspace


class DatasetConsumptionConfig:
    """A dataset in a run's arguments: the script gets its path there. Made by `as_mount`, `as_download` and
    `as_named_input`. `mode`: `mount`, `download` or `direct`."""

    def __init__(
        self, name: str | None, dataset: FileDataset, mode: str = "direct", path_on_compute: str | None = None
    ) -> None:
        self._name = name
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    @property
    def name(self) -> str:
        """What the run calls it; `input__<8 hex>` where nobody said."""
        if self._name is None:
            self._name = f"input__{(self.dataset.id or secrets.token_hex(4))[:8]}"
        return self._name

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same input; the script gets the data where it is, not to be written to."""
        return DatasetConsumptionConfig(self._name, self.dataset, "mount", path_on_compute or self.path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same input; the run gets a copy of its own, which it may change."""
        return DatasetConsumptionConfig(self._name, self.dataset, "download", path_on_compute or self.path_on_compute)

    @property
    def argument(self) -> str:
        """What stands for it among a run's arguments."""
        return f"{DATA_PLACEHOLDER}{self.name}"

    def request(self, workspace: Workspace) -> dict[str, Any]:
        """Its part of a request to submit; a dataset that is not registered is kept in the workspace first."""
        reference = self.dataset.reference(workspace)
        return {
            "name": self.name,
            "dataset": reference,
            "mode": self.mode,
            "path_on_compute": self.path_on_compute or "",
            "argument": "",
        }

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig(name={self.name!r}, mode={self.mode!r})"
