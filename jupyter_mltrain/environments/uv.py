"""Running uv: its output line by line without secrets, stopped on request, its failures told apart."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from jupyter_mltrain.cache import POLL_SECONDS, Stopped, disk_full, not_writable
from jupyter_mltrain.environments.indexes import IndexSettings
from jupyter_mltrain.errors import BuildFailed, DiskFull, MLTrainError, ResolveError, Unreachable

Log = Callable[[str], None]
"""Takes one line without its end. Called in the thread that builds."""


@dataclass(frozen=True)
class Uv:
    """A way to call uv. `cwd` must hold no project of the user's, so that none of its uv settings apply."""

    settings: IndexSettings
    cwd: Path
    cancelled: threading.Event | None = None

    def run(
        self,
        arguments: Sequence[str],
        log: Log,
        *,
        pass_fds: Sequence[int] = (),
        while_running: Callable[[int], None] | None = None,
    ) -> tuple[int, str]:
        """Run `uv <arguments>` to its end; its exit code and all it printed. `while_running` gets uv's process id ten
        times a second. Raises `Stopped`, with uv and its children ended, when `cancelled` is set."""
        process = subprocess.Popen(
            [uv.find_uv_bin(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=uv_environment(self.settings.variables),
            cwd=self.cwd,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        try:
            lines = self._follow(process, log, while_running)
            return process.wait(), "\n".join(lines)
        except BaseException:
            _end_group(process)
            raise

    def _follow(
        self, process: subprocess.Popen[bytes], log: Log, while_running: Callable[[int], None] | None
    ) -> list[str]:
        assert process.stdout is not None
        lines: list[str] = []
        rest = b""
        with process.stdout as pipe, selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                if self.cancelled is not None and self.cancelled.is_set():
                    raise Stopped
                if while_running is not None:
                    while_running(process.pid)
                if not selector.select(POLL_SECONDS):
                    continue
                data = os.read(pipe.fileno(), 65536)
                *whole, rest = (rest + data).split(b"\n")
                for raw in [*whole, rest] if not data else whole:
                    line = self.settings.redact(raw.decode(errors="replace")).rstrip()
                    if line.strip():
                        lines.append(line)
                        log(line)
                if not data:
                    return lines


def uv_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: this process's, less what points to a Python of its own, with `variables`."""
    foreign = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")
    # A service that was started from a notebook has the kernel's MPLBACKEND, which names a module of the kernel alone:
    # with it Matplotlib, and so Keras, cannot be imported elsewhere.
    foreign += ("MPLBACKEND",)
    clean = {name: value for name, value in os.environ.items() if name not in foreign}
    # A Python is never downloaded behind the user's back; the error says how to get one.
    return {**clean, "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", **variables}


def is_unreachable(output: str) -> bool:
    """Whether uv failed because an index or host did not answer."""
    return bool(_UNREACHABLE.search(output)) and not _REFUSED.search(output)


def failure(output: str, *, name: str, resolving: bool, folder: Path, needed: int | None = None) -> MLTrainError:
    """The error that uv's `output` (redacted) describes: a full disk, a host out of reach, or `ResolveError` /
    `BuildFailed` with uv's own cause in one line and all of its words in `details["output"]`."""
    doing = f"{'resolving' if resolving else 'building'} the environment {name!r}"
    if _FULL.search(output):
        return disk_full(folder, doing, needed)
    if _READ_ONLY.search(output):
        return not_writable(folder, doing)
    cause = one_line_cause(output)
    hosts = sorted(set(_HOST.findall(output)))
    if is_unreachable(output):
        return Unreachable(
            f"No answer from the package index ({', '.join(hosts) or 'unknown host'}) while {doing}.",
            mend="Check the network, the proxy, and the index settings of pip (`pip config list`) or uv.",
            output=output,
            hosts=hosts,
        )
    if refused := _REFUSED.search(output):
        return Unreachable(
            f"The package index ({', '.join(hosts) or 'unknown host'}) refused access ({refused[1]}) while {doing}.",
            mend="Check user and password in the index settings of pip (`pip config list`) or uv, or in `.netrc`.",
            output=output,
            hosts=hosts,
        )
    if resolving:
        return ResolveError(
            f"The packages of environment {name!r} do not fit together: {cause}",
            mend="Change the versions asked for, or the Python version.",
            output=output,
        )
    return BuildFailed(
        f"Environment {name!r} could not be built: {cause}",
        mend=f"The whole log: `%mltrain env show {name}`. Nothing of the failed build is used again.",
        output=output,
    )


def there_failed(error: BuildFailed, output: str, name: str) -> MLTrainError:
    """What a build that failed on another machine is told as: uv's cause where its `output` has one, else `error`."""
    if not output or "error" not in output.lower():
        return error
    if _FULL.search(output):
        return DiskFull(f"No space left where the environment {name!r} is built: {error.message}", mend=error.mend)
    return failure(output, name=name, resolving=False, folder=Path())


def one_line_cause(output: str, limit: int = 400) -> str:
    """The resolver's own reason: its `error:` and the causes that say why, on one line."""
    # The characters are those that older versions of uv draw a tree of causes with.
    text = " ".join(line.strip(" \t\u2502\u00d7\u2570\u2500\u25b6") for line in output.splitlines())
    start = text.rfind("error: ")
    words = " ".join(text[max(start, 0) :].removeprefix("error: ").split())
    _, because, reason = words.partition(": Because ")
    reason = f"{reason[:1].lower()}{reason[1:]}" if because else words.replace(" cause: ", ": ")
    reason = re.split(r", we can conclude that your requirements|\s+hint: ", reason)[0].rstrip(".") or "no reason given"
    return reason if len(reason) <= limit else reason[: limit - 1] + "…"


_UNREACHABLE = re.compile(
    r"error sending request|dns error|tcp connect error|operation timed out|Connection (refused|reset)"
    r"|network was disabled|HTTP status server error|error reading a body|connection closed before",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"\b(401 Unauthorized|403 Forbidden|407 Proxy Authentication Required)", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b|os error 27\b")
_READ_ONLY = re.compile(r"Read-only file system|os error 30\b|Permission denied \(os error 13\)")
_HOST = re.compile(r"https?://(?:[^/@\s`]+@)?([^/\s`)]+)")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """TERM, so that uv can take its temporary files away; then KILL for it and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
