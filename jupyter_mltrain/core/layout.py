"""Where a workspace keeps what: paths only, shared by client and service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = ".mltrain"


@dataclass(frozen=True)
class Layout:
    """The files of the workspace at `root` (the folder that holds `.mltrain`)."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def environments(self) -> Path:
        return self.folder / "environments"

    @property
    def datasets(self) -> Path:
        """Definitions of registered datasets, one readable file per version."""
        return self.folder / "datasets"

    @property
    def datastores(self) -> Path:
        """Definitions of datastores, one readable file each."""
        return self.folder / "datastores"

    @property
    def datastore(self) -> Path:
        """The default datastore: files that were uploaded without saying where to."""
        return self.folder / "datastore"

    @property
    def computes(self) -> Path:
        """Definitions of compute targets, one readable file each."""
        return self.folder / "computes"

    @property
    def database(self) -> Path:
        return self.folder / "service.db"

    @property
    def lock(self) -> Path:
        """Locked by the living service for its whole life."""
        return self.folder / "service.lock"

    @property
    def address(self) -> Path:
        """Where the living service listens: `{"socket", "pid"}`, written by it once it is ready to answer."""
        return self.folder / "service.json"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    def run(self, run_id: str) -> Path:
        """The record of a run. `run_id` comes from our own index, never straight from a request."""
        return self.runs / run_id
