"""Where a model is called: in the event loop while that is quicker than a thread, never when it would hold up others."""

from __future__ import annotations

from jupyter_mltrain.deployments.injected.mltrain_endpoint.app import INLINE_SECONDS, Pace

SMALL, LARGE = b"x" * 100, b"x" * 1_000_000
QUICK, SLOW, VERY_SLOW = INLINE_SECONDS / 5, INLINE_SECONDS * 5, 1.0


def ask(pace: Pace, body: bytes, took: float, times: int) -> int:
    """How many of so many calls that take that long hold the loop."""
    held = 0
    for _ in range(times):
        in_loop = pace.fast(body)
        pace.note(body, took, in_loop)
        held += in_loop
    return held


def test_a_quick_model_is_called_in_the_loop_from_the_first_request_on() -> None:
    assert ask(Pace(QUICK), SMALL, QUICK, 100) == 100


def test_what_is_not_known_to_be_quick_begins_in_a_thread() -> None:
    assert not Pace(1.0).fast(SMALL)
    assert not Pace(QUICK).fast(LARGE)
    assert ask(Pace(1.0), SMALL, QUICK, 100) == 99


def test_a_slow_model_holds_the_loop_for_a_trial_now_and_then_and_a_very_slow_one_never() -> None:
    assert ask(Pace(SLOW), SMALL, SLOW, 320) <= 11
    assert ask(Pace(VERY_SLOW), SMALL, VERY_SLOW, 320) == 0


def test_waits_for_each_other_in_threads_do_not_keep_a_quick_model_there() -> None:
    pace = Pace(1.0)
    for _ in range(50):
        pace.note(SMALL, 0.02, in_loop=False)
    assert ask(pace, SMALL, QUICK, 10) == 10


def test_one_slow_call_among_quick_ones_changes_nothing_and_many_do() -> None:
    pace = Pace(QUICK)
    ask(pace, SMALL, QUICK, 10)
    ask(pace, SMALL, SLOW, 1)
    assert pace.fast(SMALL)
    ask(pace, SMALL, VERY_SLOW, 20)
    assert not pace.fast(SMALL)
