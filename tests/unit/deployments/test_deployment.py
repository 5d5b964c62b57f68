"""Names, floors, plans and causes: what is decided before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core.deployment import (
    MEMORY_FLOOR_GB,
    EndpointInputs,
    EndpointSpec,
    ServedModel,
    check_service_name,
    memory_of,
    service_name,
)
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.deployments.causes import cause
from jupyter_mltrain.deployments.local import LocalDeployer, choose_cpus
from jupyter_mltrain.errors import WebserviceException

MODEL = ServedModel("tf-mnist", 3, "SavedModel", "model", "sha256:0")


@pytest.mark.parametrize("name", ["abc", "a-b", "tensorflow-web-service", "a" * 32, "a0-1-2b"])
def test_names_that_the_sdk_takes(name: str) -> None:
    assert check_service_name(name) == name


@pytest.mark.parametrize("name", ["", "ab", "a" * 33, "Abc", "1bc", "-bc", "ab-", "a_b", "a.b", "a b", "äbc", "abc\n"])
def test_names_that_it_does_not(name: str) -> None:
    with pytest.raises(WebserviceException, match="not allowed"):
        check_service_name(name)


@given(st.text(min_size=1, max_size=60))
def test_a_name_made_from_a_models_is_one(text: str) -> None:
    check_service_name(service_name(text))


def test_a_limit_is_raised_to_the_floor_and_no_further() -> None:
    floor = MEMORY_FLOOR_GB["TensorFlow"]
    assert memory_of(None, "TensorFlow", script=False) == (None, None)
    assert memory_of(4, "TensorFlow", script=False) == (4, None)
    assert memory_of(floor, "Keras", script=False) == (floor, None)
    given_gb, told = memory_of(0.5, "TensorFlow", script=False)
    assert given_gb == floor
    assert told is not None
    assert (told.kind, told.asked, told.given) == ("memory_gb", "0.5", f"{floor:g}")
    assert "measured" in told.reason


def test_a_spec_survives_its_file() -> None:
    spec = EndpointSpec(
        "abc", 2, (MODEL,), "tensorflow:1", cpu=1, memory_gb=0.9, created=1.5,
        substitutions=(Substitution("memory_gb", "0.5", "0.9", "r"),), notices=("n",),
    )  # fmt: skip
    raw = json.loads(json.dumps(spec.to_json()))
    assert EndpointSpec.from_json({**raw, "of a newer version": 1}) == spec


def test_a_plan_says_all_that_would_run(tmp_path: Path) -> None:
    spec = EndpointSpec("abc", 2, (MODEL,), "tensorflow:1", memory_gb=0.9, environment_variables={"A": "b"})
    inputs = EndpointInputs("w-abc-1", tmp_path, "/env/bin/python", ("/overlay",), {"TF_CPP_MIN_LOG_LEVEL": "3"}, (1,))
    plan = LocalDeployer().plan(spec, inputs)
    revision = tmp_path / "revisions" / "2"
    assert plan.argv == ("/env/bin/python", f"{revision}/inject/mltrain_endpoint", f"{revision}/serve.json")
    assert plan.cwd == f"{revision}/app"
    assert plan.memory_bytes == 900_000_000
    assert plan.cpus == (1,)
    assert plan.env["AZUREML_MODEL_DIR"] == f"{revision}/app/azureml-models/tf-mnist/3"
    assert plan.env["A"] == "b"
    assert plan.env["TF_CPP_MIN_LOG_LEVEL"] == "3"
    [model] = plan.serve["models"]
    assert model["path"] == f"{revision}/app/azureml-models/tf-mnist/3/model"
    assert plan.serve["script"] is None
    assert plan.serve["overlay"] == ["/overlay"]
    several = EndpointSpec("abc", 2, (MODEL, MODEL), "e", entry_script="src/score.py")
    plan = LocalDeployer().plan(several, inputs)
    assert plan.env["AZUREML_MODEL_DIR"] == f"{revision}/app/azureml-models"
    assert plan.serve["script"] == {"path": f"{revision}/app/src/score.py"}


def test_endpoints_share_cpus_as_little_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert choose_cpus(None, []) is None
    assert choose_cpus(4, []) is None
    assert choose_cpus(0.1, []) == (0,)
    assert choose_cpus(1, [[0], [0, 1]]) == (2,)
    assert choose_cpus(1.5, [[0], [2]]) == (1, 3)


EXIT = {"code": None, "signal": None, "stopped": "", "oom_kills": 0, "peak_bytes": 5e8, "limit_bytes": 6e8, "error": ""}


@pytest.mark.parametrize(
    ("exit_record", "said", "title"),
    [
        (None, None, "unseen"),
        ({**EXIT, "stopped": "memory limit", "signal": 9}, None, "more memory than its limit of 0.60 GB"),
        ({**EXIT, "signal": 9, "oom_kills": 1, "limit_bytes": None}, None, "more memory than what the machine has"),
        ({**EXIT, "code": 3}, {"title": "No signature.", "traceback": "T"}, "No signature."),
        ({**EXIT, "code": 3}, None, "exit code 3"),
        ({**EXIT, "signal": 11}, None, "SIGSEGV"),
        ({**EXIT, "error": "could not run x"}, None, "could not run x"),
        ({**EXIT, "code": 0}, None, "exit code 0"),
    ],
)
def test_a_cause_cites_its_evidence(exit_record: object, said: object, title: str) -> None:
    found = cause(exit_record, said)  # type: ignore[arg-type]
    assert title in found["title"]
    assert found["mend"]


def test_the_servers_code_needs_nothing_of_the_package() -> None:
    """It runs in environments that have neither us nor numpy."""
    folder = Path(__file__).parents[3] / "jupyter_mltrain" / "deployments" / "injected"
    for path in folder.rglob("*.py"):
        text = path.read_text()
        assert "import jupyter_mltrain" not in text
        assert "from jupyter_mltrain" not in text
        compile(text, str(path), "exec")
