"""Making a run's containers, one per node: taken by their names, filled, started. Blocking.

The name of the last is what two who launch one run at once fight for: the engine gives it to one of them, who then makes the
others. It is started last, so where it was started all were.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import basename, dirname
from typing import Any

import docker.errors

from jupyter_mltrain.computes.archives import Entry, archive, of_client, of_work
from jupyter_mltrain.computes.docker import data, rewinding, seeing
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.labels import CPUS, KIND, LAUNCHER, RUN, labels, run_volume
from jupyter_mltrain.computes.docker.nodes import interpreter, nodes_here, nodes_of, ports, request_of
from jupyter_mltrain.computes.docker.plan import ROOT
from jupyter_mltrain.computes.docker.removing import remove
from jupyter_mltrain.computes.docker.talking import Talk, attach
from jupyter_mltrain.computes.plan import launch_record
from jupyter_mltrain.core.compute import Handle, LaunchPlan
from jupyter_mltrain.errors import EngineError

_PATIENCE = 60.0
_WORD = 2.0
"""Seconds to wait for the shim's word, before its records are looked at."""
_ABANDONED = 60.0
"""Seconds after which a container that was made and not started is nobody's."""
_USED_BY_A_LOOK = 30.0
"""Seconds for which somebody may look into the folder of a run that is given up."""
_STEP = 0.05
_CONFLICT = 409
_IN_USE = (_CONFLICT, 403)
"""403 is said of a network that a container is on."""


def take(client: Client, plan: LaunchPlan, handle: Handle) -> list[str] | None:
    """Make the run's folder and containers, and return their ids, in the order of nodes; None where somebody has launched
    the run before."""
    while True:
        seen = seeing.look(client, handle)
        if seen.last.state is None and seen.launched:
            return None  # it ran, and its containers are gone
        if seen.last.state is None or seen.last.created:
            if seen.last.created and not _left_alone(client, handle):
                continue
            made = _make(client, plan, handle)
            if made is not None:
                return made
            continue
        return None


def _left_alone(client: Client, handle: Handle) -> bool:
    """Whether a container that was made and not started has been given up by who made it; it is removed then, with the
    run's others, which may have been started."""
    try:
        found: dict[str, Any] = client.inspect_container(nodes_of(handle)[-1].container)
    except docker.errors.NotFound:
        return True
    dead = _dead(found["Config"]["Labels"].get(LAUNCHER, ""))
    until = time.monotonic() + (0 if dead else _ABANDONED)
    while time.monotonic() < until:
        state = seeing.state_of(client, found["Id"])
        if state is None or state["Status"] != "created":
            return False
        time.sleep(_STEP)
    with contextlib.suppress(docker.errors.APIError):  # never one that was started meanwhile
        client.remove_container(found["Id"])
        if len(nodes_of(handle)) > 1:
            undo(client, handle)
    return True


def _launcher(pid: int | str = "self") -> str:
    """Which process of which machine it is, by words that no other ever has; empty for one that is not there."""
    try:
        space, boot = Path("/proc/self/ns/pid").readlink(), Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return f"{boot.strip()} {space} {os.getpid() if pid == 'self' else pid} {int(fields[19])}"


def _dead(launcher: str) -> bool:
    """Whether it was a process that could be seen from here, and is no more."""
    words, here = launcher.split(), _launcher().split()
    return len(words) == len(here) == 4 and words[:2] == here[:2] and _launcher(words[2]).split() != words


def _make(client: Client, plan: LaunchPlan, handle: Handle) -> list[str] | None:
    """The ids of the containers; None where somebody was quicker. Leaves nothing where one cannot be made."""
    if client.is_podman and "network" in handle:
        # Whether it knows containers by name depends on plugins that its API does not tell of.
        raise EngineError(
            f"The run has {1 + len(plan.more_containers)} nodes, and on Podman runs have one.",
            mend="Take a Docker engine, or one node with several processes.",
        )
    try:
        client.create_volume(run_volume(plan.run_id), labels=handle_labels(plan, "run"))
        requests = _requests(client, plan)
        *others, last = [one.container for one in nodes_of(handle)]
        first = _create_first(client, plan, handle, requests[-1], last)
    except (EngineError, docker.errors.APIError):
        with contextlib.suppress(docker.errors.APIError):  # somebody else's container may use it
            client.remove_volume(run_volume(plan.run_id))
            if "network" in handle:
                _remove_networks(client, handle["network"])
        raise
    if first is None:
        return None
    try:
        # By who has the name alone: older engines make two networks of one name.
        if "network" in handle:
            _make_network(client, plan, handle["network"])
        return [*(_create_anew(client, *one) for one in zip(requests, others, strict=False)), first]
    except (EngineError, docker.errors.APIError):
        undo(client, handle)
        raise


def _requests(client: Client, plan: LaunchPlan) -> list[dict[str, Any]]:
    """What the engine is asked to make for each node that is here."""
    found = [json.loads(json.dumps(request_of(plan, node))) for node in nodes_here(plan)]
    for request in found:
        request["Labels"][LAUNCHER] = _launcher()
    if plan.cpus is not None:
        _choose_cpus(client, found, max(1, plan.cpus // (1 + len(plan.more_containers))))
    return found


def _make_network(client: Client, plan: LaunchPlan, name: str) -> None:
    """The run's own, unless it is there. Raises `EngineError` where none can be had."""
    try:
        if not client.networks(names=[name]):
            client.create_network(name, driver="bridge", labels=handle_labels(plan, "run"), check_duplicate=True)
    except docker.errors.APIError as error:
        if error.status_code == _CONFLICT:
            return
        if "fully subnetted" in str(error.explanation) or "non-overlapping" in str(error.explanation):
            raise EngineError(
                "The engine has no address range left for the run's network.",
                mend="Remove networks that nobody needs: `docker network prune` there.",
            ) from error
        raise


def _create_first(client: Client, plan: LaunchPlan, handle: Handle, request: dict[str, Any], name: str) -> str | None:
    """As `_create`, also on an engine that makes no container before its network is there: it gives a name but once."""
    try:
        return _create(client, request, name)
    except docker.errors.NotFound:
        if "network" not in handle:
            raise
    _make_network(client, plan, handle["network"])
    return _create(client, request, name)


def _create(client: Client, request: dict[str, Any], name: str) -> str | None:
    """The id of the container; None where there is one of that name."""
    try:
        return client.create_container_from_config(request, name=name)["Id"]
    except docker.errors.ImageNotFound as error:
        raise EngineError(
            f"The image {request['Image']!r} is not on the engine.", mend="Pull it there, or name another base_image."
        ) from error
    except docker.errors.APIError as error:
        if error.status_code == _CONFLICT:
            return None
        raise


def _create_anew(client: Client, request: dict[str, Any], name: str) -> str:
    """The id of the container, in place of one that a launch left with which nobody goes on."""
    made = _create(client, request, name)
    if made is None:
        remove(client, name)
        made = _create(client, request, name)
    if made is None:
        raise EngineError(f"Somebody else makes the run's container {name}.", mend="Launch the run again.")
    return made


def handle_labels(plan: LaunchPlan, kind: str) -> dict[str, str]:
    given: Mapping[str, str] = (plan.container or {})["Labels"]
    return {**given, **labels(kind)}


def _choose_cpus(client: Client, requests: Sequence[dict[str, Any]], count: int) -> None:
    """For each the CPUs that the fewest of our containers are bound to: so that a framework starts as many threads as it
    has, and that nodes of one run have CPUs of their own as long as there are some."""
    there = int(client.info()["NCPU"])
    if count >= there:
        for request in requests:
            request["HostConfig"].pop("NanoCpus", None)
        return
    running = client.containers(filters={"label": f"{KIND}=run"})
    used = Counter(index for one in running for index in one["Labels"].get(CPUS, "").split(",") if index)
    for request in requests:
        chosen = sorted(sorted(map(str, range(there)), key=lambda index: used[index])[:count], key=int)
        request["Labels"][CPUS] = request["HostConfig"]["CpusetCpus"] = ",".join(chosen)
        used.update(chosen)


def fill(client: Client, plan: LaunchPlan, container: str, secrets: Sequence[str]) -> None:
    """All that the run needs, in one archive."""
    owner = owner_in(client, container, str((plan.container or {})["User"]))
    client.put_archive(container, dirname(ROOT), archive(_contents(plan, secrets), owner))


def _contents(plan: LaunchPlan, secrets: Sequence[str]) -> Iterator[Entry]:
    top = basename(ROOT)
    for folder in ("", "/inject", "/work", "/streams", "/shim", "/home"):
        yield Entry(top + folder)
    yield from of_client(f"{top}/inject")
    links = {mount.place: data.path(mount) for mount in plan.mounts if mount.place}
    yield from of_work(Path(plan.record), Path(plan.blobs), links, f"{top}/work")
    yield from data.copies(plan.mounts, f"{top}/data")
    yield from rewinding.kept(Path(plan.record), top)
    here, chosen = nodes_here(plan), ports(plan)
    on = Counter(rank.node for rank in plan.ranks)
    # Last: what has it is whole.
    for rank in plan.ranks:
        if rank.node not in here:
            continue
        launch = launch_record(plan, rank.rank, dict.fromkeys(secrets, ""), None, chosen)
        if on[rank.node] == 1:
            launch["alone"] = True  # what the container uses is what the process uses
        yield Entry(f"{top}/shim/r{rank.rank}.launch.json", data=json.dumps(launch).encode())


def owner_in(client: Client, container: str, user: str) -> tuple[int, int]:
    """The numbers of a user, looked up in the image where it is a name."""
    name, _, group = user.partition(":")
    if name.isdigit() and (not group or group.isdigit()):
        return int(name), int(group or name)
    try:
        lines = _text(client, container, "/etc/passwd").splitlines()
        row = next(fields for fields in (line.split(":") for line in lines) if name in fields[:1] or fields[2] == name)
        groups = {
            fields[0]: int(fields[2]) for fields in map(_fields, _text(client, container, "/etc/group").splitlines())
        }
        return int(row[2]), int(group) if group.isdigit() else groups[group] if group else int(row[3])
    except (StopIteration, KeyError, IndexError, ValueError, docker.errors.NotFound) as error:
        raise EngineError(f"The image knows no user {user!r}.", mend="Name one by numbers: user=1000:1000.") from error


def _fields(line: str) -> list[str]:
    return line.split(":")


def _text(client: Client, container: str, path: str) -> str:
    import tarfile  # noqa: PLC0415

    with seeing.taken(client, container, path) as source, tarfile.open(fileobj=source, mode="r|") as members:
        content = members.extractfile(next(iter(members)))
        return content.read(1 << 20).decode("utf-8", "replace") if content else ""


def start(
    client: Client, plan: LaunchPlan, handle: Handle, containers: Sequence[str], secrets: Mapping[str, str]
) -> None:
    """Start the containers, until all processes of the run are there; the values of secrets go in by standard input, and
    are written nowhere. Raises `EngineError` where one does not come."""
    told = json.dumps(dict(secrets)).encode() + b"\n" if secrets else b""
    talks: list[Talk] = []
    try:
        for container in containers:
            talks.append(attach(client, container))
            client.start(container)
            with contextlib.suppress(OSError):  # it may have ended already
                talks[-1].send(told)
        come = [_comes(talk, told) for talk in talks]  # each, so that each is told again who may not have heard
        if all(come):
            return
        wait(client, plan, handle)
    except docker.errors.APIError as error:
        if "exec:" in str(error.explanation):
            raise _no_interpreter(plan, str(error.explanation)) from error
        raise
    finally:
        for talk in talks:
            talk.leave()


def _comes(talk: Talk, told: bytes) -> bool:
    """Whether the shims of a container say soon that they are there."""
    with contextlib.suppress(OSError):
        if _ready(talk):
            return True
        # Under load an engine may lose what was said while it began to listen; a second line is not looked at.
        talk.send(told)
    return False


def _ready(talk: Talk) -> bool:
    """Whether it says so soon; not where it ends without."""
    pieces, said = talk.pieces(), b""
    while talk.waits(_WORD):
        piece = next(pieces, None)
        if piece is None:
            return False
        said += piece[1]
        if b"ready\n" in said:
            return True
    return False


def wait(client: Client, plan: LaunchPlan, handle: Handle) -> None:
    """Until all processes of the run are there. Raises `EngineError` where one does not come."""
    until = time.monotonic() + _PATIENCE
    while True:
        seen = seeing.look(client, handle)
        if seen.launched:
            return
        waited = [rank for rank in seen.records if not seen.begun(rank)]
        ended = next((one for rank in waited if not (one := seen.of(rank)).running), None)
        if ended is None and not seen.running:
            ended = seen.last
        which = f" of rank {waited[0]}" if waited and len(plan.ranks) > 1 else ""
        if ended is not None:
            said = _said(client, ended.name)
            if "exec " in said and "fail" in said:
                raise _no_interpreter(plan, said)
            raise EngineError(f"The run's supervisor{which} did not start: {ended.words}. {said}".strip())
        if time.monotonic() > until:
            raise EngineError(f"The run's supervisor{which} did not start within {_PATIENCE:.0f} s.")
        time.sleep(_STEP)


def _no_interpreter(plan: LaunchPlan, said: str) -> EngineError:
    return EngineError(
        f"The interpreter {interpreter(plan)} cannot be started in the image {(plan.container or {})['Image']}.",
        mend="Build the environment again, or name an image that has it.",
        said=said,
    )


def _said(client: Client, container: str) -> str:
    try:
        return client.logs(container, tail=20).decode("utf-8", "replace").strip()[-2000:]
    except docker.errors.APIError:
        return ""


def undo(client: Client, handle: Handle) -> None:
    """Remove what was made for a run that is not to be. Idempotent."""
    run_id: str = handle["run_id"]
    volume, until = run_volume(run_id), time.monotonic() + _USED_BY_A_LOOK
    while True:
        for name in [*(one.container for one in nodes_of(handle)), *_helpers(client, run_id)]:
            remove(client, name)
        try:
            if "network" in handle:
                _remove_networks(client, handle["network"])
            client.remove_volume(volume)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            # Somebody who looks into the folder just now has made a helper since these were counted, or removes one.
            if error.status_code not in _IN_USE or time.monotonic() > until:
                raise
            time.sleep(_STEP)
        else:
            return


def _remove_networks(client: Client, name: str) -> None:
    """Those of that name: an engine may have made two for two who asked at once."""
    for one in client.networks(names=[name]):
        if one["Name"] == name:  # the engine looks for what begins so
            with contextlib.suppress(docker.errors.NotFound):
                client.remove_network(one["Id"])


def _helpers(client: Client, run_id: str) -> list[str]:
    ours = {"label": [f"{KIND}=helper", f"{RUN}={run_id}"]}
    return [one["Id"] for one in client.containers(all=True, filters=ours)]
