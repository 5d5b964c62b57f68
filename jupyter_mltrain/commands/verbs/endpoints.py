"""`deploy`, `endpoints`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, moment, size
from jupyter_mltrain.commands.values import named
from jupyter_mltrain.core.deployment import check_service_name, service_name
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.webservice import Webservice

_TAIL = 200


def deploy(
    context: Context,
    *,
    model: str,
    name: str | None = None,
    cpus: float | None = None,
    memory: float | None = None,
    port: int | None = None,
    auth: bool = False,
    target: str | None = None,
    image: str | None = None,
    wait: bool = False,
) -> Webservice:
    """Serve the model `NAME[:VERSION]` (default: its newest version) as an endpoint; one of that name gets it without a
    failed request. Raises `ModelNotFound`, `TargetNotFound`, `WebserviceException`."""
    from jupyter_mltrain.api.deployment import DeploymentConfiguration  # noqa: PLC0415 - loaded when it is used
    from jupyter_mltrain.api.deployment import deploy as deploy_model  # noqa: PLC0415

    reference = named(model, "Model")
    config = DeploymentConfiguration("ACI", cpus, memory, port, True if auth else None, image=image)
    service = deploy_model(
        context.workspace(),
        check_service_name(name or service_name(reference.name)),
        [str(reference)],
        deployment_config=config,
        deployment_target=target,
        overwrite=True,
    )
    if wait:
        service.wait_for_deployment(show_output=True)
    return service


def endpoints(
    context: Context,
    *,
    action: str | None = None,
    name: str | None = None,
    data: str | None = None,
    tail: int | None = None,
) -> Table[Mapping[str, Any]] | Text | Webservice:
    """`list` endpoints; `show` one, its `logs`, its `keys`; `test` one with a request; `reload` or `rm` one.

    Raises `WebserviceNotFound` with the nearest names, and what the endpoint answers.
    """
    if action in {None, "list"}:
        return _list(context)
    if name is None:
        raise UsageError(f"`endpoints {action}` needs the endpoint's name.", mend="`%mltrain endpoints` lists them.")
    from jupyter_mltrain.api.webservice import Webservice  # noqa: PLC0415 - loaded when it is used

    service = Webservice(context.workspace(), name)
    if action == "logs":
        return Text(service.get_logs(tail or _TAIL))
    if action == "keys":
        primary, secondary = service.get_keys()
        return Text(f"primary    {primary}\nsecondary  {secondary}")
    if action == "test":
        return _test(service, data)
    if action == "rm":
        service.delete()
        return Text(f"{name} is gone; its models stay.")
    if action == "reload":
        service.reload(wait=True)
    return service


def _list(context: Context) -> Table[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = context.workspace().connection.get("/v1/endpoints")["endpoints"]
    return Table(
        ("endpoint", "state", "models", "address", "memory", "restarts", "since"),
        [
            (
                e["name"],
                e["phase"],
                ", ".join(m["id"] for m in e["models"]) or e["entry_script"],
                e["scoring_uri"] or "",
                size(e["memory_bytes"]) if e["memory_bytes"] else "",
                e["restarts"] or None,
                moment(e["since"]),
            )
            for e in entries
        ],
        items=entries,
        empty="No endpoints here yet: `%mltrain deploy MODEL` makes one from a registered model.",
    )


def _test(service: Webservice, data: str | None) -> Text:
    """One request: `data`, or zeros in the shape that the model takes."""
    if data is None:
        sample = service.sample_request()
        if sample is None:
            raise UsageError(
                f"What {service.name} takes is not known: it has an entry script.", mend="Give a body: `--data '{…}'`."
            )
        body: Any = sample
    else:
        try:
            body = json.loads(data)
        except ValueError as error:
            raise UsageError(
                f"`--data` is no JSON: {error}.", mend="Quote it: `--data '{\"instances\": […]}'`."
            ) from None
    answer: Mapping[str, Any] = service.workspace.connection.post(
        f"/v1/endpoints/{service.name}/test", {"body": body}, timeout=90
    )
    text = json.dumps(answer["body"], ensure_ascii=False)
    return Text(f"{answer['status']} in {answer['milliseconds']:.1f} ms\n{text[:5000]}")
