"""One call of a signature with zeros: what warms a server up, and what a smoke prediction asks."""

from __future__ import annotations

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


def warm_up(signature: Signature) -> None:
    """Call it until its plans are made. That it may refuse zeros (an empty text is no image) says nothing against it."""
    for _ in range(3):
        try:
            try_once(signature)
        except Exception as error:  # noqa: PERF203 - it is three turns
            if type(error).__name__ != "InvalidArgumentError":
                raise
            print(f"It does not take zeros, so it is not warm: {str(error).splitlines()[0][:200]}", flush=True)
            return
