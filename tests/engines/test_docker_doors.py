"""Another host's engine, by TLS and by ssh: reached, or told in words why not, by a real one that does not let us in."""

from __future__ import annotations

import pytest

from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.health import check
from tests.hosts import certificates
from tests.hosts.remote import RemoteHost


def settings(host: RemoteHost, door: str) -> dict[str, str]:
    return host.tls if door == "tls" else {"url": host.ssh_url}


@pytest.fixture(params=["tls", "ssh"])
def door(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_it_lets_in_who_has_the_keys(remote_host: RemoteHost, door: str) -> None:
    connection = Connection(**settings(remote_host, door))
    assert (await check(connection)).ok
    there = await connection.call(lambda client: client.info()["ID"])
    assert there == remote_host.engine.docker("info", "--format", "{{.ID}}")


async def test_a_daemon_that_does_not_run_is_named_and_found_again(remote_host: RemoteHost, door: str) -> None:
    connection = Connection(**settings(remote_host, door))
    assert (await check(connection)).ok
    remote_host.engine.kill()
    assert not (await check(connection)).ok  # a connection that was open is lost; a new one says why
    health = await check(connection)
    assert not health.ok
    assert ("No Docker engine listens" if door == "tls" else "Docker does not run") in health.problem
    assert "systemctl start docker" in health.mend
    remote_host.engine.start()
    assert (await check(connection)).ok


async def test_a_certificate_of_another_authority_is_not_trusted(remote_host: RemoteHost, tmp_path) -> None:
    certificates.make(tmp_path / "other", remote_host.address)
    health = await check(Connection(**remote_host.tls | {"tls_ca": str(tmp_path / "other" / "ca.pem")}))
    assert "is not to be trusted" in health.problem
    assert "tls_ca" in health.mend


async def test_a_client_without_a_certificate_of_its_authority_is_sent_away(remote_host: RemoteHost, tmp_path) -> None:
    certificates.make(tmp_path / "other", remote_host.address)
    other = {name: str(tmp_path / "other" / file) for name, file in (("tls_cert", "cert.pem"), ("tls_key", "key.pem"))}
    for given in (other, {"tls_cert": "", "tls_key": ""}):
        health = await check(Connection(**remote_host.tls | given))
        assert "this client's certificate" in health.problem
        assert "tls_cert" in health.mend


async def test_a_host_key_that_is_not_known_or_another_is_refused(remote_host: RemoteHost) -> None:
    remote_host.sshd.forget_host()
    health = await check(Connection(url=remote_host.ssh_url))
    assert "is not known here" in health.problem
    assert "fingerprint" in health.mend
    remote_host.sshd.know_another()
    health = await check(Connection(url=remote_host.ssh_url))
    assert "is not the one that is known" in health.problem
    assert "ssh-keygen -R" in health.mend
