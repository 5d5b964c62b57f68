"""The programs that a machine must have to be a host of containers in tests, and what to say where one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import platformdirs

PACKAGES = (
    "docker.io docker-registry debootstrap iproute2 iptables openssh-client openssh-server openssl podman catatonit"
)
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class NoHostError(Exception):
    """This machine cannot be that host; the text says what to do about it."""


def program(name: str) -> str:
    """The program's path. Those of administrators are found where the user's PATH does not have them, too."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    if found is None:
        raise NoHostError(
            f"{name} is missing for the tests with containers: as root, 'apt-get update && "
            f"apt-get install {PACKAGES}' (in a Debian after 12: docker-cli as well)."
        )
    return found


def root_needed(what: str) -> None:
    if os.geteuid() != 0:
        raise NoHostError(f"{what} needs root: run the tests as root (CI does), with {PACKAGES} installed.")


def call(*command: str | Path, seconds: float = 60, give: bytes | None = None) -> str:
    """What a command prints. Its words about an error are the exception's."""
    done = subprocess.run([*command], capture_output=True, timeout=seconds, check=False, input=give or b"")
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-2000:]
        raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace").strip()


def folder() -> Path:
    """Where hosts of tests lie, on a real disk: an engine's layers do not fit every /tmp."""
    made = platformdirs.user_cache_path("jupyter-mltrain") / "test-hosts"
    made.mkdir(parents=True, exist_ok=True)
    return made
