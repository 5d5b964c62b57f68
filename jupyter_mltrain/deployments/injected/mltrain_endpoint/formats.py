"""TensorFlow Serving's REST formats: a request's JSON to arrays that the signature takes, and its results back.

Row format: `{"instances": [sample, …]}` is answered by `{"predictions": [result, …]}`; column format: `{"inputs": …}` by
`{"outputs": …}`. A model with one input takes values, one with several takes objects by input name; values of a model with
one output stand alone, else in objects. Bytes are `{"b64": "…"}`. Source: tensorflow.org/tfx/serving/api_rest.

What does not fit is refused with one line that says where (`Refused`).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np

from .jsons import Refused, dumps, loads
from .signatures import Tensor


class Parsed(NamedTuple):
    """`rows`: how many samples the row format gave; None in the column format."""

    signature: str
    arrays: dict[str, Any]
    rows: int | None


_KEYS = frozenset({"signature_name", "instances", "inputs"})


def parse(body: bytes, signatures: Mapping[str, Mapping[str, Tensor]], default: str) -> Parsed:
    """The arrays of a `:predict` request, checked against the inputs of the signature it names (else `default`)."""
    request = loads(body)
    if not isinstance(request, dict):
        raise Refused('The body must be an object: {"instances": [sample, …]} or {"inputs": …}.')
    unknown = request.keys() - _KEYS
    if unknown:
        raise Refused(
            f"The body has an unknown key {min(unknown)!r}: it takes instances or inputs, and signature_name."
        )
    if ("instances" in request) == ("inputs" in request):
        raise Refused('The body needs one of the two: {"instances": [sample, …]} or {"inputs": …}.')
    name = request.get("signature_name") or default
    inputs = signatures.get(name) if isinstance(name, str) else None
    if inputs is None:
        raise Refused(f"The model has no signature {name!r}: it has {', '.join(sorted(signatures))}.", 404)
    if "instances" in request:
        instances = request["instances"]
        if not isinstance(instances, list) or not instances:
            raise Refused("`instances` must be a list of at least one sample.")
        columns = _columns(instances, inputs)
        rows: int | None = len(instances)
    else:
        columns = _by_name(request["inputs"], inputs)
        rows = None
    where = "instances" if rows is not None else "inputs"
    arrays = {key: to_array(columns[key], tensor, key, where) for key, tensor in inputs.items()}
    return Parsed(name, arrays, rows)


def _columns(instances: list[Any], inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """The samples of the row format, one list per input."""
    first = instances[0]
    if isinstance(first, dict) and not (first.keys() == {"b64"} and len(inputs) == 1):
        for index, sample in enumerate(instances):
            if not isinstance(sample, dict):
                raise Refused(f"instances[{index}] is no object, but instances[0] is one.")
            _check_names(sample, inputs, f"instances[{index}]")
        return {key: [sample[key] for sample in instances] for key in inputs}
    if len(inputs) != 1:
        raise Refused(f"Each sample must be an object with the inputs {_names(inputs)}.")
    [key] = inputs
    return {key: instances}


def _by_name(value: Any, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    if isinstance(value, dict) and not (value.keys() == {"b64"} and len(inputs) == 1):
        _check_names(value, inputs, "inputs")
        return value
    if len(inputs) != 1:
        raise Refused(f"`inputs` must be an object with {_names(inputs)}.")
    [key] = inputs
    return {key: value}


def _check_names(given: Mapping[str, Any], inputs: Mapping[str, Tensor], where: str) -> None:
    if given.keys() == inputs.keys():
        return
    unknown, missing = sorted(given.keys() - inputs.keys()), sorted(inputs.keys() - given.keys())
    what = f"has an unknown input {unknown[0]!r}" if unknown else f"lacks the input {missing[0]!r}"
    raise Refused(f"{where} {what}: the model takes {_names(inputs)}.")


def _names(inputs: Mapping[str, Tensor]) -> str:
    return ", ".join(repr(key) for key in inputs)


def to_array(value: Any, tensor: Tensor, name: str, where: str = "inputs") -> Any:
    """`value` (nested lists) as an array of the tensor's dtype and shape."""
    array = _strings(value) if tensor.dtype == "string" else _numbers(value, tensor.dtype, name, where)
    _check_shape(array.shape, tensor, name)
    return array


def _numbers(value: Any, dtype: str, name: str, where: str) -> Any:
    try:
        raw = np.asarray(value)
    except (ValueError, OverflowError):  # ragged lists, in numpy from 1.24 on
        raw = None
    if raw is None or raw.dtype.kind == "O":
        raise Refused(f"{_odd(value, where, name)}.")
    kind = raw.dtype.kind
    if dtype == "bool":
        if kind != "b":
            raise Refused(f"Input {name!r} takes true and false, not {_sort(kind)}.")
        return raw
    if kind not in "iuf":
        raise Refused(f"{_stranger(value, where)}: input {name!r} takes numbers ({dtype}).")
    target = numpy_type(dtype)
    if raw.size == 0:
        return raw.astype(target)
    if target.kind in "iu":
        return _whole(raw, target, name)
    with np.errstate(over="ignore"):
        array = raw.astype(target)
    if target.kind == "c" or math.isfinite(array.sum(dtype=np.float64)):
        return array  # one sum is not finite if any number is not; only then is it worth to look at each
    if (np.isinf(array) & np.isfinite(raw)).any():
        raise Refused(f"Input {name!r} has a number that {dtype} cannot hold.")
    return array


def _whole(raw: Any, target: Any, name: str) -> Any:
    limits = np.iinfo(target)
    if raw.dtype.kind == "f" and not (np.isfinite(raw).all() and (raw == np.rint(raw)).all()):
        raise Refused(f"Input {name!r} takes whole numbers ({target.name}).")
    if raw.min() < limits.min or raw.max() > limits.max:
        raise Refused(f"Input {name!r} takes {target.name}: numbers from {limits.min} to {limits.max}.")
    return raw.astype(target)


def numpy_type(dtype: str) -> Any:
    if dtype == "bfloat16":
        return np.dtype("float32")  # TensorFlow makes it smaller; numpy does not have it
    try:
        return np.dtype(dtype)
    except TypeError:
        raise Refused(f"Inputs of type {dtype} cannot be sent as JSON.") from None


def _strings(value: Any) -> Any:
    def read(each: Any) -> Any:
        if isinstance(each, list):
            return [read(inner) for inner in each]
        if isinstance(each, str):
            return each.encode()
        if isinstance(each, dict) and each.keys() == {"b64"} and isinstance(each["b64"], str):
            try:
                return base64.b64decode(each["b64"], validate=True)
            except binascii.Error as error:
                raise Refused(f'{{"b64": …}} cannot be read: {error}.') from None
        raise Refused(f'{json.dumps(each)[:60]} is no text: write a string, or {{"b64": "…"}} for bytes.')

    read_value = read(value)
    shape: list[int] = []
    level = read_value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    array = np.empty(shape, dtype=object)
    try:
        array[...] = read_value
    except ValueError:
        raise Refused("The lists of text are not all of the same length.") from None
    if any(isinstance(each, list) for each in array.flat):
        raise Refused("The lists of text are not all of the same length.")
    return array


def _check_shape(shape: Sequence[int], tensor: Tensor, name: str) -> None:
    wanted = tensor.shape
    if wanted is None:
        return
    if len(shape) != len(wanted) or any(w is not None and w != s for w, s in zip(wanted, shape)):
        takes = ", ".join("any" if each is None else str(each) for each in wanted)
        hint = ""
        if len(shape) == len(wanted) - 1 and wanted and wanted[0] in (None, 1):
            hint = " One sample alone is to stand in a list."
        raise Refused(f"Input {name!r} has the shape {list(shape)}; the model takes [{takes}].{hint}")


def _odd(value: Any, where: str, name: str) -> str:
    """What in `value` kept numpy from making an array of it."""
    problem = _find(value, where, lambda each: each is None or isinstance(each, (str, dict)))
    if problem is not None:
        place, each = problem
        return f"{place} is {json.dumps(each)[:60]}: input {name!r} takes numbers"
    if _find(value, where, lambda each: isinstance(each, int) and abs(each) >= 1 << 64) is not None:
        return f"Input {name!r} has a number with more than 64 bits"
    return f"The lists of input {name!r} are not all of the same length"


def _stranger(value: Any, where: str) -> str:
    found = _find(value, where, lambda each: isinstance(each, (str, bool, dict)) or each is None)
    return f"{found[0]} is {json.dumps(found[1])[:60]}" if found else f"{where} holds something else"


def _find(value: Any, where: str, wanted: Any) -> tuple[str, Any] | None:
    todo = [(where, value)]
    while todo:
        place, each = todo.pop()
        if isinstance(each, list):
            todo += [(f"{place}[{index}]", inner) for index, inner in reversed(list(enumerate(each)))]
        elif wanted(each):
            return place, each
    return None


def _sort(kind: str) -> str:
    return {"i": "whole numbers", "u": "whole numbers", "f": "numbers"}.get(kind, "text")


def answer(outputs: Mapping[str, Any], rows: int | None) -> bytes:
    """The body of the answer; `rows` as in `Parsed`."""
    if rows is None:
        columns = {key: plain(value, key) for key, value in outputs.items()}
        return dumps({"outputs": next(iter(columns.values())) if len(columns) == 1 else columns})
    for key, value in outputs.items():
        shape = value.shape
        if not shape or shape[0] != rows:
            raise Refused(
                f"The output {key!r} has the shape {list(shape)} for {rows} samples, so that there is no result for"
                ' each: ask with {"inputs": …}.'
            )
    if len(outputs) == 1:
        [(key, value)] = outputs.items()
        return dumps({"predictions": plain(value, key)})
    columns = {key: plain(value, key) for key, value in outputs.items()}
    return dumps({"predictions": [{key: value[i] for key, value in columns.items()} for i in range(rows)]})


def plain(value: Any, name: str) -> Any:
    """An array that the JSON writer takes, or nested lists."""
    array = np.asarray(value)
    if array.dtype.char in "fd" and array.flags.c_contiguous:
        return array  # as most are
    if array.dtype.kind in "OSU":
        return _texts(array.tolist(), always=name.endswith("_bytes"))
    if array.dtype.kind == "c":
        raise Refused(f"The output {name!r} holds complex numbers, which JSON cannot carry.", 500)
    if array.dtype.kind not in "iufb" or (array.dtype.kind == "f" and array.dtype.itemsize < 4):
        array = array.astype(np.float32)  # float16, bfloat16
    return np.ascontiguousarray(array)


def _texts(value: Any, always: bool) -> Any:
    if isinstance(value, list):
        return [_texts(each, always) for each in value]
    if isinstance(value, str):
        return value
    if not always:
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            pass
    return {"b64": base64.b64encode(bytes(value)).decode()}
