"""Certificates for an engine that is reached by TLS: an authority of the test, a server's and a client's."""

from __future__ import annotations

from pathlib import Path

from tests.hosts.programs import call, program

_DAYS = "2"


def make(folder: Path, address: str) -> None:
    """`ca.pem`, `cert.pem` and `key.pem`, as the docker CLI names them, for a client; `server-*.pem` for `address`."""
    folder.mkdir()
    openssl, curve = program("openssl"), ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ca, ca_key = folder / "ca.pem", folder / "ca-key.pem"
    call(openssl, "req", "-x509", *curve, "-days", _DAYS, "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca)
    for name, prefix, use in (("server", "server-", "serverAuth"), ("client", "", "clientAuth")):
        request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
        key, certificate = folder / f"{prefix}key.pem", folder / f"{prefix}cert.pem"
        extensions.write_text(f"extendedKeyUsage={use}\n" + (f"subjectAltName=IP:{address}\n" * (name == "server")))
        call(openssl, "req", *curve, "-subj", f"/CN=test {name}", "-keyout", key, "-out", request)
        signing = ["-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", _DAYS]
        call(openssl, "x509", *signing, "-extfile", extensions, "-out", certificate)
        key.chmod(0o600)
