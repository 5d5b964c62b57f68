from __future__ import annotations

import json

import pytest

from jupyter_mltrain.core import ids
from jupyter_mltrain.core.spec import DataInput, Resources, RunSpec, Substitution
from jupyter_mltrain.errors import BY_CODE, InvalidName, MLTrainError, RunNotFound, from_wire


def test_a_spec_survives_its_file():
    spec = RunSpec(
        run_id="e_1_abc",
        experiment="e",
        display_name="brave-otter-7",
        target="local",
        environment="tensorflow",
        script="cell.py",
        arguments=("--a", "é", "<script>"),
        data=(DataInput("mnist", 1, "--data-folder"),),
        resources=Resources(gpus=1, memory_gb=4),
        secrets=("K",),
        tags={"a": "b"},
        substitutions=(Substitution("size", "STANDARD_NC6", "cpu", "no GPU here"),),
    )
    assert RunSpec.from_json(json.loads(spec.dumps())) == spec


def test_a_spec_of_a_newer_version_is_read():
    spec = RunSpec("i", "e", "d", "local", "tensorflow", script="a.py")
    assert RunSpec.from_json({**spec.to_json(), "format": 2, "invented_later": [1]}) == spec


def test_run_ids_are_safe_file_names_and_unique():
    made = {ids.new_run_id("e" * 255, now=1.0) for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(i.encode()) <= 255 for i in made)


@pytest.mark.parametrize("name", ["", "-a", "a b", "é", "a/b", "a" * 256, "<script>", "😀"])
def test_experiment_names_the_sdk_refuses(name):
    with pytest.raises(InvalidName):
        ids.check_experiment(name)


@pytest.mark.parametrize(
    ("text", "slug"), [("Train MNIST (2)", "train-mnist-2"), ("日本", "notebook"), ("Über_x", "uber_x")]
)
def test_slugs(text, slug):
    assert ids.slug(text) == slug
    ids.check_experiment(ids.slug(text))


def test_data_variables():
    assert DataInput("fashion-mnist").variable == "MLTRAIN_DATA_FASHION_MNIST"


def test_errors_cross_the_wire_as_themselves():
    for cls in BY_CODE.values():
        back = from_wire(cls("what", mend="do", detail=1).to_wire())
        assert type(back) is cls
        assert (back.message, back.mend, back.details) == ("what", "do", {"detail": 1})
    assert type(from_wire({"code": "not_found.invented.later", "message": "m"})).code == "not_found"


def test_codes_are_unique():
    def walk(cls):
        yield cls
        for sub in cls.__subclasses__():
            yield from walk(sub)

    classes = set(walk(MLTrainError))  # a class with two parents once
    assert len({c.code for c in classes}) == len(classes)


def test_an_error_shows_as_two_lines_and_names_what_is_near():
    error = RunNotFound.of("brave-oter-7", ["brave-otter-7", "calm-fox-1"])
    assert error._render_traceback_() == [
        "RunNotFound: There is no run 'brave-oter-7' here.",
        "Did you mean brave-otter-7?",
    ]
