"""An endpoint as a notebook holds it: the SDK's web services, served on this machine."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from jupyter_mltrain.api.deployment import DeploymentConfiguration, InferenceConfig, reference
from jupyter_mltrain.api.described import Described, fits
from jupyter_mltrain.errors import MLTrainError, WebserviceException

if TYPE_CHECKING:
    from jupyter_mltrain.api.model import Model
    from jupyter_mltrain.api.workspace import Workspace

_WAIT = 25.0
_ASK_SECONDS = 300.0
_LOG_BYTES = 2 << 20


class Webservice(Described):
    """A model that answers requests. `Webservice(ws, name)` is the one of that name, of its own class.

    Raises `WebserviceNotFound` with the nearest names. What it says is as of the last call that asked the service
    (`update_deployment_state`, `wait_for_deployment`, `state`).
    """

    kind = "ACI"

    def __new__(cls, workspace: Workspace, name: str) -> Self:
        entry = workspace.connection.get(f"/v1/endpoints/{name}")
        return cls._made(workspace, entry)

    @classmethod
    def of(cls, workspace: Workspace, entry: dict[str, Any]) -> Self:
        """The endpoint that an answer of the service describes."""
        return cls._made(workspace, entry)

    @classmethod
    def _made(cls, workspace: Workspace, entry: dict[str, Any]) -> Any:
        made: Webservice = object.__new__(LocalWebservice if entry["kind"] == "Local" else AciWebservice)
        made.workspace, made.entry = workspace, entry
        return made

    workspace: Workspace
    entry: dict[str, Any]
    """All that the service last said of it (`core.wire_endpoints.Endpoint`)."""

    @staticmethod
    def list(
        workspace: Workspace,
        compute_type: str | None = None,
        image_name: str | None = None,  # noqa: ARG004 - the SDK's argument; there are no images
        image_digest: str | None = None,  # noqa: ARG004
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
    ) -> list[Webservice]:
        """The endpoints of the workspace, newest first; those alone that fit what is given (`KEY` or `[KEY, VALUE]` each)."""
        entries = workspace.connection.get("/v1/endpoints")["endpoints"]
        return [
            Webservice.of(workspace, entry)
            for entry in entries
            if compute_type in (None, entry["kind"])
            and fits(entry, tags, properties)
            and (model_name is None or model_name in {m["name"] for m in entry["models"]})
            and (model_id is None or model_id in {m["id"] for m in entry["models"]})
        ]

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    @property
    def state(self) -> str:
        """The state now, in the SDK's words: `Healthy`, `Transitioning`, `Unhealthy`, `Failed`."""
        self.update_deployment_state()
        return str(self.entry["state"])

    @property
    def scoring_uri(self) -> str | None:
        """Where requests go (POST), None until it answers. TensorFlow Serving's paths are beside it: `swagger_uri`."""
        if self.entry["scoring_uri"] is None:
            self.update_deployment_state()
        return self.entry["scoring_uri"]

    @property
    def swagger_uri(self) -> str | None:
        return self.entry["swagger_uri"]

    @property
    def auth_enabled(self) -> bool:
        return bool(self.entry["auth_enabled"])

    @property
    def compute_type(self) -> str:
        return str(self.entry["kind"])

    @property
    def error(self) -> dict[str, Any] | None:
        """Why the last deployment does not serve, None where nothing is wrong."""
        return self.entry["failure"]

    @property
    def models(self) -> list[Model]:
        """The model versions that it serves."""
        from jupyter_mltrain.api.model import Model  # noqa: PLC0415 - each knows the other

        return [Model(self.workspace, each["name"], version=each["version"]) for each in self.entry["models"]]

    def update_deployment_state(self) -> None:
        """Ask the service how it stands. One that this object deleted stays that."""
        if self.entry["phase"] == "deleted":
            return
        self.entry = self.workspace.connection.get(f"/v1/endpoints/{self.name}")

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Block until the newest revision answers; with `show_output` say what is going on.

        Raises `WebserviceException` with the cause when it fails (what served before goes on), or after `timeout_sec`.
        Interrupting stops the waiting, never the deployment.
        """
        deadline = None if timeout_sec is None else time.monotonic() + timeout_sec
        told = ""
        if show_output:
            for model in self.entry["models"]:
                print(f"Downloading model {model['id']} to {self.name}")  # noqa: T201
        while True:
            entry = self.entry
            if show_output and entry["step"] not in ("", "queued", told):
                told = entry["step"]
                print("Checking container health..." if told == "starting" else told)  # noqa: T201
            if entry["phase"] == "failed" or (
                entry["failure"] and entry["phase"] == "running" and entry["failure"].get("revision") == entry["revision"]
                and entry["serving"] != entry["revision"]
            ):  # fmt: skip
                raise self._failed()
            if entry["phase"] in ("running", "stopped"):
                break
            wait = _WAIT if deadline is None else min(_WAIT, deadline - time.monotonic())
            if wait <= 0:
                raise WebserviceException(
                    f"{self.name} was not ready within {timeout_sec:g} s: {entry['step'] or entry['phase']}.",
                    mend="It goes on; wait again, or see `get_logs()`.",
                )
            path = f"/v1/endpoints/{self.name}"
            self.entry = self.workspace.connection.get(path, after=entry["news"], wait=wait, timeout=wait + 30)
        if show_output:
            self._say_ready()

    def _say_ready(self) -> None:
        for each in self.entry["substitutions"]:
            print(f"{each['kind']}: {each['given']} instead of {each['asked']}: {each['reason']}")  # noqa: T201
        print("Succeeded")  # noqa: T201
        print(f'ACI service creation operation finished, operation "Succeeded": {self.entry["scoring_uri"]}')  # noqa: T201

    def _failed(self) -> WebserviceException:
        why = self.entry["failure"]
        title = why["title"] if why else "no reason is known"
        still = "" if self.entry["serving"] is None else f" Revision {self.entry['serving']} goes on serving."
        crashed = "" if self.entry["entry_script"] is None else " Did your init method fail?"
        return WebserviceException(
            f"{self.name} does not serve: {title}{still}",
            mend=f"{why['mend'] if why else ''}{crashed} `get_logs()` shows what it wrote.".strip(),
            **({"evidence": why["evidence"], "traceback": why["traceback"]} if why else {}),
        )

    def run(self, input_data: str | bytes | Mapping[str, Any] | Sequence[Any]) -> Any:
        """The endpoint's answer to `input_data` (text or bytes as they are; else as JSON), as Python values.

        Waits while it is being deployed. Raises `WebserviceException` with the endpoint's own words.
        """
        if self.entry["phase"] != "running":
            self.wait_for_deployment()
        data = input_data if isinstance(input_data, bytes) else (
            input_data.encode() if isinstance(input_data, str) else json.dumps(input_data).encode()
        )  # fmt: skip
        headers = {"Content-Type": "application/json"}
        if self.auth_enabled:
            keys = self.workspace.connection.get(f"/v1/endpoints/{self.name}/keys")
            headers["Authorization"] = f"Bearer {keys['primary']}"
        uri = self.scoring_uri
        if uri is None:
            raise self._failed()
        status, body = _post(uri, data, headers)
        if status >= 400:
            raise WebserviceException(
                f"{self.name} answered {status}: {body.decode('utf-8', 'replace')[:1000]}",
                mend="`get_logs()` shows what it wrote." if status >= 500 else "",
                status=status,
            )
        return json.loads(body)

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:  # noqa: ARG002 - the SDK's argument
        """The last lines that its processes wrote."""
        data, _ = self.workspace.connection.bytes(
            f"/v1/endpoints/{self.name}/log", offset=-_LOG_BYTES, limit=_LOG_BYTES
        )
        return "\n".join(data.decode("utf-8", "replace").splitlines()[-num_lines:])

    def get_keys(self) -> tuple[str, str]:
        """Primary and secondary key. Raises `WebserviceException` where requests need none."""
        self.update_deployment_state()
        if not self.auth_enabled:
            raise WebserviceException(
                f"{self.name} asks for no key.", mend="`service.update(auth_enabled=True)` makes it ask for one."
            )
        keys = self.workspace.connection.get(f"/v1/endpoints/{self.name}/keys")
        return keys["primary"], keys["secondary"]

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace the `"Primary"` or `"Secondary"` key, by `set_key` if given. The old one is refused from now on."""
        kind = str(key).lower()
        if kind not in ("primary", "secondary"):
            raise WebserviceException(f"There is no key {key!r}.", mend='Write "Primary" or "Secondary".')
        self.workspace.connection.post(f"/v1/endpoints/{self.name}/keys", {"key": kind, "value": set_key})

    def update(
        self,
        *,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        auth_enabled: bool | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
    ) -> None:
        """Change what is given. A new process takes over when it is healthy; no request fails."""
        body = {
            "models": None if models is None else [reference(model) for model in models],
            "inference": None if inference_config is None else inference_config.to_wire(self.workspace),
            "auth_enabled": auth_enabled,
            "tags": None if tags is None else dict(tags),
            "properties": None if properties is None else dict(properties),
            "description": description,
            "cpu": cpu_cores,
            "memory_gb": memory_gb,
            "kernel_python": sys.executable,
        }
        self.entry = self.workspace.connection.patch(f"/v1/endpoints/{self.name}", body, timeout=600)
        self._changed()

    def reload(self, wait: bool = False) -> None:
        """Serve the source folder's present files, in a new process."""
        self.entry = self.workspace.connection.post(f"/v1/endpoints/{self.name}/reload", timeout=600)
        self._changed()
        if wait:
            self.wait_for_deployment()

    def delete(self) -> None:
        """End it and forget it; the models stay."""
        self.workspace.connection.delete(f"/v1/endpoints/{self.name}", timeout=120)
        self.entry = {**self.entry, "phase": "deleted", "state": "deleted", "scoring_uri": None, "serving": None}
        self._changed()

    def _changed(self) -> None:
        """The outputs that show it follow it again, where there are any."""
        shown = sys.modules.get("jupyter_mltrain.widgets.endpoint_live")
        if shown is not None:
            shown.changed(self.workspace.id, self.name)

    def sample_request(self) -> dict[str, Any] | None:
        """A body that the model's signature takes: one sample of zeros. None for an entry script."""
        signatures, default = self.entry["signatures"], self.entry["default_signature"]
        if not signatures or default is None:
            return None
        inputs = {name: _zeros(tensor) for name, tensor in signatures[default]["inputs"].items()}
        return {"instances": [next(iter(inputs.values())) if len(inputs) == 1 else inputs]}

    def serialize(self) -> dict[str, Any]:
        """What is known of it, as a document."""
        return dict(self.entry)

    def _ipython_display_(self) -> None:
        """In a kernel: the card, kept up to date while something is under way. Elsewhere IPython shows what the others say."""
        from jupyter_mltrain.widgets import endpoint_live, live_output  # noqa: PLC0415 - only when shown

        shell = live_output.kernel_shell()
        if shell is None:
            raise NotImplementedError
        self._look()
        endpoint_live.EndpointOutput(shell, self).display()

    def _look(self) -> None:
        if self.entry["phase"] != "deleted":
            with contextlib.suppress(MLTrainError):  # one that cannot be asked is shown as it was last seen
                self.update_deployment_state()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mltrain.widgets.endpoint_output import bundle  # noqa: PLC0415 - only when shown

        self._look()
        return bundle(self.entry, self.workspace.id, self.workspace.connection, repr(self))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(workspace={self.workspace.name!r}, name={self.name}, state={self.entry['state']}, "
            f"scoring_uri={self.entry['scoring_uri']})"
        )


class AciWebservice(Webservice):
    """What the SDK calls a service in a container instance: here a process of its own on this machine."""

    @staticmethod
    def deploy_configuration(
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        location: str | None = None,  # noqa: ARG004 - the SDK's arguments for a cloud; there is one place here
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        enable_app_insights: bool | None = None,  # noqa: ARG004
        *,
        port: int | None = None,
        image: str | None = None,
        **cloud: Any,  # noqa: ARG004
    ) -> DeploymentConfiguration:
        """How to serve: limits of CPU and memory, and whether requests need a key (default: no; the endpoint listens on
        this machine alone and refuses other web pages). `image`: on a target with containers, one with TensorFlow
        Serving's own server (`tensorflow/serving`), for a SavedModel; it asks for no keys. Raises `WebserviceException`
        for TLS, which loopback has no use for."""
        if ssl_enabled:
            raise WebserviceException("An endpoint on this machine has no TLS.", mend="Leave `ssl_enabled` out.")
        return DeploymentConfiguration(
            "ACI", cpu_cores, memory_gb, port, auth_enabled, tags or {}, properties or {}, description, image
        )


class LocalWebservice(Webservice):
    """A service for trying things out: deploying it again always replaces it, and it asks for no keys."""

    @staticmethod
    def deploy_configuration(
        port: int | None = None,
        *,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> DeploymentConfiguration:
        """How to serve: on `port` (default: a free one from 6789 on, kept from then on)."""
        return DeploymentConfiguration("Local", cpu_cores, memory_gb, port, None, tags or {}, {}, description)

    @property
    def state(self) -> str:
        """The state now, in the SDK's words: `deploying`, `running`, `failed`, `deleted`, `unknown`."""
        return super().state

    @property
    def port(self) -> int | None:
        return self.entry["port"]

    def get_keys(self) -> tuple[str, str]:
        raise NotImplementedError(
            "A local service has no keys: use AciWebservice.deploy_configuration(auth_enabled=True)."
        )

    def _say_ready(self) -> None:
        for each in self.entry["substitutions"]:
            print(f"{each['kind']}: {each['given']} instead of {each['asked']}: {each['reason']}")  # noqa: T201
        print(f"Local webservice is running at http://localhost:{self.entry['port']}")  # noqa: T201


def _zeros(tensor: Mapping[str, Any]) -> Any:
    value: Any = {"string": "", "bool": False}.get(str(tensor["dtype"]), 0)
    for dimension in reversed((tensor["shape"] or [])[1:]):
        value = [value] * (dimension or 1)
    return value


def _post(uri: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(uri)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=_ASK_SECONDS)
    try:
        connection.request("POST", parts.path, data, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    except OSError as error:
        raise WebserviceException(
            f"{uri} does not answer: {type(error).__name__}.", mend="`service.state` says how it stands."
        ) from error
    finally:
        connection.close()
