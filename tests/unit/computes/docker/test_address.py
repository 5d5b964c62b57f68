"""Where an engine is: Docker's own rules, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

from jupyter_mltrain.computes.docker.address import find, parse
from jupyter_mltrain.errors import UsageError


@pytest.mark.parametrize(
    ("url", "scheme", "path", "user", "host", "port", "again"),
    [
        ("unix:///run/user/1/docker.sock", "unix", "/run/user/1/docker.sock", "", "", 0, None),
        ("ssh://me@gpu-box", "ssh", "", "me", "gpu-box", 22, None),
        ("ssh://gpu-box:2222/", "ssh", "", "", "gpu-box", 2222, "ssh://gpu-box:2222"),
        ("tcp://127.0.0.1:2375", "tcp", "", "", "127.0.0.1", 2375, None),
        ("tcp://[::1]", "tcp", "", "", "::1", 2375, "tcp://[::1]:2375"),
        ("tcp://localhost:1", "tcp", "", "", "localhost", 1, None),
    ],
)
def test_addresses(url, scheme, path, user, host, port, again):
    found = parse(url)
    assert (found.scheme, found.path, found.user, found.host, found.port) == (scheme, path, user, host, port)
    assert found.url == (again or url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("tcp://10.1.2.3:2375", "Plain tcp:// to 10.1.2.3 is refused"),
        ("tcp://localhost.evil.example:2375", "is refused"),
        ("tcp://127.0.0.1.evil.example:2375", "is refused"),
        ("http://localhost:2375", "no address"),
        ("docker", "no address"),
        ("ssh://-oProxyCommand=x", "no address"),
        ("ssh://-lx@host", "no address"),
        ("ssh://host/run/docker.sock", "has a path"),
        ("ssh://me:secret@host", "holds more than an address"),
        ("tcp://host:port", "no address"),
        ("unix://relative", "no address"),
    ],
)
def test_what_is_refused(url, said):
    with pytest.raises(UsageError, match=said) as caught:
        parse(url)
    assert "secret" not in str(caught.value)


def test_tls_lifts_the_ban_and_its_files_have_to_be_there(tmp_path):
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").touch()
    ca, cert, key = (str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key"))
    found = parse("tcp://gpu-box", ca=ca, cert=cert, key=key)
    assert (found.port, found.tls) == (2376, True)
    with pytest.raises(UsageError, match="no file"):
        parse("tcp://gpu-box", ca=ca + "x")
    with pytest.raises(UsageError, match="belong together"):
        parse("tcp://gpu-box", ca=ca, cert=cert)


def test_what_dockers_command_line_would_take(tmp_path):
    """In its order: DOCKER_HOST, DOCKER_CONTEXT, the current context, a socket."""
    context = tmp_path / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest()
    context.mkdir(parents=True)
    (context / "meta.json").write_text(
        json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": "ssh://me@far"}}}), "utf-8"
    )
    base = {"DOCKER_CONFIG": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert find(context="far", environment=base).url == "ssh://me@far"
    assert find(environment={**base, "DOCKER_CONTEXT": "far"}).url == "ssh://me@far"
    assert find(environment={**base, "DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "far"}).url == "unix:///x"
    assert find("unix:///y", environment={**base, "DOCKER_HOST": "unix:///x"}).url == "unix:///y"
    assert find(environment=base).scheme == "unix"
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}), "utf-8")
    found = find(environment=base)
    assert (found.url, found.source) == ("ssh://me@far", "context far")
    with pytest.raises(UsageError, match="no Docker context 'near'"):
        find(context="near", environment=base)
    with pytest.raises(UsageError, match="not by both"):
        find("unix:///y", "far", environment=base)
    with pytest.raises(UsageError, match="Plain tcp"):
        find(environment={**base, "DOCKER_HOST": "tcp://10.0.0.1:2375"})
