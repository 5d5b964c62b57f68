"""The states of ranks, from what a record says: nothing runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mltrain.core.compute import FROM_OUTSIDE, Exit, Observation, Phase
from jupyter_mltrain.core.ranks import PEER_FAILED, PEERS_DONE
from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution
from jupyter_mltrain.core.status import Change, Status
from jupyter_mltrain.service import ranks
from jupyter_mltrain.service.ranks import IN_STATE, Measured
from jupyter_mltrain.service.steps import Pace

TWO = Distribution(MPI, 1, 2)


def record(status: Status, distribution: Distribution = TWO, seen: Observation | None = None, **doc: Any) -> Any:
    history = [Change(status, 1.0, "", doc.pop("evidence", {}))]
    spec = SimpleNamespace(distribution=distribution, target="docker", nodes=distribution.nodes)
    started = 1.0 if status is Status.RUNNING else None
    live = status not in {Status.PREPARING, Status.QUEUED}
    return SimpleNamespace(
        status=status, history=history, spec=spec, seen=seen, doc=doc, row={"started": started}, placed=live
    )


def told(one: Any, measured: Measured | None = None) -> Any:
    return ranks.tell(one, measured or Measured(), None)


def statuses(one: Any) -> list[str]:
    return [rank["status"] for rank in told(one)["ranks"]]


def exits(*each: Exit) -> dict[str, Any]:
    return {"exits": [vars(one) for one in each]}


@pytest.mark.parametrize(
    ("status", "seen", "shown"),
    [
        (Status.PREPARING, None, "waiting"),
        (Status.QUEUED, None, "waiting"),
        (Status.STARTING, None, "starting"),
        (Status.STARTING, Observation(Phase.RUNNING), "running"),
        (Status.RUNNING, None, "running"),  # this service has not looked yet
        (Status.RUNNING, Observation(Phase.VANISHED), "lost"),
    ],
)
def test_a_live_rank(status: Status, seen: Observation | None, shown: str) -> None:
    assert statuses(record(status, seen=seen)) == [shown, shown]


def test_of_a_run_that_vanished_only_those_that_did_are_lost() -> None:
    seen = Observation(Phase.VANISHED, evidence={"ranks": {"1": {"pid": 4}}})
    assert statuses(record(Status.RUNNING, seen=seen)) == ["running", "lost"]


@pytest.mark.parametrize(
    ("exit_", "shown", "words"),
    [
        (Exit(1, 0, None, 5.0), "completed", "exit code 0"),
        (Exit(1, 3, None, 5.0), "failed", "exit code 3"),
        (Exit(1, None, 9, 5.0), "failed", "SIGKILL"),
        (Exit(1, None, 15, 5.0, stopped=PEERS_DONE), "ended", "ended: the others are done"),
        (Exit(1, None, 15, 5.0, stopped=PEER_FAILED), "ended", "ended: another rank failed"),
        (Exit(1, None, 15, 5.0, stopped="requested"), "ended", "requested"),
        (Exit(1, None, 9, 5.0, stopped="memory limit"), "failed", "memory limit"),
        (Exit(1, 0, None, 5.0, stopped=FROM_OUTSIDE), "failed", FROM_OUTSIDE),
        (Exit(1, None, None, 5.0, error="no such file\nmore"), "failed", "no such file"),
    ],
)
def test_a_rank_that_ended(exit_: Exit, shown: str, words: str) -> None:
    # The same while the other one lives and when all is over.
    live = record(Status.RUNNING, seen=Observation(Phase.RUNNING, (exit_,)))
    over = record(Status.FAILED, evidence=exits(Exit(0, 0, None, 6.0), exit_), handle={})
    for one, other in ((live, "running"), (over, "completed")):
        found = told(one)
        assert [rank["status"] for rank in found["ranks"]] == [other, shown]
        assert found["ranks"][1]["exit"] == words
        assert found["failed"] == (1 if shown == "failed" else None)


def test_the_runs_failure_says_who_failed_first() -> None:
    ended = exits(Exit(0, None, 6, 5.0), Exit(1, None, 15, 6.0, stopped=PEER_FAILED))
    one = record(Status.FAILED, evidence=ended, failure={"rank": 1}, handle={})
    assert (told(one)["failed"], statuses(one)) == (1, ["failed", "failed"])


def test_what_never_began_has_not_failed() -> None:
    one = record(Status.CANCELED)
    assert [(rank["status"], rank["exit"]) for rank in told(one)["ranks"]] == [("ended", "never started")] * 2


def test_an_end_before_the_run_began_again_is_not_of_this_life() -> None:
    one = record(Status.RUNNING)
    one.history = [
        Change(Status.QUEUED, 1.0, "preempted", exits(Exit(0, 1, None, 1.0), Exit(1, 1, None, 1.0))),
        Change(Status.RUNNING, 2.0, "", {}),
    ]
    assert statuses(one) == ["running", "running"]


def test_hosts_and_gpus_are_those_of_the_node() -> None:
    grant = {"gpus": [0, 1, 0, 1], "host": "big", "hosts": ["big", "small"]}
    served = Distribution(TENSORFLOW, 2, parameter_servers=1)
    found = told(record(Status.RUNNING, served, grant=grant))["ranks"]
    assert [(one["host"], one["gpus"]) for one in found] == [("big", ["0", "1"]), ("small", ["0", "1"]), ("big", [])]
    found = told(record(Status.RUNNING, grant={"gpus": [3], "host": ""}))["ranks"]
    assert [(one["host"], one["gpus"]) for one in found] == [("docker", ["3"])] * 2


@pytest.mark.parametrize(("rates", "whole"), [([100.0, 90.0], 190.0), ([100.0, None], None), ([None, None], None)])
def test_the_whole_is_known_when_all_count(rates: list[float | None], whole: float | None) -> None:
    paces = {rank: Pace(1, None, rate) for rank, rate in enumerate(rates)}
    assert told(record(Status.RUNNING), Measured(paces=paces))["examples"] == whole


def test_a_state_holds_few_of_many_ranks() -> None:
    many = Distribution(MPI, 4, 64)
    seen = Observation(Phase.RUNNING, (Exit(200, 1, None, 1.0),))
    found = told(record(Status.RUNNING, many, seen=seen), Measured(paces={150: Pace(1, 60.0)}))["ranks"]
    few = [one["rank"] for one in ranks.few(found)]
    assert len(found) == 256
    assert few == [*range(IN_STATE - 2), 150, 200]
