"""Ranks that find each other, or do not, as their shims see it; and what one shim does for the rank of another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.core import ranks as core
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import joining, peers, processes, records, sockets

RUN = "e_1_joining"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "shim").mkdir()
    return str(tmp_path)


def launch(seconds: float = 0.0, count: int = 3, **more: Any) -> dict[str, Any]:
    awaited = [{"rank": n, "role": f"worker {n}", "node": n, "address": f"nowhere.invalid:{n}"} for n in range(count)]
    return {"rank": 0, "run_id": RUN, "ranks": count, "joining": {"seconds": seconds, "ranks": awaited}, **more}


def come(folder: str, *numbers: int) -> None:
    for number in numbers:
        Path(joining.joined(records.Rank(folder, number))).touch()


def there(folder: str, number: int, **exit_: Any) -> None:
    """The records of a rank on this machine; with its end, if one is given."""
    rank = records.Rank(folder, number)
    records.write(rank.launch, {"rank": number})
    records.write(rank.start, {"pid": 1, "start_ticks": 0})
    if exit_:
        records.write(rank.exit, exit_)


def told(asked: joining.Joining) -> str:
    asked.watch()
    assert records.wait_for(lambda: asked.verdict or asked.over, 60)
    return asked.verdict


def test_the_words_of_both_sides_are_the_same() -> None:
    assert (joining.NOT_JOINED, joining.PORT_TAKEN) == (core.NOT_JOINED, core.PORT_TAKEN)
    assert (peers.FAILED, peers.DONE) == (core.PEER_FAILED, core.PEERS_DONE)


def test_who_is_missing_is_named_with_what_is_known_of_it(folder: str) -> None:
    for number in (0, 1):
        there(folder, number)
    come(folder, 0, 2)
    asked = joining.Joining(launch(), records.Rank(folder, 0))
    assert told(asked).splitlines()[0] == (
        "Rank 1 (worker 1, node 1) did not join the others within 0 s: its process runs, and nothing listens at nowhere.invalid:1."
    )
    assert "--join-timeout" in asked.verdict
    assert asked.cause == 1


def test_several_are_missing(folder: str) -> None:
    come(folder, 1)
    asked = joining.Joining(launch(count=4), records.Rank(folder, 0))
    assert told(asked).startswith("Rank 0 (worker 0, node 0) and ranks 2 and 3 did not join")


def test_nothing_is_counted_before_the_first_has_come_and_nothing_said_once_all_have(folder: str) -> None:
    asked = joining.Joining(launch(), records.Rank(folder, 0))
    asked.watch()
    time.sleep(1.5)  # a look or two
    assert not asked.verdict
    come(folder, 0, 1, 2)
    assert told(asked) == ""
    assert joining.Joining({"rank": 0}, records.Rank(folder, 0)).over, "one process waits for nobody"


def test_who_ended_without_horovod_keeps_nobody_waiting(folder: str) -> None:
    there(folder, 1, code=0)
    come(folder, 0, 2)
    asked = joining.Joining(launch(seconds=10_000, rendezvous={}), records.Rank(folder, 0))
    assert told(asked).startswith(
        "Rank 1 (worker 1, node 1) ended without calling hvd.init(), for which the others wait."
    )


def test_a_rendezvous_that_is_gone_matters_to_who_has_not_come(folder: str) -> None:
    asked = joining.Joining(launch(seconds=10_000, rendezvous={}), records.Rank(folder, 0))
    asked.server_ended()
    assert asked.verdict.startswith("Horovod's rendezvous was ended before rank 0")
    come(folder, 0, 1, 2)
    late = joining.Joining(launch(seconds=10_000, rendezvous={}), records.Rank(folder, 0))
    late.server_ended()
    assert (late.verdict, late.over) == ("", True)


def test_a_rank_elsewhere_has_come_where_it_answers(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked = launch(seconds=10_000, count=2)
        asked["joining"]["ranks"][1]["address"] = f"127.0.0.1:{server.getsockname()[1]}"
        come(folder, 0)
        assert told(joining.Joining(asked, records.Rank(folder, 0))) == ""


def test_a_rank_has_come_once_it_listens_or_reached_another(folder: str) -> None:
    other = socket.create_server(("127.0.0.1", 0))
    there_ = other.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as mine:
        here = mine.getsockname()[1]
        assert sockets.came([os.getpid()], here, [])
        assert not sockets.came([1 << 22], here, []), "somebody else listens there"
    assert not sockets.came([os.getpid()], here, [there_])
    with other, socket.create_connection(("127.0.0.1", there_)):
        arrival = joining.Arrival({"listens": here, "others": [here, there_]}, records.Rank(folder, 1))
        arrival.look([os.getpid()])
    assert Path(joining.joined(records.Rank(folder, 1))).exists()


def test_a_port_that_is_taken_is_told_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line, mend = joining.refusal({"rank": 1, "listens": port}, seconds=0).splitlines()
        assert line.startswith(f"Port {port}, where rank 1 is to listen, is taken by process {os.getpid()} ")
        assert "Rerun" in mend
    assert joining.refusal({"rank": 1, "listens": port}) == ""
    assert joining.refusal({"rank": 1}) == ""


def test_an_evaluator_has_a_while_once_the_others_are_done(folder: str) -> None:
    there(folder, 0, code=0)
    asked = {"run_id": RUN, "ranks": 2, "lead": [0]}
    assert peers.Peers(asked, records.Rank(folder, 1)).verdict() == peers.DONE
    patient = peers.Peers({**asked, "lingers": 0.2}, records.Rank(folder, 1))
    assert patient.verdict() == ""
    assert records.wait_for(lambda: patient.verdict() == peers.DONE, 60)


def test_what_is_left_of_a_rank_whose_shim_is_gone_is_ended(folder: str) -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(600)"

    def process(rank: int) -> subprocess.Popen[bytes]:
        env = {**os.environ, "MLTRAIN_RUN_ID": RUN, "MLTRAIN_RANK": str(rank)}
        one = subprocess.Popen([sys.executable, "-S", "-c", code], env=env, stdout=subprocess.PIPE)
        assert one.stdout is not None
        assert one.stdout.readline()
        return one

    with process(0) as own, process(1) as orphan:
        main = processes.find(orphan.pid)
        assert main is not None
        rank = records.Rank(folder, 1)
        Path(rank.start).write_text(json.dumps({"pid": main.pid, "start_ticks": main.ticks}))
        watching = peers.Peers({"run_id": RUN, "ranks": 2, "lead": [0, 1]}, records.Rank(folder, 0))
        assert watching.verdict() == peers.FAILED
        assert orphan.poll() is None, "it may save what it has"
        watching.end_orphans()
        assert orphan.wait(60) == -9
        assert own.poll() is None
        own.kill()
