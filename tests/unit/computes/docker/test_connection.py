"""What an engine that cannot be used is told to be: one line, and what to do."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import time

import pytest

from jupyter_mltrain.computes.docker import connection
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.health import check
from jupyter_mltrain.errors import EngineUnreachable


async def problem(**settings):
    health = await check(Connection(**settings))
    assert not health.ok
    return health


async def test_no_socket_and_no_daemon_behind_it(tmp_path):
    health = await problem(url=f"unix://{tmp_path}/docker.sock")
    assert health.problem == f"There is no Docker engine at {tmp_path}/docker.sock."
    assert "systemctl start docker" in health.mend
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "docker.sock"))
    health = await problem(url=f"unix://{tmp_path}/docker.sock")
    assert "No Docker engine listens" in health.problem


async def test_something_else_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        import threading

        def talk():
            peer, _ = server.accept()
            peer.recv(1000)
            peer.sendall(b"SSH-2.0-something\r\n")
            peer.close()

        threading.Thread(target=talk, daemon=True).start()
        health = await problem(url=f"tcp://127.0.0.1:{server.getsockname()[1]}")
    assert "The connection to the Docker engine at tcp://127.0.0.1" in health.problem


@pytest.mark.parametrize(
    ("said", "problem_words", "mend_words"),
    [
        ("Host key verification failed.", "host key of box is not known", "accept it"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "not the one",
            "-R box",
        ),
        ("me@box: Permission denied (publickey).", "does not let me in", "ssh-copy-id"),
        ("sh: 1: docker: not found", "no `docker` command", "Install Docker"),
        ("permission denied while trying to connect to the Docker daemon socket", "No permission", "group"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "does not run", "systemctl"),
        ("ssh: connect to host box port 22: No route to host", "cannot be reached by ssh", "ssh -p 2222 me@box"),
    ],
)
async def test_what_ssh_says_is_told(said, problem_words, mend_words, tmp_path, monkeypatch):
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({said!r} + '\\n')\nsys.exit(255)\n")
    ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    health = await problem(url="ssh://me@box:2222")
    assert problem_words in health.problem
    assert mend_words in health.mend


async def test_a_host_that_is_gone_is_waited_for_once_not_once_for_each_who_asks(monkeypatch):
    tries, looks = 0, 0

    class Clock:
        """Every call looks when it asks, before it waits for its turn."""

        @staticmethod
        def monotonic():
            nonlocal looks
            looks += 1
            return time.monotonic()

    class Silent:
        def version(self, *, api_version):
            nonlocal tries
            tries += 1
            while looks < 8:  # until all have asked
                time.sleep(0.01)
            raise TimeoutError("timed out")

    monkeypatch.setattr(connection, "time", Clock)
    monkeypatch.setattr(connection, "client", lambda *_: Silent())
    engine = Connection(url="ssh://me@box")
    asked = (engine.call(lambda client: client.info()) for _ in range(8))
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, EngineUnreachable) for one in told)
    assert tries == 1
    with pytest.raises(EngineUnreachable):
        await engine.call(lambda client: client.info())
    assert tries == 2  # who asks later finds out anew
