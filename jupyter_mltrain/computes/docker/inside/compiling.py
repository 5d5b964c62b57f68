"""Installs the packages of an environment that are compiled against others: `compiling.py UV ENVIRONMENT LINK_MODE [FLAG...]`

Started by the environment's own Python, of any version from 3.8 on, in the folder with `compiled.json`, which says of each
what it needs, and with the wheels that came along. Of each it takes the first that works: the wheel of the machine that
ordered it; the one that was compiled for this image before; one that is compiled now.
Exit code 68: the image lacks what compiling one of them needs; the last line names both.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

LACKS = 68
PERCENT = re.compile(r"^DEBUG\s+\[\s*(\d+)%\]")


def install(one: dict[str, Any], uv: str, environment: Path, link: str, flags: list[str]) -> None:
    command = [uv, "pip", "install", "--python", str(environment / "bin/python"), "--no-deps", "--compile-bytecode"]
    command += ["--link-mode", link]

    def take(wheel: str) -> str:
        """Install it; why it does not work, or an empty string."""
        taken = [*command, "--offline", "--reinstall-package", one["name"], wheel]
        installed = subprocess.run(taken, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if installed.returncode != 0:
            return last(installed.stdout)
        return trial(environment, one["imports"])

    if one["wheel"]:
        problem = take(one["wheel"])
        if not problem:
            return say(f"Installed {one['name']} as it was compiled on the machine that asks")
        say(f"{one['name']} as it was compiled on the machine that asks does not run in this image: {problem}")
    kept = Path(one["kept"])
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who compiles the same for another environment is waited for
        for wheel in kept.glob("*.whl"):
            problem = take(str(wheel))
            if not problem:
                return say(f"Installed {one['name']} as it was compiled for this image before")
            say(f"{one['name']} as it was compiled for this image before does not run: {problem}")
        lacks = [package for program, package in one["programs"].items() if shutil.which(program) is None]
        if lacks:
            say(f"{one['name']}: {' '.join(lacks)}")
            sys.exit(LACKS)
        build(one, [*command, *flags], environment, kept)
    return None


def build(one: dict[str, Any], command: list[str], environment: Path, kept: Path) -> None:
    """Compile it, and keep the wheel."""
    say(f"Compiling {one['name']} in this image; it takes minutes")
    requirement = Path("source.txt")
    requirement.write_text(one["requirement"], encoding="utf-8")
    # In the container: a wheel is all that is kept of some hundred megabytes.
    cache = Path("compiling")
    command = [*command, "--verbose", "--no-build-isolation", "--no-binary", one["name"]]
    command += ["--cache-dir", str(cache), "--requirement", str(requirement)]
    variables = {name: value.replace("{environment}", str(environment)) for name, value in one["variables"].items()}
    variables["MAKEFLAGS"] = f"-j{len(os.sched_getaffinity(0))}"
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = ""
    for raw in process.stdout:
        line = raw.decode("utf-8", "replace").rstrip()
        found = PERCENT.search(line)
        if not line.startswith(("DEBUG", "TRACE")):
            say(line)
        elif found and found.group(1) != said:
            said = found.group(1)
            say(f"Compiling {one['name']}: {said} %")
    if process.wait() != 0:
        sys.exit(1)
    for wheel in cache.glob("sdists-*/**/*.whl"):
        shutil.copy(str(wheel), str(kept / f"{wheel.name}.partial"))
        (kept / f"{wheel.name}.partial").rename(kept / wheel.name)
    shutil.rmtree(str(cache))


def trial(environment: Path, imports: list[str]) -> str:
    """Why the modules cannot be imported, or an empty string: the loader's own words tell a C library that is too old."""
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    tried = subprocess.run(
        [str(environment / "bin/python"), "-B", "-c", code, *imports],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return last(tried.stdout) if tried.returncode != 0 else ""


def last(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "no word of why"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for package in json.loads(Path("compiled.json").read_text(encoding="utf-8")):
        install(package, sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
