"""Environments that are there without being defined. Versions are those of the day a workspace first uses one."""

from __future__ import annotations

from jupyter_mltrain.core.environment import EnvironmentDefinition

_COMMON = (
    "tensorboard>=2.20",  # tf.summary needs it
    "matplotlib>=3.9",  # the scripts this package is for draw their digits with it
)
_HAS_CPU_WHEEL = "sys_platform == 'linux' and platform_machine == 'x86_64'"

CURATED: dict[str, EnvironmentDefinition] = {
    "tensorflow": EnvironmentDefinition(
        name="tensorflow",
        python=">=3.10,<3.14",
        pip=(
            f"tensorflow-cpu>=2.20; {_HAS_CPU_WHEEL}",  # half the size of `tensorflow`, which brings CUDA code along
            "tensorflow>=2.20; sys_platform != 'linux' or platform_machine != 'x86_64'",
            *_COMMON,
        ),
        pip_gpu=("tensorflow[and-cuda]>=2.20", *_COMMON),
        imports=("tensorflow",),
        environment_variables={"TF_CPP_MIN_LOG_LEVEL": "1"},  # hides a page of information, not warnings
        curated=True,
        description="The current TensorFlow, with TensorBoard and Matplotlib; the build follows the target's hardware.",
    )
}

RESERVED = ("current", *CURATED)
"""Names that a user's definition cannot take; nor any that starts with `AzureML`."""
