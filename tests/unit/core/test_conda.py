"""Conda files: what is read of them, each mistake with its line, and that what is written is read as the same."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core.conda import CondaSpecification, of_definition, package_name, python_version
from jupyter_mltrain.errors import PathNotFound, UsageError

ARTICLE = """\
channels:
- conda-forge
dependencies:
- python=3.6.2
- pip:
  - azureml-defaults
  - tensorflow-gpu==2.2.0
"""


def test_the_articles_file():
    read = CondaSpecification.loads(ARTICLE)
    assert read == CondaSpecification(
        channels=("conda-forge",), python="3.6.2", pip=("azureml-defaults", "tensorflow-gpu==2.2.0")
    )


def test_what_conda_itself_writes():
    text = (
        "name: old\nchannels:\n  - nodefaults\n  - https://host.example/channel\nprefix: /home/me/envs/old\n"
        "dependencies:\n  - python=3.11.7=hab00c5b_1_cpython\n  - numpy=1.26.4=py311h64a7726_0\n"
        "  - conda-forge::scipy >=1.11,<2\n  - pip=24.0\n  - pip:\n      - six==1.16.0 # needed\nvariables:\n  A: 1\n"
    )
    read = CondaSpecification.loads(text)
    assert (read.name, read.python) == ("old", "3.11.7")
    assert read.channels == ("https://host.example/channel",)
    assert read.conda == ("numpy=1.26.4=py311h64a7726_0", "conda-forge::scipy >=1.11,<2")
    assert read.pip == ("six==1.16.0",)
    assert read.variables == {"A": "1"}


@pytest.mark.parametrize(
    ("dependency", "version"),
    [
        ("python", None),
        ("python=*", None),
        ("python=3.6.2", "3.6.2"),
        ("python==3.6", "3.6"),
        ("python=3.6.*", "3.6"),
        ("python 3.11", "3.11"),
        ("python=3.11.7=build_0", "3.11.7"),
        ("python>=3.9, <3.12", ">=3.9,<3.12"),
        ("conda-forge::python=3.9", "3.9"),
    ],
)
def test_versions_of_python(dependency, version):
    assert python_version(dependency) == version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dependencies:\n- python=3.11\n\t- numpy\n", "line 3: this is no YAML"),
        ("name: a\ndependencies: [numpy\n", "line 3: this is no YAML"),
        ("name: a\ndependency:\n- numpy\n", "line 2: 'dependency' is not known"),
        ("dependencies:\n- python=new\n", "line 2: 'python=new' is no Python version"),
        ("dependencies:\n- python=3.8|3.9\n", "line 2: 'python=3.8|3.9' is no Python version"),
        ("dependencies:\n- numpy\n- pip:\n  - six\n  - six >> 1\n", "line 5: 'six >> 1' is no requirement"),
        ("dependencies:\n- numpy\n- pip: six\n", "line 3: pip must be a list"),
        ("dependencies:\n- conda:\n  - six\n", "line 2: 'conda' is no list of packages"),
        ("dependencies: numpy\n", "line 1: dependencies must be a list"),
        ("dependencies:\n- ~\n", "line 2: a dependency must be a text"),
        ("dependencies:\n- [numpy]\n", "line 2: a dependency must be a text"),
        ("dependencies:\n- '???'\n", "line 2: '???' is no conda dependency"),
        ("channels:\n- conda-forge\n", "line 1: there is no list `dependencies`"),
        ("- numpy\n", "line 1: the file must have the form"),
        ("", "line 1: the file is empty"),
        ("dependencies:\n- pip:\n  - -r other.txt\n", "line 3: there is no folder to look for it"),
        ("\0", "line 1: this is no YAML"),
        ("a: &a [*a]", "line 1: "),
    ],
)
def test_mistakes_name_the_line(text, said):
    with pytest.raises(UsageError) as caught:
        CondaSpecification.loads(text)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_mistakes_name_the_file(tmp_path):
    (tmp_path / "bad.yml").write_text("dependencies:\n- ???\n")
    with pytest.raises(UsageError, match=r"bad\.yml, line 2"):
        CondaSpecification.load(tmp_path / "bad.yml")
    with pytest.raises(PathNotFound, match=r"none\.yml"):
        CondaSpecification.load(tmp_path / "none.yml")
    (tmp_path / "bad.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        CondaSpecification.load(tmp_path / "bad.yml")


def test_files_that_it_names_are_beside_it(tmp_path):
    (tmp_path / "more.txt").write_text("six==1.16\n./wheels/own.whl\n")
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    text = "channels: [./channel]\ndependencies:\n- pip:\n  - -r more.txt\n  - -c limits.txt\n"
    (tmp_path / "conda.yml").write_text(text)
    read = CondaSpecification.load(tmp_path / "conda.yml")
    assert read.channels == (str(tmp_path / "channel"),)
    assert read.pip == ("six==1.16", str(tmp_path / "wheels" / "own.whl"))
    assert read.constraints == ("numpy<2",)


def test_no_object_is_made_of_what_the_yaml_asks_for(tmp_path):
    text = f"dependencies:\n- !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n"
    with pytest.raises(UsageError, match="line 2"):
        CondaSpecification.loads(text)
    assert not (tmp_path / "made").exists()


names = st.from_regex(r"[a-z][a-z0-9_.\-]{0,8}[a-z0-9]", fullmatch=True).filter(lambda n: n not in ("python", "pip"))
numbers = st.lists(st.integers(0, 99), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
pips = st.builds(lambda n, v: f"{n}=={v}", names, numbers)
condas = st.builds(lambda n, o, v: f"{n}{o}{v}", names, st.sampled_from(["=", ">=", " >=", "==", "~="]), numbers)
pythons = st.one_of(st.none(), numbers, st.builds(lambda a, b: f">={a},<{b}", numbers, numbers))
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
specifications = st.builds(
    CondaSpecification,
    name=st.one_of(st.none(), names),
    channels=st.lists(st.sampled_from(["conda-forge", "https://a.example/b", "/a/b"]), unique=True).map(tuple),
    python=pythons,
    conda=st.lists(condas, max_size=4).map(tuple),
    pip=st.lists(pips, max_size=4).map(tuple),
    variables=st.dictionaries(names, texts.map(str.strip), max_size=3),
)


@given(specifications)
def test_what_is_written_is_read_as_the_same(specification: CondaSpecification):
    assert CondaSpecification.loads(specification.dumps(), Path("/x/conda.yml")) == specification
    definition = specification.definition("any")
    again = of_definition(definition)
    assert (again.python, again.pip, again.conda, again.channels) == (
        specification.python,
        specification.pip,
        specification.conda,
        specification.channels,
    )


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    with contextlib.suppress(UsageError):
        CondaSpecification.loads(text)


def test_names_in_dependencies():
    assert package_name("conda-forge::NumPy=1.26") == "numpy"
    assert package_name("scikit-learn >=1") == "scikit-learn"
    assert package_name("???") == ""
