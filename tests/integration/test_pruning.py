"""Old runs make room, and nothing else goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.errors import RunNotFound, SnapshotException
from tests.faults.world import World


def ended(experiment: Experiment, text: str, **more: object) -> Run:
    script = f"open('outputs/model.txt', 'w').write({text!r} * 1000)"
    run = experiment.submit(ScriptRunConfig(script="a.py", files={"a.py": script}, environment="current", **more))  # type: ignore[arg-type]
    run.wait_for_completion(wait_post_processing=True)
    return run


def test_prune_shows_then_removes(world: World, experiment: Experiment) -> None:
    first, pinned, source = (ended(experiment, text) for text in "abc")
    world.connection.patch(f"/v1/runs/{pinned.id}", {"pinned": True})
    source.register_model("kept", "outputs/model.txt")
    connection = world.connection
    assert connection.post("/v1/prune", {})["runs"] == [], "nothing is old, and the newest twenty stay"
    asked = {"older_than": 0, "keep": 0}
    shown = connection.post("/v1/prune", asked)
    assert [run["id"] for run in shown["runs"]] == [first.id]
    assert shown["runs"][0]["bytes"] > 1000
    assert not shown["removed"]
    assert first.get_status() == "Completed", "showing removes nothing"

    blobs = world.layout.blobs
    before = {path.name for path in blobs.glob("??/*")}
    done = connection.post("/v1/prune", {**asked, "dry_run": False})
    assert done["removed"]
    assert [run["id"] for run in done["runs"]] == [first.id]
    after = {path.name for path in blobs.glob("??/*")}
    assert len(before - after) == 1, "the script that only the removed run had"
    assert not world.layout.run(first.id).exists()
    with pytest.raises(RunNotFound):
        first.refresh()
    for kept in (pinned, source):
        assert kept.get_file_names(), "its files are there"
        assert Path(kept.restore_snapshot()).stat().st_size, "and what it was made from"
    assert [run.id for run in experiment.get_runs()] == [source.id, pinned.id]


def test_a_service_killed_while_it_removes_finishes_later(world: World, experiment: Experiment) -> None:
    run, other = ended(experiment, "a"), ended(experiment, "b")
    world.kill_service()
    folder = world.layout.run(run.id)
    folder.rename(folder.with_name(f".removed-{run.id}"))
    assert [one.id for one in experiment.get_runs()] == [other.id]
    assert not folder.with_name(f".removed-{run.id}").exists()


def test_the_sdks_limits_of_a_snapshot(
    world: World, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2001):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / f"{number}.txt").touch()
    (tmp_path / "source" / "a.py").write_text("print(1)")
    config = ScriptRunConfig(source_directory=tmp_path / "source", script="a.py", environment="current")
    with pytest.raises(SnapshotException, match=r"exceeds the file limit of 2000\. .*largest: a\.py"):
        experiment.submit(config)
    config.limit_snapshot = False
    assert "2002 files" in " ".join(experiment.submit(config).state["notices"])
    config.limit_snapshot = True
    monkeypatch.setenv("AML_SNAPSHOT_NO_FILE_LIMIT", "1")
    assert experiment.submit(config).wait_for_completion()["status"] in {"Completed", "Finalizing"}
