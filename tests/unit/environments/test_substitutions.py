"""What is given in place of what is no more: the table, and when it is asked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from jupyter_mltrain.core.environment import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerSettings,
    EnvironmentDefinition,
    Packages,
    default_image,
)
from jupyter_mltrain.environments import Environments, EnvironmentStore
from jupyter_mltrain.environments.curated import CURATED
from jupyter_mltrain.environments.dockerfile import dockerfile
from jupyter_mltrain.environments.substitutions import FILE, Table, for_target, image_of, newest, with_image
from jupyter_mltrain.errors import (
    EnvironmentNotFound,
    InvalidName,
    PythonNotFound,
    ResolveError,
    SubstitutionRefused,
    UsageError,
)

ARTICLE = Packages(python="3.6.2", pip=("azureml-defaults", "tensorflow-gpu==2.2.0"), channels=("conda-forge",))


@pytest.fixture
def table() -> Table:
    return Table.load()


def test_the_articles_packages(table):
    made = table.legacy(ARTICLE)
    assert made.packages.pip == ("tensorflow-cpu==2.12.1",)
    assert made.packages.pip_gpu == ("tensorflow==2.12.1",)
    assert "numpy==1.23.5" in made.packages.constraints
    assert SpecifierSet(made.packages.python or "").contains("3.11.7")
    assert [one.asked for one in made.substitutions] == ["3.6.2", "azureml-defaults", "tensorflow-gpu==2.2.0"]
    assert all(one.given and one.reason for one in made.substitutions)
    first = table.settled(ARTICLE)
    assert (first.packages.python, first.packages.pip) == ("3.6.2", ("tensorflow-gpu==2.2.0",))
    assert first.wheels == ("tensorflow-gpu",)


@pytest.mark.parametrize(
    ("asked", "given_instead"),
    [
        ("tensorflow==2.3.1", "tensorflow-cpu==2.12.1"),
        ("tensorflow~=2.4.0", "tensorflow-cpu==2.12.1"),
        ("tensorflow>=2,<2.6", "tensorflow-cpu==2.12.1"),
        ("tensorflow-gpu", "tensorflow-cpu"),
        ("Keras==2.3.1", "keras==2.12.*"),
        ("h5py<=2.10", "h5py>=3.7,<3.12"),
        ("h5py<=2.10.0", "h5py>=3.7,<3.12"),
        ("scikit_learn==0.22.1", "scikit-learn>=1.2,<1.8"),
        ("numpy==1.18.*", "numpy==1.23.5"),
        ("numpy==1.18.5; python_version < '3.9'", "numpy==1.23.5"),
        ("horovod==0.19.5", "horovod==0.28.1"),
        ("azureml-core[notebooks]>=1", None),
    ],
)
def test_requirements_of_the_time(table, asked, given_instead):
    made = table.legacy(Packages(pip=(asked,)))
    assert made.packages.pip == (() if given_instead is None else (given_instead,))
    assert [one.asked for one in made.substitutions] == [asked]


@pytest.mark.parametrize(
    "asked",
    [
        "tensorflow==2.16.1", "tensorflow", "tensorflow>=2.2", "tensorflow==1.15", "tensorflow-gpu==1.15.0", "numpy",
        "numpy>=1.18", "numpy==1.26.4", "scikit-learn==1.5.1", "--index-url https://a.example/tensorflow-gpu==2.2.0",
        "./tensorflow-2.2.0.whl", "tensorflow @ https://a.example/tensorflow-2.2.0.whl", "not-in-the-table==0.1",
    ],
)  # fmt: skip
def test_what_exists_or_is_not_in_the_table_stays(table, asked):
    made = table.legacy(Packages(pip=(asked,)))
    assert made.packages.pip == (asked,)
    assert made.substitutions == ()


def test_pythons(table):
    for old in ("3.6.2", "3.7", "3.8.13", ">=3.6,<3.9", "==3.6.*"):
        assert table.legacy(Packages(python=old)).packages.python != old, old
    for there in (None, "3.11", ">=3.8", ">=3.8,<3.12", "2.7", "3.13"):
        assert table.legacy(Packages(python=there)).packages.python == there, there


def test_what_is_given_is_not_substituted_again(table):
    """For every rule: what it gives stays as it is."""
    for rule in table.rules:
        if rule.kind == "package" and rule.given:
            once = table.legacy(Packages(pip=(rule.given,), pip_gpu=(rule.given_gpu,) if rule.given_gpu else ()))
            assert once.packages.pip == (rule.given,), rule
            assert once.substitutions == (), rule
        elif rule.kind == "python" and rule.given:
            assert table.legacy(Packages(python=rule.given)).substitutions == ()
        elif rule.kind == "image" and rule.given:
            assert table.image(rule.given) is None
        elif rule.kind == "environment":
            assert rule.given in CURATED


known = st.sampled_from(sorted({r.name for r in Table.load().rules if r.kind == "package" and "*" not in r.name}))
numbers = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
lines = st.builds(lambda n, o, v: f"{n}{o}{v}", known, st.sampled_from(["==", "<=", "<", ">="]), numbers)
asked_packages = st.builds(
    Packages, python=st.one_of(st.none(), numbers), pip=st.lists(lines, max_size=5, unique=True).map(tuple)
)


@given(asked_packages)
def test_twice_is_once(asked: Packages):
    table = Table.load()
    once = table.legacy(asked)
    twice = table.legacy(once.packages)
    assert twice.packages == once.packages
    assert twice.substitutions == ()


@given(st.sampled_from(["==", "<=", "<", "~=", ">=", "!="]), numbers)
def test_nothing_that_is_allowed_is_above_the_bound(operator: str, number: str):
    if operator == "~=" and "." not in number:
        return
    bound, allowed = newest(f"{operator}{number}"), SpecifierSet(f"{operator}{number}")
    if bound is None:
        assert operator in (">=", "!=") or allowed.contains("0") or Version(number) == Version("0")
    else:
        step = [*Version(number).release, 1]
        for candidate in (number, f"{number}.1", f"{number}.0.5", ".".join(map(str, step))):
            assert not allowed.contains(candidate) or Version(candidate) <= bound


def test_images(table):
    cuda = "mcr.microsoft.com/azureml/openmpi3.1.2-cuda10.1-cudnn7-ubuntu18.04"
    asked = EnvironmentDefinition("mine", docker=ContainerSettings(enabled=True, base_image=cuda))
    recorded = with_image(asked, table)
    assert [one.given for one in recorded.substitutions] == [DEFAULT_GPU_IMAGE]
    assert with_image(recorded, table) == recorded
    assert image_of(asked, table) == DEFAULT_GPU_IMAGE
    assert image_of(EnvironmentDefinition("mine"), table) == DEFAULT_CPU_IMAGE
    assert [one.given for one in for_target(recorded, containers=True)] == [DEFAULT_GPU_IMAGE]
    assert [(one.asked, one.given) for one in for_target(recorded, containers=False)] == [(cuda, "not used")]
    assert for_target(EnvironmentDefinition("mine"), containers=False) == ()
    limited = EnvironmentDefinition("mine", docker=ContainerSettings(arguments=("--shm-size", "2g")))
    [told] = for_target(limited, containers=False)
    assert (told.kind, told.asked, told.given) == ("docker arguments", "--shm-size 2g", "not used")
    assert for_target(limited, containers=True) == ()


# --- curated names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("AzureML-TensorFlow-2.2-GPU", "tensorflow-2.12"),
        ("azureml-tensorflow-2.2-gpu", "tensorflow-2.12"),
        ("AzureML-tensorflow-2.4-ubuntu18.04-py37-cuda11-gpu", "tensorflow-2.12"),
        ("AzureML-tensorflow-2.11-cuda11", "tensorflow-2.12"),
        ("AzureML-tensorflow-2.16-cuda12", "tensorflow"),
        ("azureml-sklearn-1.5", "scikit-learn-1.5"),
        ("AzureML-Minimal", "minimal"),
    ],
)
def test_curated_names_of_the_sdk(tmp_path, name, instead):
    store = EnvironmentStore(tmp_path / "environments")
    found = store.get(name)
    assert (found.name, found.version, found.curated) == (name, 1, True)
    assert found.pip == CURATED[instead].pip
    assert [(one.kind, one.asked, one.given) for one in found.substitutions] == [("environment", name, instead)]
    assert store.get(name.upper()) == found
    assert store.get(f"{name.lower()}:1") == found
    assert name in store.names()


@pytest.mark.parametrize(
    "name", ["AzureML-TensorFlow-2.2-../x", "AzureML-TensorFlow-2.2-\0", "AzureML-TensorFlow-2.2-*"]
)
def test_curated_names_that_are_none(tmp_path, name):
    with pytest.raises(InvalidName):
        EnvironmentStore(tmp_path / "environments").get(name)
    assert not (tmp_path / "environments").exists()


@pytest.mark.parametrize("name", ["AzureML-PyTorch-1.6-GPU", "AzureML-TensorFlow-1.13-CPU", "AzureML-"])
def test_curated_names_that_nothing_stands_in_for(tmp_path, name):
    store = EnvironmentStore(tmp_path / "environments")
    with pytest.raises(EnvironmentNotFound) as caught:
        store.get(name)
    assert FILE in caught.value.mend
    assert not (tmp_path / "environments").exists()


# --- a workspace's own table ---------------------------------------------------------------------------------------------


def own(folder, text: str) -> Table:
    (folder / FILE).write_text(text)
    return Table.load(folder / FILE)


def test_a_workspace_adds_replaces_and_takes_away(tmp_path):
    table = own(
        tmp_path,
        '[[package]]\nname = "tensorflow-gpu"\nversions = "<2.12"\ngiven = "tensorflow==2.15.1"\nreason = "ours"\n'
        '[[package]]\nname = "keras"\ngiven = false\n'
        '[[environment]]\nname = "AzureML-PyTorch-*"\ngiven = "minimal"\n',
    )
    made = table.legacy(Packages(pip=("tensorflow-gpu==2.2.0", "keras==2.3.1", "h5py<=2.10")))
    assert made.packages.pip == ("tensorflow==2.15.1", "keras==2.3.1", "h5py>=3.7,<3.12")
    assert EnvironmentStore(tmp_path / "environments").get("AzureML-PyTorch-1.6-GPU").pip == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[package]\n", "cannot be read"),
        ("[[packages]]\nname = 'a'\n", "[[packages]] is not known"),
        ("[[package]]\nname = 'a'\ngave = 'b'\n", "'gave' is not known"),
        ("[[package]]\nname = 'a'\n", "'given' is missing or no text"),
        ("[[package]]\nname = 1\ngiven = 'b'\n", "'name' is missing or no text"),
        ("[[package]]\nname = 'a'\ngiven = 'b'\nversions = 'old'\n", "versions: "),
        ("package = 3\n", "[[package]] is not known"),
    ],
)
def test_a_table_that_is_wrong_is_said_in_one_line(tmp_path, text, said):
    with pytest.raises(UsageError) as caught:
        own(tmp_path, text)
    assert said in caught.value.message
    assert str(tmp_path) in caught.value.message


# --- when it is asked ------------------------------------------------------------------------------------------------------


def ask(environments: Environments, log: list[str] | None = None, **asked):
    return environments.register(EnvironmentDefinition("mine", **asked), log=[].append if log is None else log.append)


@pytest.fixture
def old_and_new(index):
    """An index with the packages of today: none of the versions that are asked for."""
    for name, version in (
        ("tensorflow_cpu", "2.12.1"),
        ("tensorflow", "2.12.1"),
        ("numpy", "1.23.5"),
        ("numpy", "2.3"),
    ):
        index.wheel(name, version, requires=("numpy",) if name != "numpy" else ())
    index.wheel("azureml_defaults", "1.61")
    return index


def test_what_no_longer_resolves_is_substituted_and_recorded(old_and_new, environments):
    log: list[str] = []
    stored = ask(environments, log, python="3.6.2", pip=ARTICLE.pip)
    assert stored.version == 1
    assert (stored.python, stored.pip) == ("3.6.2", ARTICLE.pip), "what was asked for stays on record"
    assert stored.given is not None
    assert [one.asked for one in stored.substitutions] == ["3.6.2", "azureml-defaults", "tensorflow-gpu==2.2.0"]
    assert any("3.6.2" in line and "Not to be had" in line for line in log)
    lock = environments.lock(stored)
    assert lock is not None
    assert lock.packages == ("numpy==1.23.5", "tensorflow-cpu==2.12.1")
    assert EnvironmentStore(environments.store.folder).get("mine") == stored
    # The same again asks nothing and is the same version.
    asked = len(old_and_new.requests)
    assert ask(environments, python="3.6.2", pip=ARTICLE.pip) == stored
    assert len(old_and_new.requests) == asked
    assert ask(environments, python="3.6.2", pip=("tensorflow-gpu==2.3.0",)).version == 2


def test_what_resolves_is_given_as_it_is(old_and_new, environments):
    old_and_new.wheel("tensorflow_gpu", "2.2.0")
    stored = ask(environments, pip=("tensorflow-gpu==2.2.0",))
    assert (stored.given, stored.substitutions) == (None, ())


def test_what_runs_bring_along_is_always_left_out(old_and_new, environments):
    stored = ask(environments, pip=("azureml-defaults", "numpy>=2"))
    assert [(one.asked, one.given) for one in stored.substitutions] == [("azureml-defaults", "left out")]
    assert environments.lock(stored).packages == ("numpy==2.3",)


def test_an_edit_of_the_table_counts_at_once(old_and_new, environments):
    first = ask(environments, pip=("tensorflow-gpu==2.2.0",))
    folder = environments.store.folder.parent
    (folder / FILE).write_text('[[package]]\nname = "tensorflow-gpu"\ngiven = "tensorflow"\nreason = "ours"\n')
    second = ask(environments, pip=("tensorflow-gpu==2.2.0",))
    assert (first.version, second.version) == (1, 2)
    assert [one.given for one in second.substitutions] == ["tensorflow"]


def test_the_resolvers_words_are_about_what_was_given(old_and_new, environments):
    with pytest.raises(ResolveError, match="not-there"):
        ask(environments, pip=("tensorflow-gpu==2.2.0", "not-there"))


def test_a_python_that_the_table_does_not_know_is_refused(old_and_new, environments):
    with pytest.raises(PythonNotFound, match=r"3\.2"):
        ask(environments, python="3.2", pip=("tensorflow-gpu==2.2.0",))


def test_a_clone_keeps_the_name_that_was_asked_for(old_and_new, environments):
    old_and_new.wheel("pandas")
    legacy = environments.get("AzureML-Minimal")
    clone = replace(legacy, name="mine", version=None, curated=False, pip=("pandas",))
    stored = environments.register(clone, log=lambda _: None)
    assert [(one.kind, one.asked) for one in stored.substitutions] == [("environment", "AzureML-Minimal")]
    again = environments.register(replace(stored, pip=("pandas", "numpy")), log=lambda _: None)
    assert len(again.substitutions) == 1


@pytest.fixture
def strict(environments) -> Environments:
    return Environments(environments.store.folder, strict=True)


def test_strict_refuses_each(old_and_new, strict, environments):
    with pytest.raises(SubstitutionRefused, match=r"AzureML-TensorFlow-2\.2-GPU"):
        strict.get("AzureML-TensorFlow-2.2-GPU")
    with pytest.raises(SubstitutionRefused, match=r"tensorflow-gpu==2\.2\.0"):
        ask(strict, pip=("tensorflow-gpu==2.2.0",))
    with pytest.raises(SubstitutionRefused, match="azureml-defaults"):
        ask(strict, pip=("azureml-defaults",))
    assert strict.store.versions("mine") == []
    image = ContainerSettings(enabled=True, base_image="ours/image:1")
    stored = ask(strict, pip=("numpy",), docker=image)
    with pytest.raises(SubstitutionRefused, match="ours/image:1"):
        strict.for_target(stored, containers=False)
    # One that was made before is shown, and not used.
    made = ask(environments, pip=("tensorflow-gpu==2.2.0",))
    assert strict.store.get("mine") == made
    with pytest.raises(SubstitutionRefused):
        strict.prepare("mine", log=lambda _: None)


# --- as a Dockerfile -------------------------------------------------------------------------------------------------------


def test_the_dockerfile_says_what_is_given_and_installs_the_lock(old_and_new, environments, table):
    stored = ask(environments, python="3.6.2", pip=ARTICLE.pip, environment_variables={"A": 'say "$HOME"'})
    lock = environments.lock(stored)
    lines = dockerfile(stored, lock, table).splitlines()
    assert lines[0] == "# Environment mine:1"
    assert any(line.startswith("# tensorflow-gpu==2.2.0 -> tensorflow-cpu==2.12.1: ") for line in lines)
    assert f"COPY modules/ /opt/environment/lib/python{lock.python}/site-packages/" in lines
    assert f"FROM {default_image(lock.python)}" in lines
    assert 'ENV A="say \\"\\$HOME\\""' in lines
    assert any("uv pip install" in line and "lock.txt" in line for line in lines)
    own_base = replace(stored, docker=ContainerSettings(base_image=None, base_dockerfile="FROM scratch\nRUN a\n"))
    text = dockerfile(own_base, None, table)
    assert "FROM scratch\nRUN a\n" in text
    assert "tensorflow-cpu==2.12.1" in text
    assert "uv" not in dockerfile(EnvironmentDefinition("own", interpreter="/usr/bin/python3"), None, table)
