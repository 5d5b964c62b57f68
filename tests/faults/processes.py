"""Processes that do not behave, and records that name the wrong ones."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_mltrain.errors import ConflictError
from tests.faults.case import case
from tests.faults.world import Submitted, World, alive, eventually, kill, steady

_GRANDCHILD = """
code = '''
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(fd, b"grandchild %d\\\\n" % os.getpid())
while True:
    time.sleep(60)
'''
environment = {{}} if {bare} else None
subprocess.run([sys.executable, "-S", "-c", code, os.environ["FAULT_TOLD"]], env=environment, check=True)
"""


@case()
def grandchild_that_ignores_term_in_a_session_of_its_own(world: World) -> None:
    """It is orphaned too, and in half of the rounds does not carry the run's id."""
    run = world.submit(_GRANDCHILD.format(bare=world.random.random() < 0.5) + steady(10_000))
    world.wait_running(run)
    grandchild = eventually(lambda: _grandchild(run), "the grandchild did not start")
    assert alive(grandchild)
    world.cancel(run, grace=0.2)
    state = world.check(run)
    assert state["status"] == "Canceled"
    assert not alive(grandchild)
    evidence = next(c["evidence"] for c in state["history"] if c["status"] == "Finalizing")
    assert any(name.startswith(f"{grandchild} ") for name in evidence["stop"]["ended"]), "the evidence does not name it"


@case()
def cancel_races_the_end(world: World) -> None:
    """Whoever is first, all say the same: several cancels at once arrive while the script comes to its end."""
    run = world.submit(steady(20, 0.005))
    world.wait_running(run, world.random.randrange(10, 20))
    time.sleep(world.random.uniform(0, 0.08))

    def ask(_: int) -> str:
        try:
            world.connection.post(f"/v1/runs/{run.id}/cancel", {"grace": 1.0})
        except ConflictError as error:
            return error.message
        return ""

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(ask, range(3)))
    # Asking again is harmless; coming too late is told as that.
    assert all(not message or " already" in message for message in said), said
    world.check(run)


@case()
def number_of_a_process_was_given_to_another(world: World) -> None:
    """All of a run dies unseen, and its records then name a living process that is somebody else's."""
    run = world.submit(steady(10_000))
    world.wait_running(run)
    asked = world.random.random() < 0.5
    _kill_all(world, run)
    foreigner = world.foreigner()
    _forge(world, run, pid=foreigner.pid, shim_pid=foreigner.pid)
    if asked:
        world.cancel(run, grace=0.2)
    state = world.check(run)
    assert state["status"] in ({"Failed", "Canceled"} if asked else {"Failed"})
    assert alive(foreigner.pid), "a process of somebody else was killed"
    named = json.dumps(state["history"])
    assert f'"{foreigner.pid} ' not in named, "a process of somebody else was taken for the run's"
    foreigner.kill()
    foreigner.wait()


@case()
def machine_restarted(world: World) -> None:
    """What a reboot leaves: no process of the run, and records of another boot whose numbers others have now."""
    run = world.submit(steady(10_000))
    world.wait_running(run)
    _kill_all(world, run)
    foreigner = world.foreigner()
    ticks = int(Path(f"/proc/{foreigner.pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    # Even the start time may be the same by chance: it counts from the boot.
    _forge(
        world, run, boot_id="00000000-0000-4000-8000-000000000000",
        pid=foreigner.pid, shim_pid=foreigner.pid, start_ticks=ticks, shim_start_ticks=ticks,
    )  # fmt: skip
    state = world.check(run)
    assert state["status"] == "Failed"
    assert state["failure"]["title"] == "The machine was restarted."
    assert alive(foreigner.pid)
    foreigner.kill()
    foreigner.wait()


def _grandchild(run: Submitted) -> int | None:
    return next((int(line.split()[1]) for line in run.lines() if line.startswith("grandchild ")), None)


def _kill_all(world: World, run: Submitted) -> None:
    start = world.shim(run)
    assert start is not None
    world.kill_service()
    kill(start["shim_pid"])
    kill(start["pid"])


def _forge(world: World, run: Submitted, **changes: object) -> None:
    path = world.folder(run) / "shim" / "r0.start.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
