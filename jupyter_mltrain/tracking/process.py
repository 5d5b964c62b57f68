"""The service's end of the child process: starts it when asked something, starts it again when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jupyter_mltrain
from jupyter_mltrain.errors import MLTrainError, TrackingError, from_wire

# -P: no module of the user's folder in place of one that MLflow imports
COMMAND = (sys.executable, "-P", "-m", "jupyter_mltrain.tracking.child")

START_SECONDS = 180.0
"""How long the child may take to answer at first: its import under full load, and an upgrade of the database."""

LOG = "tracking.log"
_LOG_LIMIT = 1 << 20
_LINE_LIMIT = 64 << 20
_END_SECONDS = 7.0
_SEEN_SECONDS = 1.0

# Settings of the service's own environment that would send the copy elsewhere than to the workspace's MLflow.
_UNSET = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
)
# A server that is down shall be told within seconds: trying again is done here, with pauses.
_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "0",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Child:
    """The process that holds MLflow for the workspace folder `root`. One request at a time; safe to share."""

    def __init__(self, root: Path, uri: str | None, command: Sequence[str] = COMMAND) -> None:
        self._root = root
        self._uri = uri
        self._command = command
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._number = 0
        self.about: dict[str, Any] = {}
        """What the living child said of itself: `mlflow` (version), `uri`, `embedded`, `backup`, `pid`, `seconds`."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def request(self, operation: str, timeout: float, **arguments: Any) -> Any:  # noqa: ASYNC109 - the child is ended
        """The result of `operation`. Starts the child if there is none.

        `timeout` in seconds, without the wait for the child's start and for requests before this one. Raises the error
        that the child tells; `TrackingError` if it dies or does not answer in time (then it is ended; the next request
        starts another).
        """
        async with self._lock:
            if not self.running:
                await self._start()
            self._number += 1
            line = json.dumps({"id": self._number, "op": operation, "args": arguments}).encode() + b"\n"
            return await self._exchange(line, self._number, timeout, operation)

    async def close(self) -> None:
        """End the child: it finishes what is under way, for some seconds. Idempotent."""
        process = self._process
        self._process = None
        if process is None or process.returncode is not None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _END_SECONDS)
        except TimeoutError:
            await _kill(process)

    async def _start(self) -> None:
        await self.close()
        self._root.mkdir(mode=0o700, exist_ok=True)
        log = self._root / LOG
        with log.open("wb" if log.exists() and log.stat().st_size > _LOG_LIMIT else "ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                "--root",
                str(self._root),
                *(("--uri", self._uri) if self._uri else ()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=self._root,
                env=_environment(),
                limit=_LINE_LIMIT,
                start_new_session=True,
            )
        self.about = await self._exchange(b"", 0, START_SECONDS, "start")

    async def _exchange(self, line: bytes, number: int, seconds: float, operation: str) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                process.stdin.write(line)
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except TimeoutError:
            await self._drop(process)
            raise TrackingError(
                f"MLflow did not answer within {seconds:.0f} s ({operation}).",
                mend="It is tried again.",
                transient=True,
            ) from None
        except (ConnectionError, ValueError):
            answer = b""
        except asyncio.CancelledError:
            # Its answer would be taken for that of the next request.
            await self._drop(process)
            raise
        if not answer.endswith(b"\n"):
            # Ended, most likely: what with is to be seen before it is killed for good measure.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _SEEN_SECONDS)
            await self._drop(process)
            raise TrackingError(
                f"The MLflow process ended ({operation}; {_ending(process)}).",
                mend=f"It is started again. What it said is in {LOG} of the workspace's .mltrain folder.",
                transient=True,
            )
        reply = json.loads(answer)
        assert reply["id"] == number
        if "error" in reply:
            if number == 0:
                await self._drop(process)
            error: MLTrainError = from_wire(reply["error"])
            raise error
        return reply["ok"]

    async def _drop(self, process: Process) -> None:
        if self._process is process:
            self._process = None
        await _kill(process)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def _ending(process: Process) -> str:
    code = process.returncode
    if code is None:
        return "still there"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _environment() -> dict[str, str]:
    variables = {key: value for key, value in os.environ.items() if key not in _UNSET}
    variables = {**_DEFAULTS, **variables, **_SETTINGS}
    # The package as this process found it, wherever that is.
    here = str(Path(jupyter_mltrain.__file__).resolve().parents[1])
    paths = [here, *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    return variables
