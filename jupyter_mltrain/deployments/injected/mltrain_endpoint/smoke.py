"""One prediction, and out: `python …/mltrain_endpoint --smoke ASKED_JSON FOLDER` writes `answer.json` or `failure.json`.

`asked.json`: {"path", "format", "overlay", "sample": what `inputs` of a request takes, or null for zeros}.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from .server import FAILED, _title, _write

_MOST = 200
"""Numbers of an output that are shown."""


def main(asked: str, folder: str) -> int:
    with open(asked, encoding="utf-8") as file:
        about = json.load(file)
    sys.path += about["overlay"]
    began = time.monotonic()
    try:
        answer = _predict(about)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the user's to see
        traceback.print_exc()
        _write(folder, "failure.json", {"title": _title(error), "traceback": traceback.format_exc()[-20_000:]})
        return FAILED
    _write(folder, "answer.json", {**answer, "seconds": round(time.monotonic() - began, 3)})
    return 0


def _predict(about: Any) -> Any:
    from . import formats, jsons
    from .signatures import load
    from .trial import zeros

    loaded = load(about["path"], about["format"])
    signature = loaded.signatures[loaded.default]
    if about["sample"] is None:
        arrays = {name: zeros(tensor) for name, tensor in signature.inputs.items()}
    else:
        body = jsons.dumps({"inputs": about["sample"]})
        arrays = formats.parse(body, {loaded.default: signature.inputs}, loaded.default).arrays
    signature.call(arrays)  # the first call makes plans
    began = time.perf_counter()
    outputs = signature.call(arrays)
    took = time.perf_counter() - began
    shown = {name: _some(value) for name, value in outputs.items()}
    return {
        "outputs": json.loads(jsons.dumps(shown)),
        "shapes": {name: {"dtype": str(value.dtype), "shape": list(value.shape)} for name, value in outputs.items()},
        "framework": loaded.framework,
        "predict_ms": round(took * 1000, 3),
    }


def _some(value: Any) -> Any:
    """The array, or the first of its numbers where there are many."""
    from .formats import plain

    value = plain(value, "")
    return value if getattr(value, "size", 0) <= _MOST else value.reshape(-1)[:_MOST]
