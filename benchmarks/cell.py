"""How soon a `%%mltrain` cell returns in a real kernel: from the request to the kernel until it is idle again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import statistics
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from benchmarks.place import Place, end, end_service
from benchmarks.samples import milliseconds, spread
from benchmarks.table import Row
from jupyter_mltrain.api.workspace import Workspace

CELL = "%%mltrain -e current --experiment bench\npass\n"
SOURCE_MB = 300


def measure(place: Place, *, quick: bool) -> list[Row]:
    times = 3 if quick else 10
    workspace = place.workspace("cell")
    warm, cold, fresh, bare = [], [], [], []
    with _kernel(workspace.root) as kernel:
        kernel.run("%load_ext jupyter_mltrain")
        kernel.run(CELL)
        for _ in range(times):
            kernel.run("run.wait_for_completion(wait_post_processing=True)")
            bare.append(kernel.run("pass"))
            warm.append(kernel.run(CELL))
        for _ in range(times):
            kernel.run("run.wait_for_completion(wait_post_processing=True)")
            end_service(workspace)
            cold.append(kernel.run(CELL))
    for _ in range(max(2, times // 3)):
        # The first cell of a kernel's life, and no service: nothing is loaded anywhere.
        end(workspace)
        with _kernel(workspace.root) as kernel:
            kernel.run("%load_ext jupyter_mltrain")
            fresh.append(kernel.run(CELL))
    end(workspace)
    empty = f"an empty cell {milliseconds(statistics.median(bare))}"
    return [
        Row("%%mltrain returns: service warm", spread(warm), "≤ 0.3 s", empty, statistics.median(warm) <= 0.3),
        Row("%%mltrain returns: service cold", spread(cold), "≤ 2 s", empty, statistics.median(cold) <= 2),
        Row("  … and the first cell of its kernel", spread(fresh), "≤ 2 s", empty, statistics.median(fresh) <= 2),
        *_with_source(place, 1 if quick else 3, SOURCE_MB // 10 if quick else SOURCE_MB),
    ]


def _with_source(place: Place, times: int, megabytes: int) -> list[Row]:
    source = _source(place.folder / "source", megabytes)
    first, second, copied = [], [], []
    for number in range(times):
        copied.append(_copy(source, place.folder / "copy"))
        workspace: Workspace = place.workspace(f"source-{number}")
        with _kernel(workspace.root) as kernel:
            kernel.run("%load_ext jupyter_mltrain\n%mltrain doctor")  # the service is up, and holds no file yet
            cell = CELL.replace("\n", f" -s {source}\n", 1)
            first.append(kernel.run(cell))
            kernel.run("run.wait_for_completion(wait_post_processing=True)")
            second.append(kernel.run(cell))
        end(workspace)
    shutil.rmtree(source)
    baseline = f"hash and copy it: {spread(copied)}"
    what = f"  … with {megabytes} MB of source folder"
    return [
        Row(f"{what}, first", spread(first), "≤ 5 s", baseline, statistics.median(first) <= 5),
        Row(f"{what}, again", spread(second), "≤ 0.5 s", baseline, statistics.median(second) <= 0.5),
    ]


def _source(folder: Path, megabytes: int) -> Path:
    """A folder as people have them: two thirds in one file, the rest in many; not changed just now."""
    folder.mkdir()
    long_ago = time.time() - 3600
    sizes = [megabytes * 2 // 3 * 1_000_000, *([megabytes // 3 * 5_000] * 200)]
    for number, size in enumerate(sizes):
        path = folder / f"part-{number:03}.bin"
        path.write_bytes(os.urandom(size))
        os.utime(path, (long_ago, long_ago))
    time.sleep(2.5)  # a file that was made just now is hashed again: its clock tick may not be over
    return folder


def _copy(source: Path, target: Path) -> float:
    started = time.perf_counter()
    target.mkdir()
    for path in sorted(source.iterdir()):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        shutil.copy(path, target)
    seconds = time.perf_counter() - started
    shutil.rmtree(target)
    return seconds


class _Kernel:
    def __init__(self, manager: KernelManager) -> None:
        self._client = manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str) -> float:
        """Seconds until the kernel has run `code` and is idle. Raises what the code raised."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])

        started = time.perf_counter()
        reply = self._client.execute_interactive(code, timeout=120, output_hook=hear)
        seconds = time.perf_counter() - started
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join([*said, *reply["content"]["traceback"]]))
        return seconds

    def close(self) -> None:
        self._client.stop_channels()


@contextlib.contextmanager
def _kernel(folder: Path) -> Generator[_Kernel]:
    manager = KernelManager(kernel_name="python3")
    with (folder / "kernel.log").open("a") as log:  # a kernel says on its standard error that it listens on loopback
        manager.start_kernel(cwd=str(folder), stderr=log)
    kernel = _Kernel(manager)
    try:
        yield kernel
    finally:
        kernel.close()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
