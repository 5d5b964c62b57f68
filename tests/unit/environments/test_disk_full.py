"""A disk that is really full: the cache on a file system of a few MB, in a mount namespace of its own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

BUILD = textwrap.dedent("""
    import json, os, pathlib, shutil, sys
    from jupyter_mltrain.environments import EnvironmentDefinition, Environments
    from jupyter_mltrain.errors import MLTrainError
    environments = Environments(pathlib.Path(sys.argv[1]))
    environments.register(EnvironmentDefinition("mine", pip=(sys.argv[2],)), log=lambda _: None)
    free = shutil.disk_usage(os.environ["JUPYTER_MLTRAIN_CACHE"]).free
    try:
        environments.prepare("mine", log=lambda _: None)
    except MLTrainError as error:
        left = shutil.disk_usage(os.environ["JUPYTER_MLTRAIN_CACHE"]).free
        print(json.dumps({**error.to_wire(), "given_back": left > free * 0.9}))
    else:
        print("built")
""")


def build_on(megabytes: int, package: str, workspace: Path, mount_point: Path) -> str:
    mount_point.mkdir()
    ended = subprocess.run(
        [
            *("unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])),
            *("sh", "-c", f'mount -t tmpfs -o size={megabytes}m none "$0" && exec "$@"', str(mount_point)),
            *(sys.executable, "-c", BUILD, str(workspace), package),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "JUPYTER_MLTRAIN_CACHE": str(mount_point)},
    )
    assert ended.returncode == 0, f"needs the right to mount (root, or user namespaces): {ended.stderr}"
    return ended.stdout


def test_a_full_disk_is_told_with_figures_and_leaves_nothing(index, tmp_path):
    index.wheel("large", files={"large.bin": os.urandom(12_000_000)})
    said = build_on(8, "large", tmp_path / "workspace", tmp_path / "disk")
    assert '"code": "storage.full"' in said, said
    assert "MB of 8.4 MB free" in said
    assert '"given_back": true' in said


def test_it_is_built_where_there_is_room(index, tmp_path):
    index.wheel("large", files={"large.bin": os.urandom(12_000_000)})
    assert build_on(30, "large", tmp_path / "workspace", tmp_path / "disk").strip() == "built"
