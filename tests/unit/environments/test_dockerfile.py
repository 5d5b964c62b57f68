"""The commands of a Dockerfile, done here in a folder in place of an image."""

import re
import shlex
import subprocess
import sys

import uv

from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.environments.dockerfile import LOCK, dockerfile
from jupyter_mltrain.environments.indexes import index_settings
from jupyter_mltrain.environments.uv import uv_environment


def test_its_commands_make_what_the_lock_says(index, environments, tmp_path):
    index.wheel("alpha", "1.0", requires=("beta",))
    index.wheel("beta", "2.0")
    asked = EnvironmentDefinition("mine", python=f"{sys.version_info[0]}.{sys.version_info[1]}", pip=("alpha",))
    stored = environments.register(asked, log=lambda _: None)
    index.wheel("beta", "3.0")  # newer than the lock
    lock = environments.lock(stored)
    text = dockerfile(stored, lock, environments.store.table).replace("/opt/environment", str(tmp_path / "image"))
    for line in text.splitlines():
        if line.startswith("RUN uv "):
            command = [uv.find_uv_bin(), *shlex.split(line)[2:]]
            subprocess.run(command, check=True, env=uv_environment(index_settings().variables), cwd=tmp_path)
        elif found := re.match(rf"COPY {re.escape(LOCK)} (\S+)", line):
            (tmp_path / "image" / LOCK).write_text(lock.dumps())
            assert found[1] == str(tmp_path / "image" / LOCK)
        else:
            assert line.startswith(("#", "FROM ", "COPY --from=ghcr.io/astral-sh/uv:", "ENV PATH="))
    said = subprocess.run(
        [tmp_path / "image" / "bin" / "python", "-c", "import alpha, beta; print(alpha.version, beta.version)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "1.0 2.0\n"
