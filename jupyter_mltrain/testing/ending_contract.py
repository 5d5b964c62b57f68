"""The part of the suite that every engine has to pass (`compute_contract`) which is about ends: of itself, asked for, lost."""

from __future__ import annotations

import signal
from typing import Any

from jupyter_mltrain.core.compute import Handle, Phase
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records
from jupyter_mltrain.testing.bench import PATIENCE, Bench, gone, kill, living

LONG = "print('up'); import time; time.sleep(600)"
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setsid(); print('away', os.getpid()); time.sleep(600)"
middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
subprocess.run([sys.executable, "-c", middle, code], check=True)
print("up")
time.sleep(600)
"""


class EndingContract:
    """How runs end."""

    def here(self, handle: Handle, pid: int) -> int:  # noqa: ARG002 - for those who override it
        """The number that this machine has for a process of the run."""
        return pid

    def starts(self, handle: Handle) -> dict[str, Any]:
        """The start record of the run's first rank, its processes by this machine's numbers."""
        found = records.read(records.Rank(handle["root"], 0).start)
        assert found is not None
        return found

    # -- how it ended

    async def test_exit_code_and_signal_are_told_apart(self, bench: Bench) -> None:
        code = await bench.exit(await bench.run("import sys; sys.exit(3)"))
        assert (code.code, code.signal, code.stopped, code.oom_kills) == (3, None, "", 0)
        dead = await bench.exit(await bench.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
        assert (dead.code, dead.signal, dead.stopped, dead.oom_kills) == (None, signal.SIGSEGV, "", 0)

    async def test_a_program_that_is_not_there_is_an_error_of_the_run(self, bench: Bench) -> None:
        ended = await bench.exit(await bench.run("", command=("no-such-program-anywhere",)))
        assert (ended.code, ended.signal) == (None, None)
        assert "no-such-program-anywhere" in ended.error

    async def test_a_command_finds_the_environments_programs(self, bench: Bench) -> None:
        handle = await bench.run("print('from python')", command=("python", "train.py"))
        assert await bench.log(handle) == "from python\n"

    async def test_memory_limit(self, bench: Bench) -> None:
        code = "import time\nprint('up')\nkept = bytearray(600_000_000)\nkept[::4096] = b'x' * len(kept[::4096])\ntime.sleep(60)"
        ended = await bench.exit(await bench.run(code, resources=Resources(memory_gb=0.2)))
        assert ended.signal == signal.SIGKILL
        assert ended.oom_kills > 0 or ended.stopped == "memory limit"
        assert ended.limit_bytes == 200_000_000
        assert ended.peak_bytes > 100_000_000

    async def test_time_limit(self, bench: Bench) -> None:
        code = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(0))\ntime.sleep(60)"
        ended = await bench.exit(await bench.run(code, resources=Resources(max_run_seconds=1)))
        assert ended.stopped == "time limit"

    async def test_processes_left_behind_are_ended_and_named(self, bench: Bench) -> None:
        code = (
            "import subprocess, sys\n"
            "subprocess.Popen([sys.executable, '-c', 'import os, time; os.setsid(); time.sleep(600)'])\n"
            "print('done')"
        )
        handle = await bench.run(code)
        ended = await bench.exit(handle)
        assert (ended.code, ended.stopped) == (0, "")
        assert len(ended.leftovers) == 1
        assert "python" in ended.leftovers[0]
        assert not living(handle["run_id"])

    # -- stop

    async def test_stop_lets_the_script_save(self, bench: Bench) -> None:
        code = (
            "import signal, sys, time\n"
            "def save(*_):\n    open('outputs/checkpoint', 'w').write('saved'); print('saved'); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, save)\nprint('up')\ntime.sleep(600)"
        )
        handle = await bench.run(code)
        await bench.said(handle, b"up")
        evidence = await bench.compute.stop(handle, PATIENCE)
        assert evidence.signals == ("SIGTERM",)
        assert len(evidence.ended) == 1
        assert evidence.remaining == ()
        assert evidence.seconds < PATIENCE / 2, "it waited for what had ended"
        ended = await bench.exit(handle)
        assert (ended.code, ended.stopped) == (0, "requested")
        into = bench.record(handle["run_id"])
        await bench.compute.collect(handle, into)
        assert (into / "outputs" / "checkpoint").read_text() == "saved"

    async def test_stop_ends_what_ignores_term_and_left_the_group(self, bench: Bench) -> None:
        handle = await bench.run(STUBBORN)
        await bench.said(handle, b"up")
        await bench.said(handle, b"away")
        assert len(living(handle["run_id"])) == 2
        evidence = await bench.compute.stop(handle, 0.5)
        assert evidence.signals == ("SIGTERM", "SIGKILL")
        assert len(evidence.ended) == 2
        assert evidence.remaining == ()
        assert not living(handle["run_id"])
        ended = await bench.exit(handle)
        assert (ended.signal, ended.stopped) == (signal.SIGKILL, "requested")

    async def test_stop_ends_a_process_that_cleared_its_environment(self, bench: Bench) -> None:
        code = (
            "import os, subprocess, sys, time\n"
            "away = 'import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(600)'\n"
            "middle = 'import subprocess, sys; subprocess.Popen([sys.executable, \"-c\", sys.argv[1]], env={})'\n"
            "subprocess.run([sys.executable, '-c', middle, away], check=True)\ntime.sleep(600)"
        )
        handle = await bench.run(code)
        await bench.said(handle, b"\n")
        pid = self.here(handle, int((await bench.beginning(handle)).split()[0]))
        assert not gone(pid)
        await bench.compute.stop(handle, 5)
        assert gone(pid)

    async def test_stop_ends_a_suspended_process(self, bench: Bench) -> None:
        handle = await bench.run("import os, signal; print('up'); os.kill(os.getpid(), signal.SIGSTOP)")
        await bench.said(handle, b"up")
        await bench.compute.stop(handle, PATIENCE)
        assert (await bench.exit(handle)).signal == signal.SIGTERM

    async def test_stop_is_idempotent_and_an_exit_stays_what_it_was(self, bench: Bench) -> None:
        handle = await bench.run("import sys; sys.exit(4)")
        await bench.exit(handle)
        for _ in range(2):
            assert (await bench.compute.stop(handle, 1)).remaining == ()
        ended = await bench.exit(handle)
        assert (ended.code, ended.stopped) == (4, "")

    # -- bad days

    async def test_a_vanished_run_is_an_observation(self, bench: Bench) -> None:
        handle = await bench.run(LONG)
        await bench.said(handle, b"up")
        start = self.starts(handle)
        kill(start["shim_pid"], signal.SIGKILL)
        kill(start["pid"], signal.SIGKILL)
        seen = await bench.until(handle, Phase.VANISHED)
        assert "supervisor lost" in seen.detail
        assert await bench.log(handle) == "up\n"

    async def test_a_run_without_its_shim_goes_on_and_can_be_ended(self, bench: Bench) -> None:
        handle = await bench.run(STUBBORN)
        await bench.said(handle, b"away")
        start = self.starts(handle)
        kill(start["shim_pid"], signal.SIGKILL)
        seen = await bench.until(handle, Phase.VANISHED)
        assert seen.evidence["ranks"]["0"]["alive"]
        assert not gone(start["pid"])
        evidence = await bench.compute.stop(handle, 0.2)
        assert evidence.signals == ("SIGTERM", "SIGKILL")
        assert len(evidence.ended) == 2
        assert not living(handle["run_id"])
