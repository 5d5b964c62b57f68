"""All that can say which run another goes on from must mean the same one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from jupyter_mltrain.api.config import RunConfiguration, ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.resuming import DataPathComputeBinding
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import UsageError


class Here:
    root = "/w"
    name = "w"


def run(run_id: str) -> Run:
    return Run(Experiment(cast("Workspace", Here()), "e"), run_id)


def request(*arguments: Any, references: dict[str, Any] | None = None, resume_from: object = None) -> dict[str, Any]:
    about = RunConfiguration()
    about.data_references = references or {}
    return ScriptRunConfig(script="a.py", arguments=arguments, run_config=about, resume_from=resume_from).request()


def test_nothing_is_said_of_a_run_that_goes_on_from_none() -> None:
    assert not {"resume_from", "retries"} & request("--x").keys()


def test_the_sdks_references() -> None:
    outputs = run("e_1")._get_outputs_datapath()
    there = outputs.create_data_reference("model_location", DataPathComputeBinding(mode="mount"))
    assert str(there) == "$AZUREML_DATAREFERENCE_model_location"
    references = {there.data_reference_name: there.to_config()}
    asked = request("--resume-from", str(there), references=references, resume_from=outputs)
    assert asked["resume_from"] == "e_1"
    assert asked["arguments"] == ["--resume-from", "DatasetConsumptionConfig:resume_from"]
    assert request("a", there.as_mount())["arguments"][1] == "DatasetConsumptionConfig:resume_from"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: request(run("a")._get_outputs_datapath().create_data_reference(), resume_from="b"), "b and a are given"),
        (lambda: request(references={"mnist": object()}), "takes the outputs of runs alone"),
        (lambda: request(resume_from=True), "resume_from is a bool"),
        (lambda: request(resume_from=""), "resume_from is a str"),
        (
            lambda: run("a")._get_outputs_datapath().create_data_reference(
                datapath_compute_binding=DataPathComputeBinding(mode="upload")
            ),
            "cannot be bound for 'upload'",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(asked: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        asked()
