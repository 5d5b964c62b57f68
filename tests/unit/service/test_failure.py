from __future__ import annotations

import signal

from jupyter_mltrain.core.compute import Exit
from jupyter_mltrain.core.ranks import NOT_JOINED, PEER_FAILED, PEERS_DONE, PORT_TAKEN
from jupyter_mltrain.service.failure import explain, explain_first, failed_ranks, last_traceback

TRACE = b"""epoch 1
Traceback (most recent call last):
  File "old.py", line 1, in <module>
ValueError: the first, which was caught
more output
\x1b[31mTraceback (most recent call last):\x1b[0m
  File "cell.py", line 3, in <module>
    model.fit(x)
  File "keras.py", line 9, in fit
    raise
tensorflow.errors.InvalidArgumentError: shapes [1] and [2]
\tnote of it
"""


def made(**given):
    return Exit(**{"rank": 0, "code": None, "signal": None, "ended": 1.0, **given})


def test_the_last_traceback_leads_without_colours(tmp_path):
    (tmp_path / "log").write_bytes(b"\x00\xff" * 300_000 + TRACE)
    failure = explain(made(code=1), tmp_path / "log")
    assert failure.title == "tensorflow.errors.InvalidArgumentError: shapes [1] and [2]"
    assert failure.traceback is not None
    assert failure.traceback.startswith("Traceback")
    assert "the first" not in failure.traceback
    assert "exit code 1" in failure.evidence


def test_exit_code_without_a_traceback(tmp_path):
    (tmp_path / "log").write_bytes(b"bye\n")
    assert explain(made(code=3), tmp_path / "log").title == "The script ended with exit code 3."
    assert last_traceback(tmp_path / "missing") is None


def test_out_of_memory_is_told_from_counters_and_only_then(tmp_path):
    sure = explain(
        made(signal=9, oom_kills=1, peak_bytes=4_000_000_000, limit_bytes=4_000_000_000), tmp_path / "log", ranks=2
    )
    assert sure.title == "Out of memory on rank 0: the process used 4.0 GB of its 4.0 GB limit and was killed."
    assert "oom_kill counter rose by 1" in sure.evidence
    watched = explain(made(signal=9, stopped="memory limit", peak_bytes=50_000_000), tmp_path / "log")
    assert watched.title == "Out of memory: the process used 50 MB and was killed."
    assert "probably" in explain(made(signal=9), tmp_path / "log").title
    assert "probably" not in explain(made(signal=11), tmp_path / "log").title
    assert "SIGSEGV" in explain(made(signal=signal.SIGSEGV), tmp_path / "log").title


def test_time_limit_and_a_process_that_never_started(tmp_path):
    assert explain(made(signal=15, stopped="time limit"), tmp_path / "log").title == "The time limit was reached."
    assert "no such interpreter" in explain(made(error="no such interpreter"), tmp_path / "log").title


def test_the_first_to_fail_is_the_cause(tmp_path):
    exits = (made(rank=0, signal=15, ended=5.0), made(rank=1, code=1, ended=2.0), made(rank=2, code=0, ended=1.0))
    found = explain_first(exits, tmp_path)
    assert found is not None
    assert (found.rank, found.title) == (1, "The script ended with exit code 1 on rank 1.")
    assert explain_first((made(code=0),), tmp_path) is None


def test_who_lost_touch_with_the_cause_is_not_it(tmp_path):
    (tmp_path / "r0.log").write_bytes(
        TRACE.replace(b"InvalidArgumentError: shapes [1] and [2]", b"UnavailableError: Socket closed")
    )
    (tmp_path / "r1.log").write_bytes(TRACE)
    exits = (
        made(rank=0, code=1, ended=1.0),
        made(rank=1, code=1, ended=2.0),
        made(rank=2, signal=15, ended=0.5, stopped=PEER_FAILED),
        made(rank=3, signal=6, ended=0.7),
    )
    found = explain_first(exits, tmp_path)
    assert found is not None
    assert found.title == "tensorflow.errors.InvalidArgumentError: shapes [1] and [2] on rank 1"
    assert found.evidence[-1] == "ended for it: rank 2"


def test_who_was_slow_to_end_is_the_cause_all_the_same(tmp_path):
    lost = TRACE.replace(b"InvalidArgumentError: shapes [1] and [2]", b"HorovodInternalError: another has shut down")
    (tmp_path / "r0.log").write_bytes(lost)
    (tmp_path / "r1.log").write_bytes(TRACE)
    exits = (
        made(rank=0, code=1, ended=1.0),
        made(rank=1, signal=15, ended=2.0, stopped=PEER_FAILED),
        made(rank=2, signal=15, ended=1.5, stopped=PEER_FAILED),
    )
    found = explain_first(exits, tmp_path)
    assert found is not None
    assert found.title == "tensorflow.errors.InvalidArgumentError: shapes [1] and [2] on rank 1"


def test_who_is_ended_because_the_others_are_done_ended_well():
    assert failed_ranks((made(rank=0, code=0), made(rank=1, signal=15, stopped=PEERS_DONE))) == []


def test_a_container_that_somebody_stopped_did_not_complete(tmp_path):
    stopped = made(code=0, stopped="from outside")
    assert failed_ranks((stopped,)) == [stopped]
    failure = explain(stopped, tmp_path / "log")
    assert failure.title == "The container was stopped from outside."
    assert "rerun" in failure.mend


def test_who_did_not_join_is_the_cause_and_not_who_waited(tmp_path):
    exits = (
        made(rank=0, signal=15, ended=3.0, stopped=NOT_JOINED, error="Rank 1 (worker 1) did not join.\nWait.", cause=1),
        made(rank=1, signal=15, ended=2.0, stopped=PEER_FAILED),
    )
    found = explain_first(exits, tmp_path)
    assert found is not None
    assert (found.title, found.mend, found.rank) == ("Rank 1 (worker 1) did not join.", "Wait.", 1)
    taken = explain(made(rank=1, error="Port 1 is taken.\nRerun it.", stopped=PORT_TAKEN), tmp_path / "log", ranks=2)
    assert (taken.title, taken.mend, taken.rank) == ("Port 1 is taken.", "Rerun it.", 1)


def test_who_never_came_to_horovod_is_the_cause_of_who_waited_in_vain(tmp_path):
    (tmp_path / "r1.log").write_bytes(
        TRACE.replace(b"InvalidArgumentError: shapes [1] and [2]", b"HTTP request failed.")
    )
    exits = (made(rank=0, code=0, note="never called hvd.init(), and trained alone"), made(rank=1, code=1, ended=2.0))
    found = explain_first(exits, tmp_path)
    assert found is not None
    assert (found.rank, found.title) == (0, "Rank 0 ended without calling hvd.init(), for which rank 1 waited.")


def test_ranks_that_disagree_are_told_in_one_line(tmp_path):
    said = b"Mismatched ALLREDUCE tensor shapes: One rank sent a tensor of shape [2], but another rank sent a tensor of shape [3]."
    for rank in (0, 1):
        (tmp_path / f"r{rank}.log").write_bytes(TRACE.replace(b"shapes [1] and [2]", said))
    found = explain_first((made(rank=0, code=1), made(rank=1, code=1, ended=2.0)), tmp_path)
    assert found is not None
    assert found.title.startswith(
        "Ranks 0 and 1 disagree on the shape of a tensor (allreduce), told by rank 0: one has [2]"
    )
    assert found.mend
    assert found.traceback is not None


def test_an_earlier_attempt_explains_nothing(tmp_path):
    lost = b'Traceback (most recent call last):\n  File "cell.py", line 1\nHorovodInternalError: allreduce failed\n'
    begins: dict[str, int] = {}
    for rank in range(2):
        (tmp_path / f"r{rank}.log").write_bytes(lost)
        begins[f"r{rank}.log"] = len(lost)
    with (tmp_path / "r1.log").open("ab") as log:
        log.write(b'Traceback (most recent call last):\n  File "cell.py", line 2\nValueError: of this attempt\n')
    own = explain_first((made(rank=0, code=3), made(rank=1, code=0)), tmp_path, begins)
    assert own is not None
    assert (own.title, own.traceback) == ("The script ended with exit code 3 on rank 0.", None)
    cause = explain_first(
        (made(rank=0, signal=15, ended=2.0, stopped=PEER_FAILED), made(rank=1, code=1, ended=3.0)), tmp_path, begins
    )
    assert cause is not None
    assert (cause.rank, cause.title) == (1, "ValueError: of this attempt on rank 1")
