"""Interfaces by their addresses, as this machine has them."""

from __future__ import annotations

from jupyter_mltrain.core.ranks import interface_of
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import interfaces


def test_an_interface_is_named_where_this_machine_has_its_address() -> None:
    asked = {
        "PLAIN": "<port 0>",
        "GLOO": interface_of("127.0.0.1"),
        "NCCL": f"={interface_of('localhost')}",
        "ELSEWHERE": interface_of("192.0.2.1"),
        "UNKNOWN": interface_of("nowhere.invalid"),
    }
    assert interfaces.named(asked) == {"PLAIN": "<port 0>", "GLOO": "lo", "NCCL": "=lo"}
