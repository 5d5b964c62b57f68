"""One call of a signature with zeros: what warms a server up, and what a smoke prediction asks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .formats import numpy_type
from .signatures import Signature, Tensor

_FREE = 1
"""What a free dimension is taken as."""


def zeros(tensor: Tensor) -> Any:
    """Zeros (empty text, false) of the tensor's shape, free dimensions as 1."""
    shape = [_FREE if each is None else each for each in (tensor.shape if tensor.shape is not None else [1])]
    if tensor.dtype == "string":
        array = np.empty(shape, dtype=object)
        array[...] = b""
        return array
    return np.zeros(shape, dtype=numpy_type(tensor.dtype))


def try_once(signature: Signature) -> dict[str, Any]:
    """What the signature answers to zeros; whatever it raises."""
    return signature.call({name: zeros(tensor) for name, tensor in signature.inputs.items()})


def warm_up(signature: Signature) -> float:
    """Call it until its plans are made; the seconds of the fastest call. That it may refuse zeros (an empty text is no image)
    says nothing against it."""
    took = 1.0
    for _ in range(5):
        began = time.perf_counter()
        try:
            try_once(signature)
        except Exception as error:
            if type(error).__name__ != "InvalidArgumentError":
                raise
            print(f"It does not take zeros, so it is not warm: {str(error).splitlines()[0][:200]}", flush=True)
            return 1.0
        took = min(took, time.perf_counter() - began)
    return took
