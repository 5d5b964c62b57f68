"""What lies where in an endpoint's folder, `.mltrain/endpoints/<name>/`.

endpoint.json            the record (the service's): what is wanted, and what is to be said of it
keys.json                {"required", "primary", "secondary"}, mode 0600; read by the server
wanted.json              what should run (written by the service, read by the keeper)
state.json               what does (written by the keeper)
keeper.lock              held by the living keeper
endpoint.log             all that its processes wrote, and what the keeper did
build.log                the environment's build
revisions/<n>/           spec.json  serve.json
    app/                 the app's root, current folder of the process: azureml-models/<name>/<version>/…, the source
    seals/               size, time and inode of each file of each model, as of when its hash was checked
    inject/              the run client and the server's code, as of the deployment
starts/<n>-<k>/          the k-th process of revision n: shim/ (its records), ready.json or failure.json, control.sock
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODELS = "azureml-models"
"""The SDK's name of the folder with the models, in the app's root."""


@dataclass(frozen=True)
class Place:
    """The files of the endpoint in `folder`."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "endpoint.json"

    @property
    def keys(self) -> Path:
        return self.folder / "keys.json"

    @property
    def wanted(self) -> Path:
        return self.folder / "wanted.json"

    @property
    def state(self) -> Path:
        return self.folder / "state.json"

    @property
    def lock(self) -> Path:
        return self.folder / "keeper.lock"

    @property
    def log(self) -> Path:
        return self.folder / "endpoint.log"

    @property
    def build_log(self) -> Path:
        return self.folder / "build.log"

    @property
    def starts(self) -> Path:
        return self.folder / "starts"

    def revision(self, number: int) -> Path:
        return self.folder / "revisions" / str(number)

    def app(self, number: int) -> Path:
        return self.revision(number) / "app"

    def seal(self, number: int, name: str, version: int) -> Path:
        return self.revision(number) / "seals" / f"{name}-{version}.json"

    def model(self, number: int, name: str, version: int, basename: str) -> Path:
        return self.app(number) / MODELS / name / str(version) / basename
