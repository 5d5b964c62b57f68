"""What is left on a real engine: only ours is seen, only what nothing needs goes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from jupyter_mltrain.computes.docker import housekeeping
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.labels import container, data_volume, labels, network, run_volume
from jupyter_mltrain.core.compute import Leftover
from tests.hosts.daemon import Engine


class Place:
    """The engine, with things made as the product makes them, and others of somebody else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.connection = self.of("ours")
        self.mark = uuid.uuid4().hex[:8]
        self.containers: list[str] = []
        self.volumes: list[str] = []
        self.networks: list[str] = []

    def of(self, workspace: str) -> Connection:
        made = Connection(url=self.engine.url)
        made.workspace = workspace
        return made

    def volume(self, name: str, given: dict[str, str]) -> str:
        self.connection.do(lambda client: client.create_volume(name, labels=given))
        self.volumes.append(name)
        return name

    def container(self, name: str, given: dict[str, str], volume: str = "", *, lives: bool = False) -> str:
        mounts = [{"Type": "volume", "Source": volume, "Target": "/kept"}] if volume else []
        request = {
            "Image": self.engine.image,
            "Cmd": ["sleep", "600"],
            "Labels": given,
            "HostConfig": {"Mounts": mounts, "Init": True},
        }
        self.connection.do(lambda client: client.create_container_from_config(request, name=name))
        self.containers.append(name)
        if lives:
            self.connection.do(lambda client: client.start(name))
        return name

    def run(self, run_id: str, *, lives: bool = False) -> None:
        of = labels("run", run=run_id)
        self.container(container(run_id), of, self.volume(run_volume(run_id), of), lives=lives)

    def network(self, run_id: str) -> str:
        name = network(run_id)
        self.connection.do(lambda client: client.create_network(name, labels=labels("run", run=run_id)))
        self.networks.append(name)
        return name

    def found(self, *ended: str) -> list[Leftover]:
        there = self.connection.do(lambda client: housekeeping.leftovers(client, ended))
        return [one for one in there if self.mark in one.name]

    def there(self) -> set[str]:
        names = {*self.containers, *self.volumes, *self.networks}
        has = self.engine.docker("ps", "-a", "--format", "{{.Names}}") + "\n" + self.engine.docker("volume", "ls", "-q")
        has += "\n" + self.engine.docker("network", "ls", "--format", "{{.Name}}")
        return names & set(has.split())


@pytest.fixture
def place(docker_engine: Engine) -> Iterator[Place]:
    place = Place(docker_engine)
    yield place
    for name in place.containers:
        place.connection.do(
            lambda client, name=name: client.remove_container(name, force=True) if name in place.there() else None
        )
    for name in place.networks:
        place.connection.do(lambda client, name=name: client.remove_network(name) if name in place.there() else None)
    for name in place.volumes:
        place.connection.do(lambda client, name=name: client.remove_volume(name) if name in place.there() else None)


def test_an_ended_runs_container_and_folder_go_and_a_live_ones_stay(place: Place) -> None:
    old, live = f"old_{place.mark}", f"live_{place.mark}"
    place.run(old)
    place.run(live, lives=True)
    assert {one.name for one in place.found(old)} == {container(old), run_volume(old)}
    assert place.found() == []  # nobody says that they are over: they may wait to be collected
    # Somebody errs about a run that lives: its container is kept, and with it its folder.
    assert place.found(live) == []
    gone = place.connection.do(lambda client: housekeeping.discard(client, place.found(old)))
    assert {one.kind for one in gone} == {"container", "volume"}
    assert place.there() == {container(live), run_volume(live)}
    assert place.connection.do(lambda client: housekeeping.discard(client, gone)) == []


def test_the_network_of_an_ended_run_goes_and_a_live_ones_stays(place: Place) -> None:
    old, live, waiting = f"old-{place.mark}", f"live-{place.mark}", f"waiting-{place.mark}"
    place.run(live, lives=True)
    mine = place.network(old)
    place.network(live)
    place.network(waiting)
    found = [one for one in place.found(old, live) if one.kind == "network"]
    assert [(one.name, one.why) for one in found] == [(mine, f"the run {old} has ended")]
    label = '{{index .Labels "org.jupyter-mltrain.workspace"}}'
    assert place.engine.docker("network", "inspect", "--format", label, mine) == "ours"
    # One that a container came to meanwhile stays.
    place.engine.docker("network", "connect", network(live), container(live))
    used = Leftover("network", network(live), None, "")
    assert place.connection.do(lambda client: housekeeping.discard(client, [*found, used])) == found
    assert network(live) in place.there()
    assert mine not in place.there()


def test_what_is_somebody_elses_is_not_seen(place: Place) -> None:
    place.container(f"mltrain-{place.mark}", {"maintainer": "me"}, place.volume(f"mltrain-run-{place.mark}", {}))
    assert place.found(place.mark) == []


def test_what_is_made_says_whose_it_is_and_another_workspace_is_told(place: Place) -> None:
    volume = place.volume(data_volume(place.mark), labels("data", key=place.mark))
    kept = place.container(f"kept-{place.mark}", labels("run", run=place.mark))
    plain = place.container(f"plain-{place.mark}", {"maintainer": "me"})
    label = '{{index .Config.Labels "org.jupyter-mltrain.workspace"}}'
    assert place.engine.docker("inspect", "--format", label, kept) == "ours"
    assert place.engine.docker("inspect", "--format", label, plain) == ""
    assert place.engine.docker("inspect", "--format", label.replace(".Config", ""), volume) == "ours"
    assert {one.why for one in place.found(place.mark)} == {
        f"the run {place.mark} has ended",
        "data, sent again when it is needed",
    }
    place.connection = place.of("theirs")
    assert [(one.name, one.why) for one in place.found()] == [
        (volume, "data, sent again when it is needed, of another workspace (ours)")
    ]


def test_data_goes_when_no_living_run_reads_it(place: Place) -> None:
    data = place.volume(data_volume(place.mark), labels("data", key=place.mark))
    reader = place.container(f"reader-{place.mark}", labels("run", run="r"), data, lives=True)
    assert place.found() == []
    place.connection.do(lambda client: client.remove_container(reader, force=True))
    (found,) = place.found()
    assert (found.kind, found.name, found.why) == ("volume", data, "data, sent again when it is needed")
    assert found.bytes == 0
    # In use again before it goes: the engine keeps it.
    place.container(f"again-{place.mark}", labels("run", run="r2"), data)
    assert place.connection.do(lambda client: housekeeping.discard(client, [found])) == []
    assert data in place.there()


def test_an_image_of_ours_goes_by_its_name_and_its_base_stays(place: Place) -> None:
    tag = f"mltrain-test:{place.mark}"
    config = place.connection.do(
        lambda client: client.create_container_from_config({"Image": place.engine.image, "Cmd": ["true"]})
    )
    label = " ".join(f"{name}={json.dumps(value)}" for name, value in labels("environment", key=place.mark).items())
    place.engine.docker("commit", "--change", f"LABEL {label}", config["Id"], tag)
    place.engine.docker("rm", config["Id"])
    (found,) = place.found()
    assert (found.kind, found.name) == ("image", tag)
    assert found.bytes
    assert place.connection.do(lambda client: housekeeping.discard(client, [found])) == [found]
    assert place.engine.docker("image", "inspect", "--format", "{{.Id}}", place.engine.image)
    assert place.found() == []
