"""Whether TensorFlow sees the GPUs that were given to this process, and if not, what is missing.

Run as text by the environment's interpreter, in the run's own folder and environment; its last line of output is a JSON
object: `{"ok": true}`, or `part` (driver, toolkit, wheel, or "" where all of them are there), `text` and `mend`.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import json
import os
import sys
from typing import Any

_WHEEL = "Use an environment with tensorflow[and-cuda], such as the curated `tensorflow` on a target with GPUs."
_DRIVER = "Install or update the NVIDIA driver on the machine (of a container: on its host, with the NVIDIA container toolkit)."
_TOOLKIT = "Add tensorflow[and-cuda] to the environment: it brings CUDA's libraries in the versions that TensorFlow was built with."


def look(wanted: int) -> dict[str, Any]:
    """What `main` prints, for so many GPUs."""
    if importlib.util.find_spec("tensorflow") is None:
        return {"ok": True}
    try:
        import tensorflow as tf  # pyright: ignore[reportMissingImports]
    except Exception as error:  # noqa: BLE001 - a wheel can fail in any way
        return _missing("wheel", f"tensorflow cannot be imported: {type(error).__name__}: {error}", _WHEEL)
    find = getattr(tf.config, "list_physical_devices", None) or tf.config.experimental.list_physical_devices
    seen = len(find("GPU"))
    if seen >= wanted:
        return {"ok": True}
    version = getattr(tf, "__version__", "")
    if not tf.test.is_built_with_cuda():
        return _missing("wheel", f"tensorflow {version} is a build for CPUs alone", _WHEEL)
    told = getattr(getattr(tf, "sysconfig", None), "get_build_info", dict)()
    return (
        _driver(wanted, str(told.get("cuda_version") or ""))
        or _toolkit(str(told.get("cuda_version") or ""), str(told.get("cudnn_version") or ""))
        or _missing(
            "", f"tensorflow {version} sees {seen} of {wanted} GPUs, though driver, toolkit and wheel are there", ""
        )
    )


def _driver(wanted: int, cuda: str) -> dict[str, Any] | None:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return _missing("driver", "libcuda.so.1 cannot be loaded", _DRIVER)
    code = library.cuInit(0)
    if code:
        words = ctypes.c_char_p()
        library.cuGetErrorString(code, ctypes.byref(words))
        said = (words.value or b"").decode("utf-8", "replace")
        return _missing("driver", f"it answers {said or 'nothing'} (error {code})", _DRIVER)
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    major = cuda.partition(".")[0]
    if major.isdigit() and number.value // 1000 < int(major):
        has = f"{number.value // 1000}.{number.value % 1000 // 10}"
        return _missing("driver", f"it is good for CUDA {has}, and this tensorflow needs CUDA {cuda}", _DRIVER)
    library.cuDeviceGetCount(ctypes.byref(number))
    if number.value < wanted:
        return _missing("driver", f"it shows {number.value} of the {wanted} GPUs given", _DRIVER)
    return None


def _toolkit(cuda: str, cudnn: str) -> dict[str, Any] | None:
    names = [(name, cuda) for name in ("libcudart.so", "libcublas.so")] + [("libcudnn.so", cudnn)]
    wanted = [f"{name}.{version.partition('.')[0]}" for name, version in names if version]
    absent = [name for name in wanted if not _is_there(name)]
    return _missing("toolkit", f"{', '.join(absent)} cannot be loaded", _TOOLKIT) if absent else None


def _is_there(library: str) -> bool:
    """Where the system finds it, or among NVIDIA's packages, where TensorFlow looks."""
    if any(glob.glob(os.path.join(folder or ".", "nvidia", "*", "lib", library)) for folder in sys.path):
        return True
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _missing(part: str, text: str, mend: str) -> dict[str, Any]:
    return {"part": part, "text": text, "mend": mend}


if __name__ == "__main__":
    answer = look(int(os.environ["MLTRAIN_GPUS_GIVEN"]))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # TensorFlow takes its time to end, and has nothing to say
