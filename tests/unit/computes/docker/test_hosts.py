"""Several engines as one target, by their settings alone: nobody is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes import load
from jupyter_mltrain.computes.docker import DockerCompute, DockerHosts, gang
from jupyter_mltrain.core.compute import Capacity, Grant, Health, LaunchInputs, LaunchPlan
from jupyter_mltrain.core.orders import PreparedEnvironment
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution, RunSpec
from jupyter_mltrain.errors import EngineError, EngineUnreachable, UsageError


def made(**settings: Any) -> DockerHosts:
    found = load("docker", **settings)
    assert isinstance(found, DockerHosts)
    return found


def test_one_engine_is_no_target_of_several() -> None:
    assert isinstance(load("docker", url="unix:///nobody/listens"), DockerCompute)


def test_the_first_url_is_a_host_too_and_each_has_its_name(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    hosts = made(url="ssh://me@a", hosts=["ssh://b:2222", {"url": "tcp://c:2376", "name": "gpus"}], tls_ca=str(ca))
    assert [hosts.on(name).connection.address.url for name in ("a", "b", "gpus")] == [
        "ssh://me@a",
        "ssh://b:2222",
        "tcp://c:2376",
    ]
    assert hosts.on("gpus").connection.address.ca == str(ca)
    with pytest.raises(EngineError, match=r"no host 'c' \(any more\)") as caught:
        hosts.on("c")
    assert caught.value.mend == "It has a, b, gpus."


def test_hosts_that_differ_by_their_ports_are_called_by_their_addresses() -> None:
    hosts = made(hosts=["ssh://a:1", "ssh://a:2", "unix:///x"])
    assert hosts.on("ssh://a:1") is not hosts.on("ssh://a:2")
    assert hosts.on("this machine").connection.address.path == "/x"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hosts": ["ssh://a", {"url": "ssh://a"}]}, "ssh://a is named twice"),
        ({"hosts": [{"url": "ssh://a", "name": "x"}, {"url": "ssh://b", "name": "x"}]}, "Two hosts are called 'x'"),
        ({"hosts": [{"url": "ssh://a", "idle": 3}]}, "no setting 'idle'"),
        ({"hosts": ["http://a"]}, "no address"),
        ({"hosts": ["ssh://a"], "idle": 3}, "A setting of the engine 'docker' is wrong"),
    ],
)
def test_what_can_be_no_target_is_told(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load("docker", **settings)


async def test_so_many_runs_at_once_as_were_asked_for_however_few_cpus_a_host_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def capacity(self: DockerCompute) -> Capacity:
        return Capacity(self.max_nodes or 1, 2, 8.0)

    monkeypatch.setattr(DockerCompute, "capacity", capacity)
    two: list[Any] = ["ssh://a", {"url": "ssh://b", "max_nodes": 2}]
    for most, each, together in ((None, (1, 2), 3), (5, (3, 2), 5), (2, (1, 2), 2)):
        hosts = made(hosts=two, max_nodes=most)
        assert tuple(one.slots for one in (await hosts.capacities()).values()) == each
        assert await hosts.capacity() == Capacity(together, 4, 16.0)


async def test_a_target_is_good_where_one_host_is_and_says_what_is_wrong_with_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def check(self: DockerCompute) -> Health:
        if self.connection.address.host == "a":
            return Health(ok=True, steps=("reached it",))
        return Health(ok=False, problem="No route.", mend="Plug it in.")

    monkeypatch.setattr(DockerCompute, "check", check)
    assert await made(hosts=["ssh://a", "ssh://b"]).check() == Health(
        ok=True, problem="b: No route.", mend="Plug it in.", steps=("a: reached it",)
    )
    assert not (await made(hosts=["ssh://b"]).check()).ok


def test_ranks_of_several_hosts_find_each_other_by_ipv4() -> None:
    hosts = made(hosts=["unix:///x", {"url": "ssh://box", "address": "fd00::7"}])
    with pytest.raises(EngineError, match="box is reached by fd00::7") as caught:
        hosts.addresses(["this machine", "box"])
    assert "IPv4" in caught.value.mend
    assert hosts.addresses(["this machine"]) == ["127.0.0.1"]


def test_hosts_reach_each_other_by_their_addresses() -> None:
    hosts = made(
        hosts=[{"url": "unix:///x", "name": "here"}, "ssh://me@127.0.0.9", {"url": "ssh://b", "address": "10.9.8.7"}]
    )
    assert hosts.addresses(["b", "here", "b"])[::2] == ["10.9.8.7", "10.9.8.7"]
    with pytest.raises(EngineError, match=r"towards nowhere\.invalid is not known") as caught:
        made(hosts=["unix:///x", "ssh://nowhere.invalid"]).addresses(["this machine", "nowhere.invalid"])
    assert "with its `address`" in caught.value.mend
    named = made(hosts=[{"url": "unix:///x", "address": "10.1.1.1"}, "ssh://nowhere.invalid"])
    assert named.addresses(["this machine", "nowhere.invalid"]) == ["10.1.1.1", "nowhere.invalid"]
    # Two engines of this machine.
    assert made(hosts=["unix:///x", "ssh://127.0.0.9"]).addresses(["this machine", "127.0.0.9"]) == ["127.0.0.1"] * 2


def test_each_host_has_its_own_interpreter(tmp_path: Path) -> None:
    hosts = made(
        hosts=[
            {"url": f"ssh://me@{name}", "address": address} for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))
        ]
    )
    of_host = {
        name: PreparedEnvironment("tf", 1, "key", f"/envs/of-{name}/bin/python", image=f"i-{name}") for name in "ab"
    }
    spec = RunSpec("e_1_aa", "e", "otter", "boxes", "tf", script="t.py", distribution=Distribution(TENSORFLOW, 2))
    grant = Grant(host="a", hosts=("a", "b"))
    inputs = LaunchInputs(tmp_path, tmp_path, of_host["a"], grant=grant, environments=of_host)
    plan = hosts.plan(spec, inputs)
    assert [one.argv[0] for one in plan.ranks] == ["/envs/of-a/bin/python", "/envs/of-b/bin/python"]
    parts = hosts.foretold(plan)["parts"]
    assert [parts[name]["python"] for name in "ab"] == ["/envs/of-a/bin/python", "/envs/of-b/bin/python"]


async def test_what_was_refused_is_not_begun_again_while_a_host_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = made(hosts=["ssh://a", "ssh://b"])
    done: list[str] = []
    away = True

    async def launch(parts: list[gang.Part], *_: object) -> None:
        done.append("launch")
        await refuse(parts, EngineError("b: No such image."))

    async def refuse(parts: list[gang.Part], why: BaseException) -> None:
        done.append("end")
        if away:
            raise gang.Refused(why, parts[0], EngineUnreachable("No route."))
        raise why

    monkeypatch.setattr(gang, "launch", launch)
    monkeypatch.setattr(gang, "refuse", refuse)
    handle = {"run_id": "r1", "hosts": ["a", "b"], "parts": {"a": {}, "b": {}}}
    monkeypatch.setattr(DockerHosts, "foretold", lambda self, plan: handle)
    plan = LaunchPlan("r1", "docker", "/r", (), "", "", hosts=("a", "b"))
    for _ in range(2):
        with pytest.raises(EngineUnreachable, match=r"a: No route\. \(b: No such image\.\)"):
            await hosts.launch(plan, {})
    away = False
    with pytest.raises(EngineError, match=r"^b: No such image"):
        await hosts.launch(plan, {})
    assert done == ["launch", "end", "end", "end"]
