"""NVIDIA's management library as the driver brings it, by ctypes: what a device is, how busy it is, what memory is used.

Loading it starts nothing on the devices. Its devices are numbered by their places on the PCI bus.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

LIBRARY = "libnvidia-ml.so.1"
_NOT_SUPPORTED = 3


class NvmlError(Exception):
    """The driver is not there, or said no; the message is for people."""


class Memory(NamedTuple):
    """Bytes of a device."""

    used: int
    total: int


class Nvml:
    """The library, loaded and ready. Raises `NvmlError` where there is none, or it cannot reach the driver."""

    def __init__(self) -> None:
        try:
            self._library: Any = ctypes.CDLL(LIBRARY)
        except OSError:
            raise NvmlError(f"no NVIDIA driver is here: {LIBRARY} cannot be loaded") from None
        self._library.nvmlErrorString.restype = ctypes.c_char_p
        self._ask("nvmlInit_v2")

    def device(self, name: str) -> Any:
        """The device with that index or UUID (`GPU-…`, `MIG-…`)."""
        handle = ctypes.c_void_p()
        if name.isdigit():
            self._ask("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(name)), ctypes.byref(handle))
        else:
            self._ask("nvmlDeviceGetHandleByUUID", name.encode(), ctypes.byref(handle))
        return handle

    def model(self, device: Any) -> str:
        """Its name: `NVIDIA H100 80GB HBM3`."""
        text = ctypes.create_string_buffer(96)
        self._ask("nvmlDeviceGetName", device, text, ctypes.c_uint(len(text)))
        return text.value.decode("utf-8", "replace")

    def memory(self, device: Any) -> Memory:
        told = (ctypes.c_ulonglong * 3)()  # total, free, used
        self._ask("nvmlDeviceGetMemoryInfo", device, ctypes.byref(told))
        return Memory(used=told[2], total=told[0])

    def busy(self, device: Any) -> int | None:
        """Percent of the driver's last period (up to a second) in which something ran; None where it is not told (parts
        of a device)."""
        told = (ctypes.c_uint * 2)()  # GPU, memory
        code = self._library.nvmlDeviceGetUtilizationRates(device, ctypes.byref(told))
        if code == _NOT_SUPPORTED:
            return None
        self._check("nvmlDeviceGetUtilizationRates", code)
        return told[0]

    def _ask(self, function: str, *arguments: Any) -> None:
        try:
            call = getattr(self._library, function)
        except AttributeError:
            raise NvmlError(f"the NVIDIA driver is too old: it has no {function}") from None
        self._check(function, call(*arguments))

    def _check(self, function: str, code: int) -> None:
        if code:
            said = (self._library.nvmlErrorString(code) or b"").decode("utf-8", "replace")
            raise NvmlError(f"the NVIDIA driver answers {said or code} ({function})")
