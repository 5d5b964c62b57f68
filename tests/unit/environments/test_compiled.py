"""Packages that are compiled: what of a lock they are, what their result is kept under, what of a build is shown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from jupyter_mltrain.core.environment import EnvironmentLock, this_platform
from jupyter_mltrain.environments import compiled
from jupyter_mltrain.errors import BuildFailed

LOCK = EnvironmentLock(
    "tensorflow-cpu==2.15.1 \\\n    --hash=sha256:aa\nHorovod==0.28.1 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    "six==1.17.0 \\\n    --hash=sha256:dd",
    "3.11",
    "linux-x86_64-glibc",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path))


def test_a_lock_is_split_with_its_hashes(tmp_path: Path) -> None:
    rest, (one,) = compiled.split(LOCK)
    assert rest == "tensorflow-cpu==2.15.1 \\\n    --hash=sha256:aa\nsix==1.17.0 \\\n    --hash=sha256:dd\n"
    assert one.requirement == "Horovod==0.28.1 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc"
    assert one.folder.parent == tmp_path / "wheels"


def test_the_result_is_known_by_what_it_depends_on() -> None:
    def folder(lock: EnvironmentLock) -> str:
        return compiled.split(lock)[1][0].folder.name

    def with_(old: str, new: str) -> EnvironmentLock:
        return dataclasses.replace(LOCK, requirements=LOCK.requirements.replace(old, new))

    own = folder(LOCK)
    assert folder(with_("six==1.17.0", "six==1.16.0")) == own, "compiled again for a package it does not use"
    others = [
        with_("2.15.1", "2.16.2"),
        with_("0.28.1", "0.28.2"),
        with_("sha256:bb", "sha256:ee"),
        dataclasses.replace(LOCK, python="3.10"),
        dataclasses.replace(LOCK, platform="linux-aarch64-glibc"),
    ]
    assert len({own, *map(folder, others)}) == len(others) + 1


def test_what_the_build_needs_is_asked_for_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = compiled.split(LOCK)[1]
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildFailed, match=r"compiles horovod, which needs cmake, make, g\+\+") as told:
        one.check("mine")
    assert "apt-get install cmake make g++" in told.value.mend


def test_with_open_mpi_beside_it_horovod_speaks_mpi_too() -> None:
    alone = compiled.split(LOCK)[1][0]
    lock = dataclasses.replace(LOCK, requirements=f"{LOCK.requirements}\nopenmpi==5.0.11")
    beside = compiled.split(lock)[1][0]
    assert alone.folder != beside.folder
    assert ("HOROVOD_WITHOUT_MPI" in alone.variables, "HOROVOD_WITHOUT_MPI" in beside.variables) == (True, False)
    assert beside.variables_in(Path("/there"))["MPI_HOME"] == "/there"


def test_what_is_there_is_sent_and_what_is_not_is_compiled_here_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = dataclasses.replace(LOCK, platform=this_platform())
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    assert compiled.is_to_compile_here(lock)
    assert not compiled.is_to_compile_here(dataclasses.replace(LOCK, platform="linux-riscv64-glibc"))
    (one,) = compiled.split(lock)[1]
    assert one.order.wheel == ""
    wheel = one.folder / "sdists-v9" / "pypi" / "horovod" / "0.28.1" / "x" / "horovod-0.28.1-cp311-cp311-linux.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()
    assert one.order.wheel == str(wheel)
    assert one.order.key == one.folder.name
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not compiled.is_to_compile_here(lock)
    one.check("mine")


def test_of_a_build_its_percents_are_shown() -> None:
    said: list[str] = []
    show = compiled.Percent("horovod", said.append)
    for line in (
        "   Building horovod==0.28.1",
        "DEBUG [  3%] Building CXX object x.cc.o",
        "DEBUG [  3%] Building CXX object y.cc.o",
        "DEBUG warning: unused",
        "DEBUG",
        "DEBUG [ 12%] Linking",
        " + horovod==0.28.1",
    ):
        show(line)
    assert said == [
        "   Building horovod==0.28.1", "Compiling horovod: 3 %", "Compiling horovod: 12 %", " + horovod==0.28.1",
    ]  # fmt: skip
    assert compiled.words("DEBUG error: of the compiler\nerror: Failed to build") == "error: Failed to build"


def test_names_of_requirements() -> None:
    assert compiled.is_compiled(["numpy<2", "horovod[tensorflow]>=0.28"])
    assert not compiled.is_compiled(["horovod-extras==1", "tensorflow"])
