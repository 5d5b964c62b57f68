"""A run as a notebook holds it: waiting, failing, its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.lookup import latest
from jupyter_mltrain.api.lookup import run as run_named
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import PathNotFound, RunFailed, RunNotFound
from tests.unit.api.fake_service import FakeConnection, state

PATH = "/v1/runs/e_1_aaaaaaaa"
FAILURE = {
    "title": "ValueError: shapes",
    "evidence": ["exit code 1", "peak memory 9 MB"],
    "mend": "",
    "traceback": None,
}


@pytest.fixture
def run(workspace: Workspace, service: FakeConnection) -> Run:
    service.answers[f"GET {PATH}/spec"] = {}
    service.answers[f"GET {PATH}/logs"] = {"logs": []}
    return Run(Experiment(workspace, "e"), "e_1_aaaaaaaa")


def test_waiting_asks_by_long_poll_for_what_is_newer(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}"] = [state("Running"), state("Running", revision=5), state("Completed", revision=9)]
    assert run.wait_for_completion()["status"] == "Completed"
    polls = [given for method, path, given in service.asked if path == PATH and given]
    assert polls[0]["after"] == 1
    assert polls[0]["wait"] > 10


def test_waiting_ends_with_the_script_unless_outputs_are_waited_for(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}"] = state("Finalizing", outcome="Completed")
    assert run.wait_for_completion()["status"] == "Finalizing"
    service.answers[f"GET {PATH}"] = [state("Finalizing", outcome="Completed"), state("Completed")]
    assert run.wait_for_completion(wait_post_processing=True)["status"] == "Completed"


def test_a_failure_raises_with_its_cause_also_when_outputs_are_not_waited_for(
    run: Run, service: FakeConnection
) -> None:
    finalizing = state("Finalizing", outcome="Failed")
    service.answers[f"GET {PATH}"] = [finalizing, finalizing, state("Failed", failure=FAILURE)]
    with pytest.raises(
        RunFailed, match=r"brave-otter-7 failed: ValueError: shapes \(exit code 1; peak memory 9 MB\)"
    ) as raised:
        run.wait_for_completion()
    assert "brave-otter-7" in raised.value.mend
    assert raised.value.details["failure"] == FAILURE
    assert run.wait_for_completion(raise_on_error=False)["error"]["error"]["message"] == "ValueError: shapes"


def test_a_canceled_run_does_not_raise(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}"] = state("Canceled")
    assert run.wait_for_completion()["status"] == "Canceled"


def test_an_interrupt_says_how_to_come_back(
    run: Run, service: FakeConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(given: dict[str, object]) -> dict[str, object]:
        if given:
            raise KeyboardInterrupt
        return state("Running")

    service.answers[f"GET {PATH}"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        run.wait_for_completion()
    assert 'mltrain.run("brave-otter-7")' in capsys.readouterr().out
    assert not any("cancel" in path for _, path, _ in service.asked)


def test_the_status_of_an_ended_run_is_not_asked_again(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}"] = state("Completed")
    assert run.get_status() == "Completed"
    asked = len(service.asked)
    assert run.get_status() == run.status == "Completed"
    assert len(service.asked) == asked


def test_files_below_a_prefix_come_one_by_one(run: Run, service: FakeConnection, tmp_path: Path) -> None:
    names = ["outputs/a.txt", "outputs/deep/b.txt", "outputs2/c.txt", "user_logs/std_log.txt"]
    service.answers[f"GET {PATH}/files"] = {"files": [{"path": name} for name in names]}
    run.download_files(prefix="./outputs/", output_directory=tmp_path, append_prefix=False)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.txt")) == ["a.txt", "deep/b.txt"]
    run.download_files(output_directory=tmp_path / "all")
    assert (tmp_path / "all" / "outputs2" / "c.txt").read_text() == "outputs2/c.txt"
    run.download_file("outputs/a.txt", tmp_path / "all")
    assert (tmp_path / "all" / "a.txt").is_file()
    with pytest.raises(PathNotFound) as raised:
        run.download_files(prefix="outpts", output_directory=tmp_path)
    assert raised.value.mend or raised.value.details["nearest"] == []


def test_a_tag_is_added_to_those_that_are_there(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}"] = state("Running", tags={"a": "1"})
    service.answers[f"PATCH {PATH}"] = state("Running", tags={"a": "1", "b": "2"})
    run.tag("b", "2")
    assert service.asked[-1] == ("PATCH", PATH, {"tags": {"a": "1", "b": "2"}})


def test_metrics_of_one_name(run: Run, service: FakeConnection) -> None:
    service.answers[f"GET {PATH}/values"] = {"loss": [1, 2], "acc": 0.5}
    assert run.get_metrics() == {"loss": [1, 2], "acc": 0.5}
    assert run.get_metrics("loss") == {"loss": [1, 2]}
    assert run.get_metrics("none") == {}


def test_a_run_shows_itself_as_in_the_sdk(run: Run, service: FakeConnection) -> None:
    assert "Status: unknown" in repr(run)
    service.answers[f"GET {PATH}"] = state("Running")
    assert run.get_status() == "Running"
    assert repr(run) == "Run(Experiment: e,\nId: e_1_aaaaaaaa,\nType: mltrain.scriptrun,\nStatus: Running)"
    assert run.number == 7
    details = run.get_details()
    assert details["startTimeUtc"] == "1970-01-01T00:00:02Z"
    assert details["endTimeUtc"] is None
    assert details["error"] is None


def test_the_way_back(workspace: Workspace, service: FakeConnection) -> None:
    service.answers["GET /v1/runs/brave-otter-7"] = service.answers["GET /v1/runs/latest"] = state("Completed")
    assert run_named("brave-otter-7", workspace).id == latest(workspace).id == "e_1_aaaaaaaa"
    for name in ("", "..", "a/b"):
        with pytest.raises(RunNotFound):
            run_named(name, workspace)
