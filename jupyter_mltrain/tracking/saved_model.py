"""The few fields of TensorFlow's `saved_model.pb` that say how a model is called; the rest stays unread.

Names and numbers are those of TensorFlow's own description (tensorflow/core/protobuf: saved_model.proto,
meta_graph.proto; tensorflow/core/framework: tensor_shape.proto, types.proto), which is public and does not change.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from jupyter_mltrain.core.wire_models import Signature, TensorSpec

_PACKAGE = "jupyter_mltrain.saved_model"
_Field = descriptor_pb2.FieldDescriptorProto
_ONE, _MANY = _Field.LABEL_OPTIONAL, _Field.LABEL_REPEATED
_INT, _TEXT, _BOOL, _PART = _Field.TYPE_INT64, _Field.TYPE_STRING, _Field.TYPE_BOOL, _Field.TYPE_MESSAGE

# message: {field: (number, label, type, message)}. A map is a repeated message with `key` and `value`.
_MESSAGES: dict[str, dict[str, tuple[int, Any, Any, str]]] = {
    "SavedModel": {"meta_graphs": (2, _MANY, _PART, "MetaGraph")},
    "MetaGraph": {"info": (1, _ONE, _PART, "Info"), "signatures": (5, _MANY, _PART, "NamedSignature")},
    "Info": {"tags": (4, _MANY, _TEXT, ""), "tensorflow_version": (5, _ONE, _TEXT, "")},
    "NamedSignature": {"key": (1, _ONE, _TEXT, ""), "value": (2, _ONE, _PART, "Signature")},
    "Signature": {"inputs": (1, _MANY, _PART, "NamedTensor"), "outputs": (2, _MANY, _PART, "NamedTensor")},
    "NamedTensor": {"key": (1, _ONE, _TEXT, ""), "value": (2, _ONE, _PART, "Tensor")},
    "Tensor": {"dtype": (2, _ONE, _INT, ""), "shape": (3, _ONE, _PART, "Shape")},
    "Shape": {"dims": (2, _MANY, _PART, "Dim"), "unknown_rank": (3, _ONE, _BOOL, "")},
    "Dim": {"size": (1, _ONE, _INT, "")},
}

_DTYPES = (
    *(
        "float32",
        "float64",
        "int32",
        "uint8",
        "int16",
        "int8",
        "string",
        "complex64",
        "int64",
        "bool",
        "qint8",
        "quint8",
    ),
    *("qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128", "float16", "resource", "variant", "uint32"),
    *("uint64", "float8_e5m2", "float8_e4m3fn"),
)
"""DataType 1, 2, … in order."""


def read_saved_model(data: bytes) -> tuple[dict[str, Signature], str | None]:
    """Signatures by name (without the ones TensorFlow adds for itself), and the version that wrote the file.

    Of several graphs the one tagged `serve` is taken. Raises `google.protobuf.message.DecodeError` for other bytes.
    """
    graphs: Any = _message("SavedModel").FromString(data).meta_graphs
    if not graphs:
        return {}, None
    graph = next((g for g in graphs if "serve" in g.info.tags), graphs[0])
    signatures: dict[str, Signature] = {
        named.key: {"inputs": _tensors(named.value.inputs), "outputs": _tensors(named.value.outputs)}
        for named in sorted(graph.signatures, key=lambda named: named.key)
        if not named.key.startswith("__saved_model_")
    }
    return signatures, graph.info.tensorflow_version or None


def _tensors(named: Any) -> dict[str, TensorSpec]:
    return {each.key: _tensor(each.value) for each in sorted(named, key=lambda each: each.key)}


def _tensor(tensor: Any) -> TensorSpec:
    # 100 and more: the reference types of TensorFlow 1.
    number = tensor.dtype - 100 if tensor.dtype > 100 else tensor.dtype
    dtype = _DTYPES[number - 1] if 0 < number <= len(_DTYPES) else None
    if not tensor.HasField("shape") or tensor.shape.unknown_rank:
        return {"dtype": dtype, "shape": None}
    return {"dtype": dtype, "shape": [dim.size if dim.size >= 0 else None for dim in tensor.shape.dims]}


def _message(name: str) -> Any:
    global _pool  # noqa: PLW0603 - built on first use: most processes never read a model
    if _pool is None:
        _pool = _build()
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_pool: descriptor_pool.DescriptorPool | None = None


def _build() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(name="saved_model.proto", package=_PACKAGE, syntax="proto3")
    for name, members in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for member, (number, label, kind, part) in members.items():
            message.field.add(
                name=member, number=number, label=label, type=kind, type_name=f".{_PACKAGE}.{part}" if part else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
