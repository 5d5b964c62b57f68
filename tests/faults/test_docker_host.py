"""A host that has trouble of its own: a full disk, and two services that both think it theirs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.containers import ContainerWorld
from tests.faults.world import steady, value
from tests.hosts.remote import RemoteHost

pytestmark = pytest.mark.slow

FILLS = """
filler = open('filler', 'wb', buffering=0)
size = 1 << 20
while size:
    try:
        filler.write(b'x' * size)
    except OSError:
        size //= 2
for i in range(40):
    if i == 20:
        os.remove('filler')
        filler.close()
    run.log('loss', ((i * 7919) % 1009) / 7, step=i)
    time.sleep(0.01)
"""


@pytest.fixture
def small_disk(remote_host: RemoteHost) -> Iterator[Path]:
    folder = remote_host.folder / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=777", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def test_a_full_disk_there_stops_no_training(by_tls: ContainerWorld, small_disk: Path) -> None:
    run, body = by_tls.request(FILLS)
    bound = ["--opt", "type=none", "--opt", "o=bind", "--opt", f"device={small_disk}"]
    labels = ["--label", "org.jupyter-mltrain.kind=run", "--label", f"org.jupyter-mltrain.run={run.id}"]
    by_tls.host.engine.docker("volume", "create", *labels, *bound, f"mltrain-run-{run.id}")
    by_tls.connection.post("/v1/runs", body)
    state = by_tls.check(run, complete_metrics=False)
    assert state["status"] == "Completed"
    window = by_tls.connection.get(f"/v1/runs/{run.id}/series", name="loss", points=100)
    # What could not be written is lost; the rest is there once, in order.
    assert window["values"] == [value(step) for step in window["steps"]]
    assert set(range(21, 40)) <= set(window["steps"])
    assert window["steps"] == sorted(set(window["steps"]))


def test_two_services_have_each_their_own_runs(by_tls: ContainerWorld, tmp_path: Path) -> None:
    host = by_tls.host
    with ContainerWorld(tmp_path / "other", host, {"url": host.ssh_url}) as other, ThreadPoolExecutor(4) as pool:
        worlds = [by_tls, other] * 2
        runs = list(pool.map(lambda world: world.submit(steady(50)), worlds))
        for world, run in zip(worlds, runs, strict=True):
            assert world.check(run)["status"] == "Completed"
