"""What a run said and made is in its record however it ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineError, ResourceUnavailable
from jupyter_mltrain.service import lifecycle
from jupyter_mltrain.service.ingest import Ingest


class Run:
    """A run in a folder, whose script keeps no others. `settled`: what is thought of those."""

    def __init__(self, folder: Path, settled: BaseException | None = None) -> None:
        self.folder, self.status, self.doc = folder, Status.STARTING, cast("dict[str, Any]", {})
        self.ingest = Ingest(folder)
        self._settled = settled

    async def advance(self, status: Status, *_: object) -> None:
        self.status = status

    async def settle(self, *_: object) -> None:
        if self._settled is not None:
            raise self._settled

    async def fail(self, error: Exception) -> None:
        service = SimpleNamespace(children=SimpleNamespace(settle=self.settle))
        await lifecycle._fail(cast("Any", service), cast("Any", self), error)


async def test_what_a_launch_said_before_it_failed_is_taken_in(tmp_path: Path) -> None:
    """Its supervisor was killed once the script had begun."""
    (tmp_path / "streams").mkdir()
    tag = '{"k":"tag","key":"kind","value":"mnist"}'
    (tmp_path / "streams" / "r0-1.metrics").write_text(f'["loss",0,1.0,0.5]\n["loss",1,2.0,0.25]\n{tag}\n')
    run = Run(tmp_path)
    await run.fail(EngineError("The run's supervisor did not start."))
    assert run.status is Status.FAILED
    assert (await run.ingest.window((0, "loss"))).points["value"].tolist() == [0.5, 0.25]
    assert run.doc["tags"] == {"kind": "mnist"}
    # On disk, too: who opens the record next finds it.
    assert (await Ingest(tmp_path).window((0, "loss"))).total == 2


async def test_a_run_that_finds_no_place_any_more_says_what_its_earlier_attempt_made(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "checkpoint").write_bytes(b"12345")
    await run.fail(ResourceUnavailable("Too few nodes."))
    assert run.status is Status.FAILED
    assert (run.doc["outputs"]["files"], run.doc["outputs"]["bytes"]) == (1, 5)


async def test_a_run_ends_though_what_it_said_cannot_be_taken_in(tmp_path: Path) -> None:
    run = Run(tmp_path, settled=OSError(28, "No space left on device"))
    await run.fail(ResourceUnavailable("Too few nodes."))
    assert run.status is Status.FAILED
    assert run.doc["failure"]["title"] == "Too few nodes."
