from pathlib import Path

import pytest

from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.requirements import from_pip_requirements
from jupyter_mltrain.errors import PathNotFound, UsageError


@pytest.fixture
def read(tmp_path: Path):
    def read(**files: str) -> EnvironmentDefinition:
        for name, text in files.items():
            (tmp_path / f"{name}.txt").write_text(text)
        return from_pip_requirements("mine", tmp_path / "requirements.txt")

    return read


def test_plain_lines_comments_and_continuations(read):
    text = (
        "# a comment\n\nalpha>=1.0  # why\nbeta[extra]==2.0 ; python_version < '4'\ngamma==1 \\\n    --hash=sha256:ab \\\n"
        "    --hash=sha256:cd\n# not \\\ndelta\nepsilon @ https://host/epsilon.whl#sha256=00\n\ufeff".removesuffix(
            "\ufeff"
        )
    )
    assert read(requirements=text).pip == (
        "alpha>=1.0",
        "beta[extra]==2.0 ; python_version < '4'",
        "gamma==1     --hash=sha256:ab     --hash=sha256:cd",
        "delta",
        "epsilon @ https://host/epsilon.whl#sha256=00",
    )


def test_files_that_it_names_are_taken_in(read):
    found = read(
        requirements="-r more.txt\nalpha\n--constraint=limits.txt\n", more="beta\n-c limits.txt\n", limits="gamma<2\n"
    )
    assert found.pip == ("beta", "alpha")
    assert found.constraints == ("gamma<2", "gamma<2")


def test_paths_become_absolute(read, tmp_path):
    found = read(requirements="-e ./here\n./there\nwheels/a.whl\n--find-links wheels\n-f https://host/links\n")
    assert found.pip == (
        f"-e {tmp_path}/here",
        f"{tmp_path}/there",
        f"{tmp_path}/wheels/a.whl",
        f"--find-links {tmp_path}/wheels",
        "--find-links https://host/links",
    )


def test_index_options_stay(read):
    text = "-i https://host/simple\n--extra-index-url=https://other/simple\n--no-binary :all:\nalpha\n"
    assert read(requirements=text).pip == (
        "--index-url https://host/simple",
        "--extra-index-url https://other/simple",
        "--no-binary :all:",
        "alpha",
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("alpha\nthis is none\n", "line 2: 'this is none'"),
        ("alpha\n\n--use-feature x\n", "line 3: the option --use-feature"),
        ("alpha==\n", "line 1"),
        ("-r https://host/r.txt\n", "no file here"),
        ("-r requirements.txt\n", "includes itself"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(read, text, part):
    with pytest.raises(UsageError) as caught:
        read(requirements=text)
    assert part in caught.value.message
    assert "requirements.txt" in caught.value.message
    assert caught.value.mend


def test_files_that_are_not_there_or_no_text(read, tmp_path):
    with pytest.raises(PathNotFound, match="nowhere"):
        from_pip_requirements("mine", tmp_path / "nowhere.txt")
    with pytest.raises(PathNotFound, match=r"more\.txt"):
        read(requirements="-r more.txt\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        from_pip_requirements("mine", tmp_path / "binary.txt")
