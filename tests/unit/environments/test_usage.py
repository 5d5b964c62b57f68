import json
import os
import subprocess
import time

import pytest

from jupyter_mltrain.cache import exclusive
from jupyter_mltrain.environments import EnvironmentDefinition, built_environments, remove_unused
from jupyter_mltrain.environments.build import find_built, folder_of

DAY = 86400.0


@pytest.fixture
def built(index, environments):
    index.wheel("alpha")

    def build(name: str, unused_days: float = 0):
        index.wheel(name)
        environments.register(EnvironmentDefinition(name, pip=("alpha", name)), log=lambda _: None)
        ready = environments.prepare(name, log=lambda _: None)
        path = folder_of(ready.prepared.key) / "ready.json"
        os.utime(path, (time.time() - unused_days * DAY,) * 2)
        return ready.prepared

    return build


def test_builds_are_listed_with_what_they_take(built):
    old, new = built("old", 40), built("new")
    found = built_environments()
    assert [(one.name, one.key, one.packages, one.complete) for one in found] == [
        ("new", new.key, 2, True),
        ("old", old.key, 2, True),
    ]
    assert all(one.bytes > 10_000 for one in found)


def test_only_what_nobody_uses_is_removed(built):
    old, kept, running, new = built("old", 40), built("kept", 40), built("running", 40), built("new")
    process = subprocess.Popen([running.python, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        removed = remove_unused(keep=[kept.key])
    finally:
        process.communicate(b"\n")
    assert [one.key for one in removed] == [old.key]
    assert find_built(old.key) is None
    assert not folder_of(old.key).exists()
    assert all(find_built(one.key) for one in (kept, running, new))


def test_one_that_was_just_handed_out_stays_whatever_is_asked(built):
    new = built("new")
    assert remove_unused(unused_for=0) == []
    assert find_built(new.key)


def test_leavings_go_unless_someone_is_building_there(built):
    left = built("left")
    folder = folder_of(left.key)
    (folder / "ready.json").unlink()
    with exclusive(folder.with_suffix(".lock")):
        assert remove_unused() == []
    assert [one.folder for one in remove_unused()] == [folder]


def test_using_one_marks_it_as_used(built, environments):
    built("old", 40)
    environments.prepare("old", log=pytest.fail)
    assert remove_unused() == []


def test_a_build_whose_python_is_gone_does_not_count(built):
    one = built("one")
    python = folder_of(one.key) / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert find_built(one.key) is None


def test_a_marker_of_another_key_does_not_count(built):
    one = built("one")
    ready = folder_of(one.key) / "ready.json"
    ready.write_text(json.dumps({**json.loads(ready.read_text()), "key": one.key[:20] + "f" * 44}))
    assert find_built(one.key) is None
