"""A model's files loaded, as functions that can be called: a SavedModel's own signatures, or a Keras model's call.

This is where a model's code runs; nothing else of the package loads one.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence

DEFAULT = "serving_default"


class Tensor(NamedTuple):
    """An input or output. `dtype`: as TensorFlow names it; `shape`: None for a free dimension, None for a free rank."""

    dtype: str
    shape: Sequence[int | None] | None


class Unusable(Exception):  # noqa: N818 - one line for the user: the model, not this code, is at fault
    pass


class Signature(NamedTuple):
    """`call` takes arrays by input name and gives arrays by output name."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    call: Callable[[Mapping[str, Any]], dict[str, Any]]


class Loaded(NamedTuple):
    """A model that can be asked. `default`: the signature for requests that name none. `keep` holds what TensorFlow only
    refers to weakly. `framework`: what loaded it, with its version."""

    signatures: Mapping[str, Signature]
    default: str
    framework: str
    keep: Any


def load(path: str, kind: str) -> Loaded:
    """The model at `path`; `kind` is `SavedModel`, `Keras` or `HDF5`. Raises `Unusable`."""
    import tensorflow as tf

    if kind == "SavedModel":
        return _saved_model(tf, path)
    if kind in ("Keras", "HDF5"):
        return _keras(tf, path, kind)
    raise Unusable(f"A model of the kind {kind!r} cannot be served without an entry script.")


def _saved_model(tf: Any, path: str) -> Loaded:
    model = tf.saved_model.load(path)
    signatures = {
        name: _of_function(tf, function)
        for name, function in model.signatures.items()
        if not name.startswith("__saved_model_")
    }
    if not signatures:
        raise Unusable(
            "The SavedModel has no signature that can be called: save it with"
            " `tf.saved_model.save(model, path, signatures=…)`, or deploy it with an entry script."
        )
    default = DEFAULT if DEFAULT in signatures else min(signatures)
    return Loaded(signatures, default, f"TensorFlow {tf.__version__}", model)


def _of_function(tf: Any, function: Any) -> Signature:
    specs = function.structured_input_signature[1]
    inputs = {name: _tensor(spec) for name, spec in sorted(specs.items())}
    outputs = {name: _tensor(spec) for name, spec in sorted(function.structured_outputs.items())}
    types = {name: spec.dtype for name, spec in specs.items()}
    constant = tf.constant

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        results = function(**{name: constant(array, types[name]) for name, array in arrays.items()})
        return {name: results[name].numpy() for name in outputs}

    return Signature(inputs, outputs, _direct(tf, function, inputs, outputs, types, call) or call)


def _direct(
    tf: Any, function: Any, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], types: Any, checked: Any
) -> Any:
    """The signature's function without TensorFlow's own checks of its arguments, which were checked here: half the time
    of its Python for a small model. None where this TensorFlow has no such way, or it does not say exactly the same."""
    inner = getattr(function, "_inference_function", None)
    run = getattr(getattr(inner, "_bound_context", None), "call_function", None)
    order = getattr(function, "_arg_keywords", None)
    kind = getattr(inner, "function_type", None)
    if run is None or kind is None or order is None or sorted(order) != sorted(inputs):
        return None
    constant, captured = tf.constant, list(function.captured_inputs)
    name, count = inner.name, len(kind.flat_outputs)
    places: list[tuple[str, int]] = []

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        results = run(name, [*[constant(arrays[key], types[key]) for key in order], *captured], count)
        return {key: results[place].numpy() for key, place in places}

    try:
        # Each input with a value of its own, so that two that are mixed up show.
        arrays = {name: _filled(tensor, number) for number, (name, tensor) in enumerate(inputs.items(), 1)}
        flat = run(name, [*[constant(arrays[key], types[key]) for key in order], *captured], count)
        packed = kind.pack_output(flat)
        places += [(key, next(i for i, each in enumerate(flat) if each is packed[key])) for key in outputs]
        one, other = checked(arrays), call(arrays)
        same = all(_equal(one[key], other[key]) for key in outputs)
    except Exception:  # noqa: BLE001 - the model refuses such values, or TensorFlow the way: the public one it is
        return None
    return call if same else None


def _equal(one: Any, other: Any) -> bool:
    import numpy as np

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


def _filled(tensor: Tensor, value: int) -> Any:
    import numpy as np

    shape = [1 if each is None else each for each in (tensor.shape if tensor.shape is not None else [1])]
    if tensor.dtype == "string":
        array = np.empty(shape, dtype=object)
        array[...] = str(value).encode()
        return array
    return np.full(shape, value, dtype=tensor.dtype)


def _keras(tf: Any, path: str, kind: str) -> Loaded:
    keras, version = _keras_for(path, kind)
    try:
        # Code inside a model file (lambdas) is not run: who wrote the file may be somebody else.
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise Unusable(f"Keras {version} cannot load the model: {said[0][:300]}") from error
    if not getattr(model, "inputs", None):
        raise Unusable(
            "The Keras model was never built, so that its inputs are not known: call it once before saving it."
        )
    names = list(getattr(model, "input_names", None) or [each.name for each in model.inputs])
    specs = [tf.TensorSpec(each.shape, each.dtype, name) for each, name in zip(model.inputs, names)]
    outputs = list(getattr(model, "output_names", None) or ["output"])

    def run(*given: Any) -> dict[str, Any]:
        found = model(given[0] if len(given) == 1 else list(given), training=False)
        flat = tf.nest.flatten(found)
        return dict(zip(outputs if len(outputs) == len(flat) else map("output_{}".format, range(len(flat))), flat))

    function = tf.function(run).get_concrete_function(*specs)
    constant = tf.constant

    def call(arrays: Mapping[str, Any]) -> dict[str, Any]:
        results = function(*[constant(arrays[name], spec.dtype) for name, spec in zip(names, specs)])
        return {name: tensor.numpy() for name, tensor in results.items()}

    signature = Signature(
        {name: _tensor(spec) for name, spec in zip(names, specs)},
        {name: _tensor(spec) for name, spec in function.structured_outputs.items()},
        call,
    )
    return Loaded({DEFAULT: signature}, DEFAULT, f"Keras {version}", model)


def _keras_for(path: str, kind: str) -> tuple[Any, str]:
    """The Keras that can read the file: an HDF5 file of Keras 2 needs tf_keras where TensorFlow brings Keras 3."""
    import keras

    version = str(keras.__version__)
    if kind == "HDF5" and not version.startswith("2."):
        import h5py

        with h5py.File(path, "r") as file:
            written = file.attrs.get("keras_version", b"")
        written = written.decode() if isinstance(written, bytes) else str(written)
        if written.startswith("2."):
            try:
                import tf_keras
            except ImportError:
                return keras, version  # it reads most of them too
            return tf_keras, str(tf_keras.__version__)
    return keras, version


def _tensor(spec: Any) -> Tensor:
    dims = None if spec.shape.rank is None else [None if dim is None else int(dim) for dim in spec.shape]
    return Tensor(spec.dtype.name, dims)
