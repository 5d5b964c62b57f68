"""The image that containers of tests are made from: Debian packages, no registry of images.

It is kept in the user's cache as an archive named by what it is made of, so that only the first session on a machine
builds it. `docker import` of it takes two seconds.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import ssl
import tempfile
from pathlib import Path

from tests.hosts.locks import alone
from tests.hosts.mounts import take_away
from tests.hosts.programs import call, folder, program, root_needed

OWN = "JUPYTER_MLTRAIN_TEST_IMAGE"
"""Variable that names an image to use in place of the one made here: it has Python with venv, and a shell."""
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
REPOSITORY = "jupyter-mltrain-test"

_INCLUDE = "ca-certificates,python3,python3-venv"
_USELESS = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log/apt")
_RECIPE = 1


def archive() -> Path:
    """The archive of the root file system, made if need be: about a minute, as root."""
    suite = _suite()
    recipe = f"{_RECIPE} {suite} {_INCLUDE} {platform.machine()} {_USELESS}"
    made = folder() / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.tar"
    with alone(folder() / "image.lock"):
        if not made.exists():
            root_needed("Making the image for tests")
            for stale in folder().glob("base-*"):
                take_away(stale) if stale.is_dir() else stale.unlink()
            _make(made, suite)
    return made


def _make(into: Path, suite: str) -> None:
    mirror, components = _source(suite)
    scratch = Path(tempfile.mkdtemp(dir=folder(), prefix="base-making-"))
    try:
        tree = Path(scratch, "tree")
        options = ["--variant=minbase", f"--include={_INCLUDE}", f"--components={components}"]
        call(program("debootstrap"), *options, suite, tree, *([mirror] if mirror else []), seconds=900)
        for useless in _USELESS:
            shutil.rmtree(tree / useless, ignore_errors=True)
        for cache in tree.rglob("__pycache__"):
            shutil.rmtree(cache)
        partial = Path(scratch, "base.tar")
        call("tar", "--sort=name", "--numeric-owner", "-C", tree, "-cf", partial, ".", seconds=300)
        partial.rename(into)
    finally:
        take_away(scratch)


def _suite() -> str:
    """The release of this system, and so the packages that its package manager knows."""
    try:
        return platform.freedesktop_os_release()["VERSION_CODENAME"]
    except (OSError, KeyError):
        return "bookworm"


def _source(suite: str) -> tuple[str, str]:
    """Where this machine takes packages of a release from (empty: debootstrap knows), and which parts of it."""
    try:
        told = call(
            "apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"
        )
    except FileNotFoundError:
        return "", "main"
    lines = [line.split() for line in told.splitlines()]
    found = [line[1:] for line in lines if len(line) == 3 and line[0] == suite]
    if not found:
        return "", "main"
    mirror = found[0][0]
    known = {component for uri, component in found if uri == mirror}
    return mirror.rstrip("/"), ",".join(sorted(known & {"main", "universe"})) or "main"


def load(docker: list[str]) -> str:
    """Have the image in an engine (`docker`: the command line that reaches it). Returns its name there.

    It trusts whom this machine trusts, so that pip and uv work in it behind a proxy that reads what passes.
    """
    trusted, base = _authorities(), _base()
    trust = hashlib.sha256(b"%s %s" % (base.encode(), trusted.read_bytes())).hexdigest()[:16]
    name = f"{REPOSITORY}:trusting-{trust}"
    if _known(docker, name):
        return name
    plain(docker)
    container = call(*docker, "create", base, "true")
    try:
        call(*docker, "cp", "--follow-link", trusted, f"{container}:{AUTHORITIES}")
        variables = " ".join(f"{name}={AUTHORITIES}" for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"))
        changes = ["--change", f"ENV {variables}", "--change", 'CMD ["/bin/bash"]']
        call(*docker, "commit", *changes, container, name)
    finally:
        call(*docker, "rm", "--force", container)
    return name


def plain(docker: list[str]) -> str:
    """Have the image in an engine as it is, for what needs no web. Returns its name there."""
    base = _base()
    if not os.environ.get(OWN) and not _known(docker, base):
        changes = [
            "--change",
            'CMD ["/bin/bash"]',
            "--change",
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        call(*docker, "import", *changes, archive(), base, seconds=120)
    return base


def _base() -> str:
    return os.environ.get(OWN) or f"{REPOSITORY}:{archive().stem.removeprefix('base-')}"


def _known(docker: list[str], name: str) -> bool:
    return bool(call(*docker, "image", "ls", "--quiet", name))


def _authorities() -> Path:
    paths = ssl.get_default_verify_paths()
    for candidate in (os.environ.get("SSL_CERT_FILE"), paths.cafile, paths.openssl_cafile, AUTHORITIES):
        if candidate and Path(candidate).exists():
            return Path(candidate)
    raise RuntimeError("This machine has no bundle of certificate authorities: install ca-certificates.")
