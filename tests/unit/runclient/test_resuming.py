"""What a script is told of where to go on from."""

from __future__ import annotations

import pytest

from jupyter_mltrain.runclient import context


@pytest.mark.parametrize(
    ("variables", "attempt", "folder"),
    [
        ({}, 1, None),
        ({"MLTRAIN_RESUME_FROM": "/earlier"}, 1, "/earlier"),
        ({"MLTRAIN_RESUME_FROM": "/earlier", "MLTRAIN_ATTEMPT": "2"}, 2, "/earlier"),
        ({"MLTRAIN_RESUME_FROM": "/earlier", "MLTRAIN_ATTEMPT": "3", "MLTRAIN_KEPT": "/own"}, 3, "/own"),
        ({"MLTRAIN_ATTEMPT": "soon"}, 1, None),
    ],
)
def test_where_to_go_on_from(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], attempt: int, folder: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = context()
    assert (run.attempt, run.resume_from) == (attempt, folder)
