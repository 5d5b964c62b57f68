"""Repeat a fault: `python tests/faults/repeat.py CASE N [SEED]`; CASE may be `all`. Says how often it failed, and why.

A case runs in a process of its own, so that all that it needs of the environment (folders, a small disk) is its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [] if str(Path(__file__).parents[2]) in sys.path else [str(Path(__file__).parents[2])]

from tests.faults.catalog import CASES  # noqa: E402 - found by the line above when this runs as a script
from tests.faults.world import REPOSITORY, World  # noqa: E402

_FAILED = "-- a round failed --"


def repeat(name: str, rounds: int, *, seed: int | None = None, say: Callable[[str], object] = print) -> list[str]:
    """Run `rounds` rounds of a case in a process of its own. Returns what the failed ones said."""
    case = CASES[name]
    with tempfile.TemporaryDirectory(prefix="mltrain-faults-", ignore_cleanup_errors=True) as base:
        command = [sys.executable, __file__, "--inside", name, str(rounds), base, str(seed if seed is not None else "")]
        environment = {
            **os.environ,
            "JUPYTER_MLTRAIN_STATE": f"{base}/state",
            "JUPYTER_MLTRAIN_CACHE": f"{base}/cache",
            "JUPYTER_MLTRAIN_IDLE_SECONDS": "60",
        }
        done = subprocess.run(
            [*(own_mounts() if case.tmpfs_mb is not None else []), *command],
            cwd=REPOSITORY,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
        )
    say(done.stdout.partition(_FAILED)[0].strip())
    failed = [part.strip() for part in done.stdout.split(_FAILED)[1:]]
    if done.returncode not in {0, 1} or (done.returncode == 1 and not failed):
        failed.append(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return failed


def own_mounts() -> list[str]:
    """What to put before a command so that disks it mounts are its own; without root it takes a user namespace as well."""
    for options in (["--mount"], ["--mount", "--user", "--map-root-user"]):
        if subprocess.run(["unshare", *options, "true"], capture_output=True, check=False).returncode == 0:
            return ["unshare", *options]
    raise RuntimeError("A small disk needs `unshare --mount`: run as root, or allow user namespaces.")


def _inside(name: str, rounds: int, base: Path, seed: int | None) -> int:
    case = CASES[name]
    home = base / "disk"
    home.mkdir()
    if case.tmpfs_mb is not None:
        options = f"size={case.tmpfs_mb}m,nr_inodes=100k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)], check=True)
    began, failed = time.monotonic(), 0
    with World(home / "world", slots=case.slots, seed=seed, publish=case.publish) as world:
        for number in range(rounds):
            try:
                case.round(world)
            except Exception:  # noqa: BLE001 - whatever it is, it is told and counted
                failed += 1
                print(
                    f"{_FAILED}\nround {number} of {name}, seed {world.seed}\n{traceback.format_exc()}\n{world.log_tail()}",
                    flush=True,
                )
                _save(world, failed)
    print(f"{name}: {rounds} rounds, {failed} failed, {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def _save(world: World, number: int) -> None:
    """Keep the first failed world to look at, where somebody asks for it."""
    keep = os.environ.get("MLTRAIN_FAULT_KEEP")
    if keep and number == 1:
        shutil.copytree(
            world.base, Path(keep, f"{os.getpid()}"), dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock")
        )


def main(arguments: list[str]) -> int:
    if arguments[0] == "--inside":
        name, rounds, base, seed = arguments[1:]
        return _inside(name, int(rounds), Path(base), int(seed) if seed else None)
    names = list(CASES) if arguments[0] == "all" else [arguments[0]]
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"no case {unknown[0]!r}; there are: {', '.join(CASES)}")
    failures = 0
    for name in names:
        for text in repeat(name, int(arguments[1]), seed=int(arguments[2]) if len(arguments) > 2 else None):
            failures += 1
            print(f"{_FAILED}\n{text}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
