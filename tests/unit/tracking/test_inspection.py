"""What model files say, read without running them; hostile files included. Real TensorFlow's: tests/engines."""

import json
import zipfile

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.tracking import inspection
from jupyter_mltrain.tracking.inspection import inspect
from jupyter_mltrain.tracking.saved_model import read_saved_model


def field(number, value):
    """A protobuf field on the wire: bytes and text are length-delimited, an int a varint."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tensor(dtype, *sizes):
    shape = b"".join(field(2, field(1, size)) for size in sizes)
    return field(1, "name:0") + field(2, dtype) + field(3, shape)


def graph(*signatures, tags="serve", version="2.21.0"):
    info = field(4, tags) + field(5, version)
    return field(2, field(1, info) + b"".join(field(5, field(1, name) + field(2, body)) for name, body in signatures))


SERVING = (
    "serving_default",
    field(1, field(1, "x") + field(2, tensor(1, -1, 784))) + field(2, field(1, "y") + field(2, tensor(3, -1))),
)


def test_signatures_and_version_are_read():
    other = ("other", field(1, field(1, "s") + field(2, field(2, 7) + field(3, field(3, 1)))))
    init = ("__saved_model_init_op", b"")
    training = graph(("train", b""), tags="train", version="1.0")
    found, version = read_saved_model(field(1, 1) + training + graph(SERVING, other, init))
    assert version == "2.21.0"
    assert found == {
        "other": {"inputs": {"s": {"dtype": "string", "shape": None}}, "outputs": {}},
        "serving_default": {
            "inputs": {"x": {"dtype": "float32", "shape": [None, 784]}},
            "outputs": {"y": {"dtype": "int32", "shape": [None]}},
        },
    }


@given(st.binary() | st.binary(max_size=40).map(lambda b: graph(SERVING)[:-1] + b))
def test_no_bytes_do_more_than_fail_to_decode(data):
    try:
        found, version = read_saved_model(data)
    except DecodeError:
        return
    json.dumps([found, version])


def test_a_saved_model_folder(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(graph(SERVING))
    (tmp_path / "variables" / "data").write_bytes(b"12345")
    found = inspect(tmp_path)
    assert (found.format, found.framework, found.framework_version, found.files) == (
        "SavedModel",
        "TensorFlow",
        "2.21.0",
        2,
    )
    assert found.bytes == 5 + len(graph(SERVING))
    assert list(found.signature) == ["serving_default"]
    assert found.problem == ""


def test_a_damaged_or_huge_graph_is_recognised_and_told(tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    found = inspect(tmp_path)
    assert found.format == "SavedModel"
    assert "damaged" in found.problem
    monkeypatch.setattr(inspection, "MAX_GRAPH", 10)
    assert "larger" in inspect(tmp_path).problem


def test_a_signature_without_end_is_not_kept(tmp_path):
    many = b"".join(field(1, field(1, f"input_{i}") + field(2, tensor(1, 1))) for i in range(3000))
    (tmp_path / "saved_model.pb").write_bytes(graph(("serving_default", many)))
    found = inspect(tmp_path)
    assert found.signature is None
    assert "too long" in found.problem


def keras(path, config, metadata=None):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        if metadata is not None:
            archive.writestr("metadata.json", json.dumps(metadata))
    return path


def test_a_functional_keras_file(tmp_path):
    layers = [
        {"class_name": "InputLayer", "config": {"name": "a", "dtype": "float32", "batch_shape": [None, 28, 28]}},
        {"class_name": "Dense", "config": {}},
    ]
    config = {"class_name": "Functional", "config": {"layers": layers, "output_layers": [["out", 0, 0]]}}
    found = inspect(keras(tmp_path / "model.keras", config, {"keras_version": "3.12.0"}))
    assert (found.format, found.framework, found.framework_version) == ("Keras", "Keras", "3.12.0")
    assert found.signature == {
        "call": {
            "inputs": {"a": {"dtype": "float32", "shape": [None, 28, 28]}},
            "outputs": {"out": {"dtype": None, "shape": None}},
        }
    }


def test_a_model_built_with_a_shape(tmp_path):
    config = {"class_name": "Sequential", "config": {"layers": []}, "build_config": {"input_shape": [None, 4]}}
    found = inspect(keras(tmp_path / "model.keras", config))
    assert found.signature["call"]["inputs"] == {"input": {"dtype": None, "shape": [None, 4]}}


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"class_name": 1, "config": 7}',
        '{"class_name": "F", "config": {"layers": [{"class_name": "InputLayer"}]}}',
        '{"class_name": "F", "config": {"layers": 3}}',
        '{"class_name": "F", "config": {"layers": [1]}}',
        json.dumps({"class_name": "F", "build_config": {"input_shape": [1] * 50_000}}),
    ],
)
def test_a_hostile_config_is_told(tmp_path, config):
    found = inspect(keras(tmp_path / "model.keras", config))
    assert found.format == "Keras"
    assert found.problem
    assert found.signature is None


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "MAX_CONFIG", 1000)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", " " * 100_000)
    found = inspect(path)
    assert "larger" in found.problem


def test_an_archive_that_lies_is_told(tmp_path):
    path = keras(tmp_path / "model.keras", {"class_name": "F", "config": {}})
    data = bytearray(path.read_bytes())
    data[data.index(b"class_name")] ^= 1  # the checksum no longer fits
    path.write_bytes(data)
    assert "CRC" in inspect(path).problem


def test_other_files(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n....")
    assert inspect(tmp_path / "weights.h5").format == "HDF5"
    assert inspect(tmp_path).format == "HDF5"
    (tmp_path / "notes.txt").write_text("x")
    found = inspect(tmp_path)
    assert (found.format, found.framework, found.files) == ("files", None, 2)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a", "b")
    assert inspect(tmp_path / "other.zip").format == "files"
