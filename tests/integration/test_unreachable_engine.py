"""An engine that cannot be reached at the worst moment of a run: nothing is said that nobody knows, nothing is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.errors import ConflictError
from tests.faults.world import World, eventually, kill, steady

ENGINE = '''
from pathlib import Path

from jupyter_mltrain.computes.docker.rewinding import Rewinds
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.testing.fake_remote import FakeRemoteCompute


class Cut(Rewinds, FakeRemoteCompute):
    """Loses the answer to a verb as long as a file of that name is there; the verb itself was carried out, but for `rewind`,
    which comes to no end."""

    name = "cut"

    def __init__(self, *, root):
        super().__init__(root=root)
        self._cut = Path(root)

    async def _lost(self, verb, work):
        done = await work
        if (self._cut / verb).exists():
            (self._cut / (verb + "-lost")).touch()
            raise EngineUnreachable("The network is cut.")
        return done

    async def launch(self, plan, secrets):
        return await self._lost("launch", super().launch(plan, secrets))

    async def observe(self, handle):
        return await self._lost("observe", super().observe(handle))

    async def rewind(self, handle, into, note):
        await self._lost("rewind", self.observe(handle))
        await super().rewind(handle, into, note)

    async def stop(self, handle, grace):
        return await self._lost("stop", super().stop(handle, grace))

    async def remove(self, handle):
        return await self._lost("remove", super().remove(handle))
'''


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_folders: None) -> Path:
    """The engine's root, which it is installed for; a file `launch` (`observe`, `rewind`, `stop`, `remove`) in it cuts the network there."""
    site = tmp_path / "site"
    info = site / "mltrain_cut-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mltrain-cut\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[jupyter_mltrain.computes]\ncut = mltrain_cut:Cut\n")
    (site / "mltrain_cut.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(site))
    root = tmp_path / "there"
    root.mkdir()
    return root


@pytest.fixture
def far(tmp_path: Path, there: Path) -> Iterator[World]:
    with World(tmp_path / "w") as world:
        asked: dict[str, Any] = {"name": "far", "engine": "cut", "settings": {"root": str(there)}}
        world.connection.post("/v1/attached-targets", asked)
        yield world
        for verb in ("launch", "observe", "rewind", "stop", "remove"):
            (there / verb).unlink(missing_ok=True)


def cut(there: Path, verb: str) -> None:
    (there / verb).touch()


def mend(there: Path, verb: str) -> None:
    """Once an answer was lost."""
    eventually((there / f"{verb}-lost").exists, f"{verb} was not called")
    (there / verb).unlink()


def test_a_launch_whose_answer_is_lost_is_one_run(far: World, there: Path) -> None:
    cut(there, "launch")
    run = far.submit(steady(10), target="far")
    far.wait(run, lambda state: state["status"] == "NotResponding")
    mend(there, "launch")
    state = far.wait(run)
    assert state["status"] == "Completed"
    assert len(run.starts) == 1
    assert "NotResponding" in [change["status"] for change in state["history"]]


def test_a_cancel_of_a_run_that_may_have_begun_ends_it(far: World, there: Path) -> None:
    cut(there, "launch")
    run = far.submit(steady(10_000), target="far")
    far.wait(run, lambda state: state["status"] == "NotResponding")
    assert far.cancel(run)
    assert far.state(run)["status"] == "CancelRequested"
    mend(there, "launch")
    assert far.wait(run)["status"] == "Canceled"
    assert not far.processes_of(run)


def test_what_is_left_of_a_lost_run_is_ended_once_it_can_be(far: World, there: Path) -> None:
    run = far.submit(steady(10_000), target="far")
    far.wait_running(run)
    cut(there, "stop")
    [shim] = [pid for pid, command in far.processes_of(run) if "launch.json" in command and os.getsid(pid) == pid]
    kill(shim)
    mend(there, "stop")
    state = far.wait(run)
    assert state["status"] == "Failed"
    assert state["failure"]["title"] == "Supervisor lost, exit code unknown."
    assert not far.processes_of(run)


def test_a_run_that_waits_for_its_host_to_begin_again_can_be_given_up(far: World, there: Path) -> None:
    run = far.submit(steady(10_000), target="far", retries=1)
    far.wait_running(run)
    cut(there, "rewind")
    [shim] = [pid for pid, command in far.processes_of(run) if "launch.json" in command and os.getsid(pid) == pid]
    kill(shim)
    eventually((there / "rewind-lost").exists, "the run does not begin again")

    def give_up() -> dict[str, Any]:
        return far.connection.post(f"/v1/runs/{run.id}/cancel", {"give_up": True}, timeout=60)

    with pytest.raises(ConflictError, match="answers: it need not be given up"):
        give_up()
    cut(there, "observe")
    state = give_up()
    assert state["status"] == "Failed"
    assert "it had ended, and was to begin again; what it made was not fetched" in state["failure"]["evidence"]
    assert state["history"][-1]["evidence"]["given_up"]["may_still_run"] is False
    for verb in ("observe", "rewind"):
        mend(there, verb)
    eventually(
        lambda: far.state(run)["notices"][-1].endswith("what it had made was fetched"),
        "nobody looks after it: {}",
        lambda: far.state(run)["notices"],
    )
    assert far.state(run)["status"] == "Failed"


def test_a_run_is_over_when_nothing_is_left_of_it(far: World, there: Path) -> None:
    cut(there, "remove")
    run = far.submit(steady(10), target="far")
    state = far.wait(run, lambda state: state["notices"])
    assert state["status"] == "Finalizing"
    assert "waits to remove" in state["notices"][0]
    mend(there, "remove")
    assert far.wait(run)["status"] == "Completed"
    assert not (there / "runs" / run.id).exists()
