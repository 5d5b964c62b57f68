"""The table of statuses: what may follow what, and what may never change again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core.status import LIVE, TERMINAL, TRANSITIONS, Status, allowed, check_change
from jupyter_mltrain.errors import ConflictError


@given(st.sampled_from(sorted(TERMINAL)), st.sampled_from(sorted(Status)))
def test_a_terminal_status_never_changes(terminal, new):
    with pytest.raises(ConflictError):
        check_change(terminal, new)


@given(st.lists(st.sampled_from(sorted(Status)), max_size=30))
def test_no_walk_through_the_table_leaves_a_terminal_status_or_skips_to_running(wishes):
    current, seen = Status.NOT_STARTED, [Status.NOT_STARTED]
    for wish in wishes:
        if allowed(current, wish):
            current = wish
            seen.append(wish)
    terminals = [s for s in seen if s.terminal]
    assert len(terminals) <= 1
    assert not terminals or seen[-1] is terminals[0]
    if Status.RUNNING in seen:
        before = seen[: seen.index(Status.RUNNING)]
        assert [s for s in before if s in {Status.PREPARING, Status.QUEUED, Status.STARTING}][:3] == [
            Status.PREPARING,
            Status.QUEUED,
            Status.STARTING,
        ]


def test_a_cancel_can_be_asked_for_in_every_live_status_but_the_last():
    for status in LIVE - {Status.CANCEL_REQUESTED, Status.FINALIZING}:
        assert allowed(status, Status.CANCEL_REQUESTED), status


def test_completed_is_reached_through_finalizing_only():
    assert [s for s in Status if allowed(s, Status.COMPLETED)] == [Status.FINALIZING]


def test_every_live_status_can_reach_a_terminal_one():
    for start in LIVE:
        reached, front = {start}, {start}
        while front:
            front = {n for s in front for n in TRANSITIONS[s]} - reached
            reached |= front
        assert reached & TERMINAL, start


def test_a_status_compares_with_the_sdks_strings():
    assert Status.COMPLETED == "Completed"
    assert str(Status.NOT_RESPONDING) == "NotResponding"
