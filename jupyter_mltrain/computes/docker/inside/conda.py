"""Installs the conda packages of a lock, checked by their hashes: `conda.py LOCK PREFIX CACHE`.

Started by a Python that has py-rattler, which is not that of the prefix. No scripts of packages are run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path


def main(lock: str, prefix: str, cache: str) -> str:
    """What went wrong; empty where nothing did."""
    import rattler  # noqa: PLC0415 - not in every environment of this package
    from rattler.exceptions import InstallerError  # noqa: PLC0415

    file = rattler.LockFile.from_path(Path(lock))
    environment = file.default_environment()
    assert environment is not None, "written by environments.conda"
    records = environment.conda_repodata_records_for_platform(file.platforms()[0]) or []
    say(f"Installing {len(records)} conda packages")
    # A slim image may have no certificates of its own.
    known = os.environ.get("SSL_CERT_FILE") or any(Path("/etc/ssl/certs").glob("*"))
    mirrors = json.loads(os.environ.get("MLTRAIN_CONDA_MIRRORS", "{}"))
    settings = [f'tls-root-certs = "{"system" if known else "webpki"}"', "[mirrors]"]
    # JSON's strings and lists are TOML's.
    settings += [f"{json.dumps(channel)} = {json.dumps(places)}" for channel, places in mirrors.items()]
    config = rattler.Config.from_toml("\n".join(settings))
    try:
        asyncio.run(
            rattler.install(
                records, prefix, cache_dir=Path(cache), show_progress=False, execute_link_scripts=False, config=config
            )
        )
    except InstallerError as error:
        return " ".join(f"The conda packages could not be installed: {error}".split())
    return ""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    problem = main(*sys.argv[1:])
    if problem:
        say(problem)
    # Without the interpreter's own end: a thread of py-rattler that still hands over what it did crashes it now and then.
    os._exit(1 if problem else 0)
