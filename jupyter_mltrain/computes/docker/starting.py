"""Making a run's container: taken by its name, filled, started. Blocking.

The name is what two who launch one run at once fight for: the engine gives it to one of them.
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


def take(client: Client, plan: LaunchPlan, handle: Handle) -> str | None:
    """Make the run's folder and container, and return its id; None where somebody has launched the run before."""
    while True:
        seen = seeing.look(client, handle)
        if seen.state is None and seen.launched:
            return None  # it ran, and its container is gone
        if seen.state is None or seen.state["Status"] == "created":
            if seen.state is not None and not _left_alone(client, handle):
                continue
            made = _make(client, plan, handle)
            if made is not None:
                return made
            continue
        return None


def _left_alone(client: Client, handle: Handle) -> bool:
    """Whether a container that was made and not started has been given up by who made it; it is removed then."""
    try:
        found: dict[str, Any] = client.inspect_container(handle["container"])
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


def _make(client: Client, plan: LaunchPlan, handle: Handle) -> str | None:
    """The id of the container; None where somebody was quicker."""
    client.create_volume(run_volume(plan.run_id), labels=handle_labels(plan, "run"))
    request = json.loads(json.dumps(plan.container))
    request["Labels"][LAUNCHER] = _launcher()
    if plan.cpus is not None:
        _choose_cpus(client, request, plan.cpus)
    try:
        return client.create_container_from_config(request, name=handle["container"])["Id"]
    except docker.errors.ImageNotFound as error:
        with contextlib.suppress(docker.errors.APIError):  # somebody else's container may use it
            client.remove_volume(run_volume(plan.run_id))
        raise EngineError(
            f"The image {request['Image']!r} is not on the engine.", mend="Pull it there, or name another base_image."
        ) from error
    except docker.errors.APIError as error:
        if error.status_code == _CONFLICT:
            return None
        raise


def handle_labels(plan: LaunchPlan, kind: str) -> dict[str, str]:
    given: Mapping[str, str] = (plan.container or {})["Labels"]
    return {**given, **labels(kind)}


def _choose_cpus(client: Client, request: dict[str, Any], count: int) -> None:
    """The CPUs that the fewest of our containers are bound to: so that a framework starts as many threads as it has."""
    there = int(client.info()["NCPU"])
    if count >= there:
        request["HostConfig"].pop("NanoCpus", None)
        return
    running = client.containers(filters={"label": f"{KIND}=run"})
    used = Counter(index for one in running for index in one["Labels"].get(CPUS, "").split(",") if index)
    chosen = sorted(sorted(map(str, range(there)), key=lambda index: used[index])[:count], key=int)
    request["Labels"][CPUS] = request["HostConfig"]["CpusetCpus"] = ",".join(chosen)


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
    # Last: what has it is whole.
    for rank in plan.ranks:
        launch = launch_record(plan, rank.rank, dict.fromkeys(secrets, ""), None)
        if len(plan.ranks) == 1:
            launch["alone"] = True  # what the container uses is what the run uses
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


def start(client: Client, plan: LaunchPlan, handle: Handle, container: str, secrets: Mapping[str, str]) -> None:
    """Start the container, until the run's process is there; the values of secrets go in by its standard input, and are
    written nowhere. Raises `EngineError` where it does not come."""
    talk = attach(client, container)
    told = json.dumps(dict(secrets)).encode() + b"\n" if secrets else b""
    try:
        client.start(container)
        with contextlib.suppress(OSError):  # it may have ended already
            talk.send(told)
            if _ready(talk):
                return
            # Under load an engine may lose what was said while it began to listen; a second line is not looked at.
            talk.send(told)
        wait(client, plan, handle)
    except docker.errors.APIError as error:
        if "exec:" in str(error.explanation):
            raise _no_interpreter(plan, str(error.explanation)) from error
        raise
    finally:
        talk.leave()


def _ready(talk: Talk) -> bool:
    """Whether the shim says so soon; not where it ends without."""
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
    """Until the run's process is there. Raises `EngineError` where it does not come."""
    until = time.monotonic() + _PATIENCE
    while True:
        seen = seeing.look(client, handle)
        if seen.launched:
            return
        if not seen.running:
            said = _said(client, handle["container"])
            if "exec " in said and "fail" in said:
                raise _no_interpreter(plan, said)
            raise EngineError(f"The run's supervisor did not start: {seen.container}. {said}".strip())
        if time.monotonic() > until:
            raise EngineError(f"The run's supervisor did not start within {_PATIENCE:.0f} s.")
        time.sleep(_STEP)


def _no_interpreter(plan: LaunchPlan, said: str) -> EngineError:
    python = plan.ranks[0].env["MLTRAIN_PYTHON"]
    return EngineError(
        f"The interpreter {python} cannot be started in the image {(plan.container or {})['Image']}.",
        mend="Build the environment again, or name an image that has it.",
        said=said,
    )


def _said(client: Client, container: str) -> str:
    try:
        return client.logs(container, tail=20).decode("utf-8", "replace").strip()[-2000:]
    except docker.errors.APIError:
        return ""


def undo(client: Client, container: str, run_id: str) -> None:
    """Remove what was made for a run that is not to be. Idempotent."""
    volume, until = run_volume(run_id), time.monotonic() + _USED_BY_A_LOOK
    while True:
        for name in [container, *_helpers(client, run_id)]:
            remove(client, name)
        try:
            client.remove_volume(volume)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            # Somebody who looks into the folder just now has made a helper since these were counted, or removes one.
            if error.status_code != _CONFLICT or time.monotonic() > until:
                raise
            time.sleep(_STEP)
        else:
            return


def _helpers(client: Client, run_id: str) -> list[str]:
    ours = {"label": [f"{KIND}=helper", f"{RUN}={run_id}"]}
    return [one["Id"] for one in client.containers(all=True, filters=ours)]
