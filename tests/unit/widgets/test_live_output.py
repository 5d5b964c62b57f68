from __future__ import annotations

from types import SimpleNamespace

import pytest

from jupyter_mltrain.widgets.live_output import kernel_shell, variable_of


class Run(SimpleNamespace):
    """A run as an output sees it."""


def test_the_users_own_variable_is_named() -> None:
    run, same, other = Run(id="a"), Run(id="a"), Run(id="b")
    assert variable_of(run, {"x": other, "again": same, "mine": run}) == "mine"
    assert variable_of(run, {"x": other, "again": same}) == "again"
    # What IPython keeps by itself, and what only looks alike, is not the user's name for it.
    assert variable_of(run, {"_": run, "_5": run, "__": same, "Out": {5: run}, "x": SimpleNamespace(id="a")}) == ""


def test_a_script_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert kernel_shell() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    assert kernel_shell() is None
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert kernel_shell() is shell
