"""JSON in and out, and the answer for a request that cannot be taken. Needs no numpy, and knows its values."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

try:
    import orjson
except ImportError:  # an environment of the user's with a server but without it: slower, no less right
    orjson = None  # type: ignore[assignment]
else:
    _OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Refused(Exception):  # noqa: N818 - it is the answer, more than an error
    """The request is not one that the model can take. `status`: of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def loads(body: bytes) -> Any:
    """The JSON value of `body`. `NaN`, `Infinity` and `-Infinity` are numbers, as TensorFlow Serving has it."""
    try:
        return orjson.loads(body) if orjson is not None else json.loads(body)
    except RecursionError:
        raise Refused("The body is no JSON that can be read: it is nested too deep.") from None
    except ValueError as error:  # both libraries' errors are ValueErrors
        if b"NaN" in body or b"Infinity" in body:
            try:
                return json.loads(body)
            except (ValueError, RecursionError):
                pass
        raise Refused(f"The body is no JSON: {error}.") from None


def dumps(value: Any) -> bytes:
    """`value`, which may hold arrays, as JSON. What is not finite is written as TensorFlow Serving does: NaN, Infinity."""
    if orjson is not None:
        try:
            data: bytes = orjson.dumps(value, option=_OPTIONS)
        except TypeError:
            pass  # something that only the slower writer below knows to turn into JSON
        else:
            # It writes null for what is not finite.
            if b"null" not in data or _finite(value):
                return data
    return json.dumps(value, default=_to_json, separators=(",", ":")).encode()


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return all(_finite(each) for each in value)
    if isinstance(value, float):
        return math.isfinite(value)
    dtype = getattr(value, "dtype", None)  # of numpy, if the value is one of its
    numpy = sys.modules.get("numpy")
    if dtype is None or numpy is None or getattr(dtype, "kind", "") != "f":
        return True
    return bool(numpy.isfinite(value).all())


def _to_json(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's arrays and scalars, and whatever else knows how
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
