"""The files of a deployed model: a look tells whether they are the same, their hash where the look does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.deployments.injected.mltrain_endpoint import files
from jupyter_mltrain.tracking import content


@pytest.fixture
def model(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "data").write_bytes(b"w" * 3_000_000)
    (folder / "a\udcff b").write_bytes(b"")
    found = {"name": "m", "version": 2, "path": str(folder), "hash": content.tree_hash(folder)}
    (tmp_path / "seal").write_text(json.dumps(files.seal(str(folder))))
    return {**found, "seal": str(tmp_path / "seal")}


def test_the_hash_is_the_registrys(model: dict[str, Any]) -> None:
    assert files.tree_hash(model["path"]) == model["hash"]
    single = Path(model["path"], "saved_model.pb")
    assert files.tree_hash(str(single)) == content.tree_hash(single)


def test_what_nobody_touched_is_not_read(model: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "tree_hash", lambda _: pytest.fail("all of it was read"))
    files.check(model)


@pytest.mark.parametrize("what", ["touched", "copied", "no seal", "a torn seal", "no hash known"])
def test_what_only_looks_different_is_taken(model: dict[str, Any], what: str) -> None:
    data = Path(model["path"], "variables", "data")
    if what == "touched":
        os.utime(data)
    elif what == "copied":
        held = data.read_bytes()
        data.unlink()
        data.write_bytes(held)
    elif what == "no seal":
        Path(model["seal"]).unlink()
    elif what == "a torn seal":
        Path(model["seal"]).write_text("{")
    else:
        data.write_bytes(b"")
        model["hash"] = ""
    files.check(model)


@pytest.mark.parametrize("what", ["a bit", "shorter", "gone", "one more", "all gone", "not readable as a file"])
def test_what_is_another_is_told_in_one_line(model: dict[str, Any], what: str) -> None:
    data = Path(model["path"], "variables", "data")
    if what == "a bit":
        with data.open("r+b") as file:
            file.write(b"v")
    elif what == "shorter":
        os.truncate(data, 10)
    elif what == "gone":
        data.unlink()
    elif what == "one more":
        Path(model["path"], "more").touch()
    elif what == "all gone":
        model["path"] += "-elsewhere"
    else:
        data.unlink()
        data.symlink_to("nowhere")
    with pytest.raises(files.Changed, match=r"^The files of m:2 .*$") as error:
        files.check(model)
    assert "\n" not in str(error.value)
