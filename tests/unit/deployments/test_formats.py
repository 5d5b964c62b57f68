"""TensorFlow Serving's REST formats: what goes in comes out, and what cannot go in is refused in one line."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jupyter_mltrain.deployments.injected.mltrain_endpoint import formats
from jupyter_mltrain.deployments.injected.mltrain_endpoint.formats import answer, parse
from jupyter_mltrain.deployments.injected.mltrain_endpoint.jsons import Refused, dumps
from jupyter_mltrain.deployments.injected.mltrain_endpoint.signatures import Tensor

ONE = {"serving_default": {"x": Tensor("float32", [None, 3])}}
TWO = {"serving_default": {"a": Tensor("float32", [None, 2]), "b": Tensor("int64", [None])}}

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def ask(request: Any, signatures: Any = ONE) -> formats.Parsed:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    return parse(body, signatures, "serving_default")


def refusal(request: Any, signatures: Any = ONE) -> str:
    with pytest.raises(Refused) as error:
        ask(request, signatures)
    said = str(error.value)
    assert "\n" not in said
    return said


@given(arrays.arrays(np.float32, SHAPES, elements=FLOATS))
def test_any_array_passes_both_formats_unchanged(array: Any) -> None:
    signatures = {"s": {"x": Tensor("float32", [None, *array.shape[1:]])}}
    row = parse(json.dumps({"instances": array.tolist()}).encode(), signatures, "s")
    column = parse(json.dumps({"inputs": array.tolist()}).encode(), signatures, "s")
    named = parse(json.dumps({"instances": [{"x": one} for one in array.tolist()]}).encode(), signatures, "s")
    assert (row.rows, column.rows, named.rows) == (len(array), None, len(array))
    for parsed in (row, column, named):
        assert parsed.arrays["x"].dtype == np.float32
        np.testing.assert_array_equal(parsed.arrays["x"], array)
    assert json.loads(answer({"y": array}, len(array))) == {"predictions": array.tolist()}
    assert json.loads(answer({"y": array}, None)) == {"outputs": array.tolist()}


@given(arrays.arrays(np.int64, SHAPES), st.sampled_from(["int8", "uint8", "int16", "int32", "int64"]))
def test_integers_pass_exactly_or_are_refused(array: Any, dtype: str) -> None:
    signatures = {"s": {"x": Tensor(dtype, [None] * array.ndim)}}
    limits = np.iinfo(dtype)
    body = json.dumps({"inputs": array.tolist()}).encode()
    if array.min() >= limits.min and array.max() <= limits.max:
        np.testing.assert_array_equal(parse(body, signatures, "s").arrays["x"], array)
    else:
        with pytest.raises(Refused, match=f"numbers from {limits.min} to {limits.max}"):
            parse(body, signatures, "s")


@given(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4), arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
def test_a_shape_fits_or_is_refused(given_shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    signatures = {"s": {"x": Tensor("float32", wanted)}}
    body = json.dumps({"inputs": np.zeros(given_shape).tolist()}).encode()
    if given_shape == wanted:
        assert parse(body, signatures, "s").arrays["x"].shape == wanted
    else:
        with pytest.raises(Refused, match="has the shape"):
            parse(body, signatures, "s")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_the_body_is_it_is_taken_or_refused(body: bytes) -> None:
    with contextlib.suppress(Refused):
        parse(body, ONE, "serving_default")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "x", "b64", "q"]), inner),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["instances", "inputs"]), st.sampled_from([ONE, TWO]))
def test_whatever_the_values_are_they_are_taken_or_refused(value: Any, key: str, signatures: Any) -> None:
    try:
        parsed = parse(json.dumps({key: value}).encode(), signatures, "serving_default")
    except Refused:
        return
    else:
        for name, tensor in signatures["serving_default"].items():
            assert parsed.arrays[name].ndim == len(tensor.shape)


def test_several_inputs_go_by_name() -> None:
    parsed = ask({"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]}, TWO)
    assert parsed.arrays["a"].tolist() == [[1, 2], [4, 5]]
    assert parsed.arrays["b"].tolist() == [3, 6]
    assert parsed.arrays["b"].dtype == np.int64
    parsed = ask({"inputs": {"a": [[1, 2]], "b": [3]}}, TWO)
    assert (parsed.arrays["a"].shape, parsed.rows) == ((1, 2), None)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (b"", "no JSON"),
        (b"[1]", "must be an object"),
        ({}, "needs one of the two"),
        ({"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]}, "needs one of the two"),
        ({"instances": [[1, 2, 3]], "extra": 1}, "unknown key 'extra'"),
        ({"instances": []}, "at least one sample"),
        ({"instances": {"x": [1, 2, 3]}}, "must be a list"),
        ({"instances": [1, 2, 3]}, "One sample alone is to stand in a list"),
        ({"instances": [[1, 2]]}, "the model takes [any, 3]"),
        ({"instances": [[1, 2, 3], [1, 2]]}, "not all of the same length"),
        ({"instances": [[1, "2", 3]]}, 'instances[0][1] is "2"'),
        ({"instances": [[1, None, 3]]}, "instances[0][1] is null"),
        ({"inputs": {"x": [[1, {}, 3]]}}, "is {}"),
        ({"instances": [[True, False, True]]}, "instances[0][0] is true"),
        ({"instances": [{"y": [1, 2, 3]}]}, "unknown input 'y'"),
        ({"instances": [{"x": [1, 2, 3]}, {}]}, "instances[1] lacks the input 'x'"),
        ({"instances": [{"x": [1, 2, 3]}, 7]}, "instances[1] is no object"),
        ({"instances": [[1, 2, 1e39]]}, "float32 cannot hold"),
        ({"instances": [[1, 2, 10**30]]}, "more than 64 bits"),
        ({"instances": [[1, 2, 3]], "signature_name": "nope"}, "no signature 'nope'"),
        (b'{"instances": [[Nan, 1, 2]]}', "no JSON"),
        (b'{"instances": [[NaN, 1, 1e39]]}', "float32 cannot hold"),
        (b"[" * 5000, "JSON"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(request_: Any, says: str) -> None:
    assert says in refusal(request_)


def test_what_is_not_finite_is_a_number_as_tensorflow_serving_has_it() -> None:
    body = b'{"instances": [[NaN, -Infinity, 1]], "signature_name": "serving_default"}'
    [row] = ask(body).arrays["x"].tolist()
    assert math.isnan(row[0])
    assert row[1:] == [-math.inf, 1]
    assert "whole numbers" in refusal(b'{"inputs": {"a": [[1, 2]], "b": [NaN]}}', TWO)


def test_numbers_are_whole_where_the_model_wants_that_and_booleans_are_booleans() -> None:
    whole = {"serving_default": {"x": Tensor("int32", [None])}}
    assert ask({"inputs": [1.0, 2.0]}, whole).arrays["x"].tolist() == [1, 2]
    assert "whole numbers" in refusal({"inputs": [1.5]}, whole)
    truth = {"serving_default": {"x": Tensor("bool", [None])}}
    assert ask({"inputs": [True]}, truth).arrays["x"].tolist() == [True]
    assert "true and false" in refusal({"inputs": [1]}, truth)


def test_text_and_bytes() -> None:
    text = {"serving_default": {"x": Tensor("string", [None])}}
    coded = base64.b64encode(b"\xff\x00").decode()
    assert ask({"instances": ["a", {"b64": coded}]}, text).arrays["x"].tolist() == [b"a", b"\xff\x00"]
    assert ask({"instances": [{"b64": coded}]}, text).arrays["x"].tolist() == [b"\xff\x00"]
    assert "cannot be read" in refusal({"instances": [{"b64": "***"}]}, text)
    assert "is no text" in refusal({"instances": [1]}, text)
    out = np.array([b"plain", b"\xff"], dtype=object)
    assert json.loads(answer({"y": out}, 2)) == {"predictions": ["plain", {"b64": "/w=="}]}
    assert json.loads(answer({"image_bytes": out}, None)) == {
        "outputs": [{"b64": base64.b64encode(b"plain").decode()}, {"b64": "/w=="}]
    }


def test_several_outputs_stand_in_objects() -> None:
    outputs = {"p": np.array([[0.25], [0.5]], np.float32), "label": np.array([1, 2])}
    assert json.loads(answer(outputs, 2)) == {"predictions": [{"p": [0.25], "label": 1}, {"p": [0.5], "label": 2}]}
    assert json.loads(answer(outputs, None)) == {"outputs": {"p": [[0.25], [0.5]], "label": [1, 2]}}
    with pytest.raises(Refused, match="no result for each"):
        answer({"y": np.zeros(3)}, 2)


def test_an_answer_that_is_not_finite_is_written_as_tensorflow_serving_does() -> None:
    said = json.loads(answer({"y": np.array([math.nan, math.inf, 1.0])}, 3))["predictions"]
    assert math.isnan(said[0])
    assert said[1:] == [math.inf, 1.0]
    assert json.loads(dumps({"a": np.float32(0.5), "b": np.int64(3), "c": (1, 2)})) == {"a": 0.5, "b": 3, "c": [1, 2]}
    assert json.loads(dumps({"half": np.float16(0.5).astype(np.float32)})) == {"half": 0.5}
