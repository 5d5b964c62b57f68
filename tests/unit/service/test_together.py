"""What several processes would fail of is told before they start, and nothing else is."""

from __future__ import annotations

import pytest

from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution, Resources, RunSpec
from jupyter_mltrain.errors import PreflightError
from jupyter_mltrain.service.together import check_together, crowded

KERAS_3 = ("tensorflow-cpu==2.21.0", "keras==3.12.0")
FITS = """
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = build()
model.fit(data, epochs=3)
"""


def spec(launcher: str, **more: object) -> RunSpec:
    return RunSpec(
        "e_1_a", "e", "x", "local", "mine", script="train.py", distribution=Distribution(launcher, 2), **more
    )  # type: ignore[arg-type]


def test_horovod_has_to_be_there() -> None:
    with pytest.raises(PreflightError, match="'mine' has no Horovod, which 2 processes") as told:
        check_together(spec(MPI), KERAS_3, "print(1)")
    assert "tensorflow-horovod" in told.value.mend
    check_together(spec(MPI), ("Horovod==0.28.1",), "print(1)")
    check_together(spec(TENSORFLOW), (), "print(1)")


def test_what_keras_3_cannot_do_is_told_with_its_line() -> None:
    for strategy in ("MultiWorkerMirroredStrategy", "ParameterServerStrategy"):
        with pytest.raises(PreflightError) as told:
            check_together(spec(TENSORFLOW), KERAS_3, FITS.replace("MultiWorkerMirroredStrategy", strategy))
        assert (
            told.value.message
            == f"Keras 3.12.0 of the environment 'mine' cannot `fit` under {strategy} (train.py, line 6)."
        )
        assert "tensorflow-2.12" in told.value.mend
        assert "strategy.run" in told.value.mend


@pytest.mark.parametrize(
    "script",
    [
        FITS.replace("model.fit(data, epochs=3)", "strategy.run(step)"),
        FITS.replace("model.fit(data, epochs=3)", "scaler.fit(data)"),
        FITS.replace("MultiWorkerMirroredStrategy", "MirroredStrategy"),
        FITS.replace("import tensorflow", "import tf_keras, tensorflow"),
        "model.fit(",
        None,
    ],
)
def test_what_may_go_well_is_left_alone(script: str | None) -> None:
    check_together(spec(TENSORFLOW), KERAS_3, script)


def test_keras_2_fits() -> None:
    check_together(spec(TENSORFLOW), ("tensorflow-cpu==2.12.1", "keras==2.12.0"), FITS)
    check_together(spec(TENSORFLOW, environment_variables={"TF_USE_LEGACY_KERAS": "1"}), KERAS_3, FITS)


def test_processes_in_each_other_s_way_are_told_and_not_refused() -> None:
    def told(distribution: Distribution, **given: int) -> list[str]:
        spec = RunSpec("e_1_aa", "e", "x", "local", "e", script="a.py", distribution=distribution)
        return crowded(spec, Resources(**given), 4)

    assert told(Distribution(MPI, 1, 4)) == []
    assert told(Distribution(MPI, 1, 5)) == ["5 processes have 4 CPUs between them: they take turns."]
    assert told(Distribution(MPI, 2, 4), cpus=4) == []
    assert told(Distribution(MPI, 2, 4), cpus=3) == ["8 processes have 6 CPUs between them: they take turns."]
    [line] = told(Distribution(MPI, 2, 2), cpus=2, gpus=1)
    assert line.startswith("2 processes of a node have 1 GPU between them")
