from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.commands import values
from jupyter_mltrain.commands.values import DataOption, Named
from jupyter_mltrain.errors import InvalidName, UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("45", 45),
        (" 5M ", 300),
        ("0.5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "1x", "-5m", "1h 30m", "ten", "0", "0s", "1e3", "٣m", "inf", "nan", "1h30", "5m5"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        values.duration(text)


@given(st.integers(0, 400), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    if total:
        assert values.duration(text) == total
    else:
        with pytest.raises(UsageError):
            values.duration(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_of_some_seconds_or_a_usage_error(text: str) -> None:
    try:
        assert values.duration(text) > 0
    except UsageError as error:
        assert error.mend  # noqa: PT017


names = st.from_regex(r"\A[a-zA-Z0-9][-._a-zA-Z0-9]{0,20}\Z")
options = st.from_regex(r"\A-{0,2}[a-z][-a-z0-9_]{0,10}\Z")


@given(options, names, st.none() | st.integers(1, 10**6))
def test_data_reads_back_what_was_written(argument: str, name: str, version: int | None) -> None:
    reference = name if version is None else f"{name}:{version}"
    assert values.data(reference) == DataOption(Named(name, version), None)
    assert values.data(f"={reference}") == DataOption(Named(name, version), "")
    read = values.data(f"{argument}={reference}")
    assert read.dataset == Named(name, version)
    assert read.argument == (argument if argument.startswith("-") else f"--{argument}")
    assert str(read.dataset) == reference


@given(st.text(max_size=30))
def test_any_text_is_data_or_a_usage_error(text: str) -> None:
    try:
        read = values.data(text)
    except UsageError:
        return
    assert read.argument is None or read.argument == "" or read.argument.startswith("-")
    assert text.endswith(read.dataset.name) or ":" in text


@pytest.mark.parametrize("text", ["mnist:0", "mnist:x", "mnist:", "a b=mnist", "a=b=mnist", "mnist:1:2", "mnist:١"])  # noqa: RUF001
def test_bad_data(text: str) -> None:
    with pytest.raises(UsageError):
        values.data(text)


def test_the_kernels_own_interpreter_has_no_versions() -> None:
    assert values.environment("current") == Named("current")
    with pytest.raises(UsageError, match="no versions"):
        values.environment("current:2")


def test_latest_is_no_version() -> None:
    assert values.environment("tensorflow:latest") == Named("tensorflow")


@pytest.mark.parametrize("name", ["<script>", "", "-x", "a/b", "ü", "x" * 256, "..", "🙂"])
def test_names_that_no_environment_can_have(name: str) -> None:
    with pytest.raises(InvalidName):
        values.environment(name)


def test_assignments_and_tags() -> None:
    assert values.assignment("A=b=c") == ("A", "b=c")
    assert values.assignment("A=") == ("A", "")
    assert values.tag("stage=final=1") == ("stage", "final=1")
    assert values.tag("stage") == ("stage", "")
    for bad in ("A", "1A=b", "=b", "A B=c"):
        with pytest.raises(UsageError):
            values.assignment(bad)
    with pytest.raises(UsageError):
        values.tag("=x")


def test_memory_and_counts() -> None:
    assert (values.memory("8"), values.memory("1.5GB"), values.memory("512mb")) == (8, 1.5, 0.512)
    assert (values.count("0"), values.positive("3")) == (0, 3)
    for read, bad in (
        (values.memory, "0"),
        (values.memory, "8TB"),
        (values.count, "-1"),
        (values.count, "1.5"),
        (values.positive, "0"),
    ):
        with pytest.raises(UsageError):
            read(bad)


def test_names_of_variables() -> None:
    assert values.python_name("bläh_2") == "bläh_2"
    for bad in ("2x", "class", "a.b", ""):
        with pytest.raises(UsageError):
            values.python_name(bad)
