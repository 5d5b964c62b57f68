import json

import pytest

from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments import EnvironmentStore
from jupyter_mltrain.environments.curated import CURATED
from jupyter_mltrain.errors import EnvironmentNotFound, InvalidName, UsageError, UserErrorException

MINE = EnvironmentDefinition("mine", pip=("alpha>=1",), environment_variables={"A": "b"}, python="3.11")


@pytest.fixture
def store(tmp_path):
    return EnvironmentStore(tmp_path / "environments")


def test_a_stored_definition_comes_back_as_it_was(store):
    stored = store.register(MINE)
    assert stored.version == 1
    assert EnvironmentStore(store.folder).get("mine") == stored
    assert EnvironmentStore(store.folder).get("mine:1") == stored
    assert json.loads((store.folder / "mine" / "1.json").read_text())["pip"] == ["alpha>=1"]


def test_equal_content_is_the_same_version_and_other_content_the_next(store):
    store.register(MINE)
    assert store.register(MINE).version == 1
    other = EnvironmentDefinition("mine", pip=("alpha>=2",))
    assert store.register(other).version == 2
    assert store.get("mine").pip == ("alpha>=2",)
    assert store.get("mine:1").pip == ("alpha>=1",)
    assert store.register(MINE).version == 3  # going back is a change too
    assert store.versions("mine") == [1, 2, 3]


def test_a_definition_written_by_a_newer_version_is_read(store):
    store.register(MINE)
    path = store.folder / "mine" / "1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9, "new": True}))
    assert store.get("mine").pip == MINE.pip


def test_unknown_names_and_versions_name_the_nearest(store):
    store.register(MINE)
    with pytest.raises(EnvironmentNotFound) as caught:
        store.get("tensorflw")
    assert "tensorflow" in caught.value.mend
    with pytest.raises(EnvironmentNotFound) as caught:
        store.get("mine:7")
    assert "mine:1" in caught.value.mend
    for odd in ("", ":", "..", "../mine", "a/b", "mine:x", "\N{SNOWMAN}", "a\0b"):
        with pytest.raises(EnvironmentNotFound):
            store.get(odd)


def test_a_curated_one_becomes_a_version_when_it_is_first_used(store):
    assert store.versions("tensorflow") == []
    assert [one.name for one in store.list()] == sorted(["current", *CURATED])
    assert store.get("tensorflow").version == 1
    assert store.get("tensorflow").version == 1
    assert store.get("tensorflow:1").pip == CURATED["tensorflow"].pip


def test_a_curated_one_that_a_release_changed_becomes_the_next_version(store, monkeypatch):
    store.get("tensorflow")
    monkeypatch.setitem(
        CURATED, "tensorflow", EnvironmentDefinition("tensorflow", pip=("tensorflow==9",), curated=True)
    )
    assert store.get("tensorflow").version == 2
    assert store.get("tensorflow:1").pip != ("tensorflow==9",)


@pytest.mark.parametrize("name", ["current", "tensorflow", "AzureML-mine", "azureml-mine"])
def test_reserved_names_are_refused(store, name):
    with pytest.raises(UserErrorException, match="reserved") as caught:
        store.register(EnvironmentDefinition(name, pip=("alpha",)))
    assert "clone" in caught.value.mend


@pytest.mark.parametrize("name", ["", "<script>", "a/b", "..", "x" * 256, "\N{SNOWMAN}"])
def test_names_that_are_no_names_are_refused(store, name):
    with pytest.raises(InvalidName):
        store.register(EnvironmentDefinition(name, pip=("alpha",)))


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("alpha @ https://me:secret@host/alpha.whl", True),
        ("--extra-index-url https://token@host/simple", True),
        ("alpha @ https://${TOKEN}@host/alpha.whl", False),
        ("alpha @ git+ssh://git@host/alpha", False),
        ("alpha @ https://host/alpha.whl", False),
    ],
)
def test_credentials_are_never_stored(store, line, refused):
    definition = EnvironmentDefinition("mine", pip=(line,))
    if refused:
        with pytest.raises(UsageError, match="never stored"):
            store.register(definition)
        assert not store.folder.exists()
    else:
        assert store.register(definition).version == 1


LOCK = EnvironmentLock(
    "alpha==1.0 \\\n    --hash=sha256:00\nbeta==2.0\n", "3.11", "linux-x86_64-glibc", resolved="2026-01-02"
)


def test_the_lock_lies_beside_the_definition_and_stays(store):
    stored = store.register(MINE)
    assert store.lock(stored, None, LOCK.platform, gpu=False) is None
    store.save_lock(stored, LOCK)
    store.save_lock(stored, EnvironmentLock("alpha==3.0", "3.11", LOCK.platform))
    found = store.lock(stored, None, LOCK.platform, gpu=False)
    assert found is not None
    assert (found.key, found.packages, found.resolved) == (LOCK.key, ("alpha==1.0", "beta==2.0"), "2026-01-02")
    assert store.lock(stored, None, LOCK.platform, gpu=True) is None
    assert store.lock(stored, None, "darwin-arm64", gpu=False) is None
    assert store.lock(stored, "3.12", LOCK.platform, gpu=False) is None


def test_the_key_is_lock_python_and_platform():
    def key(text=LOCK.requirements, python="3.11", platform="linux-x86_64-glibc", **more):
        return EnvironmentLock(text, python, platform, **more).key

    assert key() == key(resolved="another day") == key("# a comment\n" + LOCK.requirements) == key(gpu=True)
    assert len({key(), key(python="3.12"), key(platform="linux-aarch64-glibc"), key("alpha==1.1")}) == 4
