"""Before the script of a run that was given GPUs: TensorFlow must see them. Then this process becomes the script.

    python -I -S gpu_check.py REFUSAL GPUS ARGV…

REFUSAL is the file that then says why the run was not let on (`records.Rank.refusal`), GPUS how many it was given. Where the environment has no TensorFlow there
is nothing to see. `MLTRAIN_GPU_CHECK=off` in the run's environment leaves it out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any, Mapping, NoReturn

PATIENCE = 180.0
"""Seconds for importing TensorFlow and looking for devices."""
_TAIL = 4000
NO_GPU = "no GPU"


def command(env: Mapping[str, str], gpus: int, refusal: str) -> list[str]:
    """What goes before the argument list of a run with so many GPUs; nothing where nothing is to be checked."""
    if not gpus or env.get("MLTRAIN_GPU_CHECK", "").lower() == "off":
        return []
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), refusal, str(gpus)]


def problem(python: str, env: Mapping[str, str], gpus: int, patience: float = PATIENCE) -> dict[str, str] | None:
    """Why TensorFlow does not see so many GPUs: `title`, `mend` and `said` (the end of what it wrote); None if it does."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "gpu_probe.py"), encoding="utf-8") as file:
        source = file.read()
    try:
        done = subprocess.run(
            [python, "-c", source], env={**env, "MLTRAIN_GPUS_GIVEN": str(gpus)}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=patience, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        return _told(f"TensorFlow did not say within {patience:g} s whether it sees a GPU.", "", late.stderr)
    except OSError as error:
        return _told(f"{python} could not be asked for a GPU: {error.strerror}.", "", b"")
    answer = _last_line(done.stdout)
    if answer is None:
        return _told(
            f"TensorFlow was not there to say whether it sees a GPU (exit code {done.returncode}).", "", done.stderr
        )
    if answer.get("ok"):
        return None
    part = str(answer.get("part"))
    cause = f" because of the {part}" if part else ""
    return _told(f"TensorFlow does not see the GPU{cause}: {answer.get('text')}.", str(answer.get("mend")), done.stderr)


def main(arguments: list[str]) -> NoReturn:
    refusal, gpus, argv = arguments[0], int(arguments[1]), arguments[2:]
    env = _environment()
    found = problem(env.get("MLTRAIN_PYTHON") or argv[0], env, gpus)
    if found is None:
        try:
            for name in ("SIGPIPE", "SIGXFSZ"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            os.execvpe(argv[0], argv, env)  # noqa: S606 - an argument list, never a shell
        except OSError as error:
            _refuse(refusal, f"could not run {argv[0]}: {error.strerror}", "")
    title, mend = found["title"], found["mend"]
    sys.stderr.write(f"{found['said']}\njupyter_mltrain: {title} {mend}\n".lstrip("\n"))
    _refuse(refusal, f"{title}\n{mend}", NO_GPU)


def _refuse(path: str, error: str, stopped: str) -> NoReturn:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"error": error, "stopped": stopped}, file)
    os.replace(path + ".new", path)
    sys.exit(1)


def _environment() -> dict[str, str]:
    """As this process was given it: Python may have changed its own (the locale)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = [os.fsdecode(part).partition("=") for part in file.read().split(b"\0") if part]
    except OSError:
        return dict(os.environ)
    return {name: value for name, _, value in pairs}


def _last_line(output: bytes) -> dict[str, Any] | None:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _told(title: str, mend: str, said: Any) -> dict[str, str]:
    return {"title": title, "mend": mend, "said": (said or b"")[-_TAIL:].decode("utf-8", "replace").strip()}


if __name__ == "__main__":
    main(sys.argv[1:])
