"""What became of the ranks of a run that are on other hosts, told to the shims of those that are here: they then do as they
do where all are in one folder (`_shim.peers`). Blocking."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence

import docker.errors

from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.plan import ROOT
from jupyter_mltrain.core.compute import Exit, Handle


def tell(client: Client, handle: Handle, exits: Sequence[Exit]) -> None:
    """Write how ranks ended into the run folder of an engine that has others of the run. Harmless where that is gone."""
    entries = [
        Entry(f"r{one.rank}.exit.json", data=json.dumps(dataclasses.asdict(one)).encode(), mode=0o644) for one in exits
    ]
    with contextlib.suppress(docker.errors.NotFound):
        client.put_archive(handle["container"], f"{ROOT}/shim", archive(entries))
