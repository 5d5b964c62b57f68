"""A look at a run while its records are being written."""

from __future__ import annotations

import tarfile

import docker.errors
import pytest

from jupyter_mltrain.computes.docker import seeing
from jupyter_mltrain.errors import EngineUnreachable


class Client:
    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)

    def inspect_container(self, _name: str) -> dict[str, object]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {"State": {"Status": status, "Running": status == "running"}}

    def open(self, *_: object, **__: object) -> object:
        raise docker.errors.APIError("RWLayer of the container is unexpectedly nil")


def test_an_archive_that_the_engine_cut_is_asked_for_again(monkeypatch):
    """A record became shorter while it was packed."""
    answers = [tarfile.ReadError("unexpected end of data"), {0: {"launch": {}}}]

    def records(_client, _container):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(seeing, "_records", records)
    seen = seeing.look(Client("running"), {"container": "c", "run_id": "r"})
    assert seen.records == {0: {"launch": {}}}
    answers += [tarfile.ReadError("unexpected end of data")] * 10
    with pytest.raises(EngineUnreachable):
        seeing.look(Client("running"), {"container": "c", "run_id": "r"})


def test_a_container_that_is_being_removed_is_no_trouble_of_the_engine():
    with pytest.raises(seeing.Going), seeing.taken(Client("removing"), "c", "/"):
        pass
    with pytest.raises(docker.errors.APIError, match="RWLayer") as raised, seeing.taken(Client("exited"), "c", "/"):
        pass
    assert not isinstance(raised.value, seeing.Going)
