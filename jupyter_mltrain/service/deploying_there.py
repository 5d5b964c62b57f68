"""Endpoints whose server is in a container: the target found fit, the environment made ready where it is."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable
from posixpath import dirname, join
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain import computes
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.deployment import EndpointPlan, EndpointSpec
from jupyter_mltrain.core.serving import ServingHost, ServingOrder
from jupyter_mltrain.core.target import LOCAL
from jupyter_mltrain.deployments import contained
from jupyter_mltrain.deployments.contained import ContainerInputs
from jupyter_mltrain.deployments.place import Place
from jupyter_mltrain.environments.uv import there_failed
from jupyter_mltrain.errors import BuildFailed, EngineError, EngineUnreachable, ResourceUnavailable, WebserviceException
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.serving import definition_of, lacks_server

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import EnvironmentOrder, ReadyEnvironment
    from jupyter_mltrain.core.engines import ContainerCompute
    from jupyter_mltrain.service.service import Service

Say = Callable[[str], None]


def host_of(service: Service, target: str) -> ServingHost:
    """The engine of a target that runs endpoints. Raises `TargetNotFound`, `WebserviceException`."""
    compute: Any = service.targets.get(target).compute
    if not isinstance(compute, ServingHost):
        raise WebserviceException(
            f"Endpoints run on this machine or in containers of one host, not on {target!r}.",
            mend="Leave the target out, or name one of Docker with a single host.",
        )
    return compute


def check_image(spec: EndpointSpec) -> None:
    """Raise `WebserviceException` where an image's own server cannot serve what is asked."""
    if spec.image is None:
        return
    if spec.target == LOCAL:
        raise WebserviceException(
            f"The image {spec.image!r} needs a target with containers.",
            mend='Name one: deployment_target="docker", or one that is attached.',
        )
    if spec.entry_script is not None or [model.format for model in spec.models] != ["SavedModel"]:
        raise WebserviceException(
            f"The image {spec.image!r} serves one SavedModel, and no entry script.",
            mend="Leave the image out: then our own server answers.",
        )


async def check(service: Service, spec: EndpointSpec) -> None:
    """Raise `TargetNotFound`, `WebserviceException` or `ResourceUnavailable` for what the spec's target cannot be or give."""
    await service.targets.first_use(spec.target)
    host_of(service, spec.target)
    definition = service.targets.get(spec.target).definition
    there = definition.capacity if definition is not None else None
    if there is None:
        return
    if spec.memory_gb is not None and there.memory_gb and spec.memory_gb > there.memory_gb:
        raise ResourceUnavailable(
            f"{spec.memory_gb:g} GB of memory asked, {spec.target!r} has {there.memory_gb:.1f}.", mend="Ask for less."
        )
    if spec.cpu is not None and there.cpus and spec.cpu > there.cpus:
        raise ResourceUnavailable(f"{spec.cpu:g} CPUs asked, {spec.target!r} has {there.cpus}.", mend="Ask for fewer.")


async def prepare(
    service: Service, place: Place, spec: EndpointSpec, record: dict[str, Any], step: Say
) -> EndpointPlan:
    """Make the environment ready on the target's engine and say what will run. Its build is logged in `build.log`.

    Raises what the making of environments raises, and `EngineUnreachable`.
    """
    host = host_of(service, spec.target)
    compute = cast("ContainerCompute", host)
    inputs = ContainerInputs(
        id=record["id"],
        folder=place.folder,
        engine=cast("Any", host).name,
        settings=host.reach(),
        published=host.publishes,
        workspace=service.config.id,
    )
    with place.build_log.open("a", encoding="utf-8", errors="replace") as file:

        def log(line: str) -> None:
            with contextlib.suppress(ValueError):  # the last words of a build that was stopped
                file.write(line.rstrip("\n") + "\n")
                file.flush()

        if spec.image is not None:
            step(f"image {spec.image}")
            image = await _image(host, spec.image, log, step)
            return contained.plan(spec, dataclasses.replace(inputs, image=image))
        step(f"environment {spec.environment}")
        order = await _order(service, compute, spec.environment, log)
        ready = await _made(compute, order, log, step)
        overlay = await _overlay(service, compute, ready, log, step)
    inputs = dataclasses.replace(
        inputs,
        image=ready.prepared.image,
        python=ready.prepared.python,
        overlay=overlay,
        variables=ready.prepared.variables,
        shm_size=ready.prepared.shm_size,
    )
    return contained.plan(spec, inputs)


async def _image(host: ServingHost, name: str, log: Say, step: Say) -> str:
    try:
        return await host.find_image(name, log, _in_loop(step))
    except EngineUnreachable:
        raise
    except EngineError as error:
        mend = "Pull it there, name another one, or leave the image out: then our own server answers."
        raise WebserviceException(error.message, mend=mend) from error


async def _order(service: Service, compute: ContainerCompute, reference: str, log: Say) -> EnvironmentOrder:
    platform = await compute.platform()
    return await in_thread(lambda stop: service.environments.order(reference, platform, log=log, cancelled=stop))


async def _made(compute: ContainerCompute, order: EnvironmentOrder, log: Say, step: Say) -> ReadyEnvironment:
    say = _in_loop(step)

    def tell(line: str) -> None:
        log(redact(line, order.secrets))

    def phrase(text: str) -> None:
        say(f"environment {order.name}: {text}"[:160])

    try:
        return await compute.prepare(order, tell, phrase)
    except BuildFailed as error:
        output = redact(str(error.details.get("output", "")), order.secrets)
        raise there_failed(error, output, order.name) from error


def _in_loop(step: Say) -> Say:
    """The same from any thread."""
    loop = asyncio.get_running_loop()

    def say(text: str) -> None:
        loop.call_soon_threadsafe(step, text)

    return say


async def _overlay(
    service: Service, compute: ContainerCompute, ready: ReadyEnvironment, log: Say, step: Say
) -> tuple[str, ...]:
    """The server's own packages, for the image that the environment is in; see `service.serving`."""
    if not lacks_server(ready):
        return ()
    definition = definition_of(ready)
    stored = await in_thread(lambda _: service.environments.register(definition, log=log))
    order = await _order(service, compute, f"{stored.name}:{stored.version}", log)
    made = await _made(compute, dataclasses.replace(order, image=ready.prepared.image), log, step)
    minor = definition.python
    return (join(dirname(dirname(made.prepared.python)), "lib", f"python{minor}", "site-packages"),)


def clear(place: Place) -> None:
    """Remove what there is of an endpoint on every engine that it was on, and prove it. Blocking. Raises
    `EngineUnreachable`, `WebserviceException`."""
    orders: list[ServingOrder] = []
    for path in place.folder.glob("revisions/*/plan.json"):
        plan = json.loads(path.read_text("utf-8"))
        if plan.get("container"):
            orders.append(ServingOrder.from_json(plan["container"]))
    for order in {json.dumps([order.engine, order.settings], sort_keys=True): order for order in orders}.values():
        host = cast("ServingHost", computes.load(order.engine, **order.settings))
        if left := host.clear_endpoint(order.endpoint):
            raise WebserviceException(
                f"Of the endpoint is still on its engine: {', '.join(left)}.", mend="Delete it again in a moment."
            )
