"""What the state of a container and the records in its run folder mean together."""

from __future__ import annotations

import pytest

from jupyter_mltrain.computes.docker.seeing import Container, Seen, observation
from jupyter_mltrain.core.compute import FROM_OUTSIDE

LAUNCH = {"memory_bytes": 200_000_000}
START = {"time": 12.0, "pid": 9, "shim_pid": 7}
EXIT = {"rank": 0, "code": 0, "signal": None, "ended": 20.0, "stopped": ""}


def state(status="running", code=0, *, oom=False):
    running = status in ("running", "paused")
    finished = "2026-01-02T03:04:05.123456789Z"
    return {"Status": status, "Running": running, "ExitCode": code, "OOMKilled": oom, "FinishedAt": finished}


def seen(container, **records):
    return observation(Seen((Container("c", container),), {0: {"launch": LAUNCH, **records}}), asked=False)


def test_from_start_to_exit():
    assert seen(state())["phase"] == "starting"
    running = seen(state(), start=START, beat=(3, 1000))
    assert (running["phase"], running["started"], running["beats"]) == ("running", 12.0, {"0": 3})
    ended = seen(state("exited"), start=START, exit=EXIT)
    assert (ended["phase"], ended["exits"], ended["beats"]) == ("exited", [EXIT], {})
    # What the shim wrote down is so, also while the engine has not seen the container's end.
    assert seen(state(), start=START, exit=EXIT)["phase"] == "exited"


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (state("exited", 137), "the container ended with 137"),
        (state("exited", 255), "the engine or its machine was restarted"),
        (None, "the container is gone"),
    ],
)
def test_an_end_that_nobody_wrote_down_is_vanished_and_says_what_is_seen(container, said):
    found = seen(container, start=START)
    assert (found["phase"], found["exits"]) == ("vanished", [])
    assert found["detail"] == f"supervisor lost, exit code unknown: {said}"


def test_a_container_that_ran_out_of_memory_with_its_shim_is_no_riddle():
    found = seen(state("exited", 137, oom=True), start=START, beat=(3, 199_000_000))
    (exit_,) = found["exits"]
    assert found["phase"] == "exited"
    assert (exit_["code"], exit_["signal"], exit_["oom_kills"]) == (None, 9, 1)
    assert (exit_["limit_bytes"], exit_["peak_bytes"]) == (200_000_000, 199_000_000)
    assert exit_["ended"] == pytest.approx(1767323045.12, abs=0.1)
    # Some process of it was killed so, but the container's own end was another.
    assert seen(state("exited", 1, oom=True), start=START)["phase"] == "vanished"


def test_who_asked_for_the_end_is_told_apart():
    requested = {**EXIT, "stopped": "requested"}
    outside = seen(state("exited"), start=START, exit=requested)
    assert outside["exits"][0]["stopped"] == FROM_OUTSIDE
    assert seen(state("exited"), start=START, exit=requested, stop={"grace": 1})["exits"] == [requested]
    full_disk = Seen((Container("c", state("exited")),), {0: {"launch": LAUNCH, "start": START, "exit": requested}})
    assert observation(full_disk, asked=True)["exits"] == [requested]


def test_nothing_at_all_is_absent_and_a_bare_volume_is_not():
    assert observation(Seen((Container("c", None),), there=False), asked=False)["phase"] == "absent"
    assert observation(Seen((Container("c", None),), there=True), asked=False)["phase"] == "vanished"
