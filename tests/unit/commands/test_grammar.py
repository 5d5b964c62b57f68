from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.grammar import Grammar, HelpRequested, nearest_of, split_script_arguments, tokens_of
from jupyter_mltrain.commands.values import DataOption, Named
from jupyter_mltrain.commands.verbs import CELL, VERBS
from jupyter_mltrain.errors import MLTrainError, UsageError


def parse(line: str, grammar: Grammar = CELL) -> dict[str, Any]:
    return grammar.parse(*split_script_arguments(tokens_of(line)))


def test_every_option_of_a_cell() -> None:
    values = parse(
        "--experiment exp -t local -e tensorflow:3 -d mnist -d --data=test=fashion:2 -s src --gpus 1 --cpus 2 --memory 8 --max-run-time 2h"
        " --nodes 2 --procs-per-node 3 --mpirun --workers 4 --ps 0 --chief --evaluator --join-timeout 2m"
        " --resume-from brave-otter-7 --retries 2"
        " --set A=1 --set B=x=y --secret KEY --tag t --tag k=v --as mine --wait --dry-run -- --lr 0.1 -- x".replace(
            "-d --data", "--data"
        )
    )
    assert values == {
        "experiment": "exp",
        "target": "local",
        "env": Named("tensorflow", 3),
        "data": [DataOption(Named("mnist")), DataOption(Named("fashion", 2), "--test")],
        "source": "src",
        "gpus": 1,
        "cpus": 2,
        "memory": 8.0,
        "max_run_time": 7200.0,
        "nodes": 2,
        "procs_per_node": 3,
        "mpirun": True,
        "workers": 4,
        "ps": 0,
        "chief": True,
        "evaluator": True,
        "join_timeout": 120.0,
        "resume_from": "brave-otter-7",
        "retries": 2,
        "set": [("A", "1"), ("B", "x=y")],
        "secret": ["KEY"],
        "tag": [("t", ""), ("k", "v")],
        "as": "mine",
        "wait": True,
        "dry_run": True,
        "arguments": ("--lr", "0.1", "--", "x"),
    }


def test_nothing_said() -> None:
    values = parse("")
    assert values["arguments"] == ()
    assert values["data"] == []
    assert values["env"] is None
    assert values["wait"] is False


def test_quotes_are_those_of_a_shell() -> None:
    assert parse('-- --json \'{"a": 1}\' "two words"')["arguments"] == ("--json", '{"a": 1}', "two words")
    with pytest.raises(UsageError, match="no closing quotation"):
        parse("-- 'open")


@pytest.mark.parametrize(
    ("line", "message", "mend"),
    [
        ("--experimnt x", "no option '--experimnt'", "`--experiment`"),
        ("--exp x", "no option '--exp'", "`--experiment`"),
        ("--evn=tensorflow", "no option '--evn'", "`--env`"),
        ("--noodles 2", "no option '--noodles'", ""),
        ("--qqqqqq", "no option '--qqqqqq'", "--help"),
        ("-x", "no option '-x'", "--help"),
        ("--env", "expected one argument", "--help"),
        ("--gpus x", "'x' is not a whole number", "0, 1, 2"),
        ("--gpus -1", "", ""),
        ("--max-run-time soon", "'soon' is not a duration", "90s"),
        ("--lr 0.1", "no option '--lr'", ""),
        ("train.py", "`train.py` is one argument too many", "after ` -- `"),
        ("--set A", "gives no value", "--secret A"),
        ("--as 2x", "cannot be the name", "--as"),
        ("--wait=yes", "", ""),
    ],
)
def test_wrong_usage_is_two_lines(line: str, message: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert message in caught.value.message
    assert mend in caught.value.mend
    assert len(str(caught.value).splitlines()) == 2


def test_help_lists_every_option() -> None:
    for grammar in (CELL, *(v.grammar for v in VERBS.values())):
        with pytest.raises(HelpRequested) as asked:
            grammar.parse(["--help"])
        assert grammar.program in asked.value.text
        assert grammar.summary in asked.value.text.replace("\n", " ")
        for option in grammar.options:
            assert option.flags[-1] in asked.value.text
        assert max(len(line) for line in asked.value.text.splitlines()) <= 112


def test_help_wins_over_mistakes() -> None:
    with pytest.raises(HelpRequested):
        VERBS["show"].grammar.parse(["-h"])
    with pytest.raises(HelpRequested):
        CELL.parse(["--env", "--help"])


def test_help_for_the_script_is_the_scripts() -> None:
    assert parse("-- --help")["arguments"] == ("--help",)


def test_the_verbs() -> None:
    assert set(VERBS) == {
        "init",
        "rerun",
        "prune",
        "compute",
        "doctor",
        "run",
        "runs",
        "show",
        "compare",
        "logs",
        "cancel",
        "register",
        "models",
        "deploy",
        "endpoints",
        "env",
        "data",
        "export",
    }
    for verb in VERBS.values():
        assert f"\n  {verb.name} " in verbs.overview()
        assert callable(verb)


def test_a_verb_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        verbs.find("rnus")
    assert "`%mltrain runs`" in caught.value.mend
    with pytest.raises(UsageError) as caught:
        verbs.find("zzz", "jupyter mltrain")
    assert "init doctor" in caught.value.mend
    assert "jupyter mltrain" in caught.value.message


def test_missing_arguments_and_choices() -> None:
    with pytest.raises(UsageError, match="required: RUN"):
        VERBS["show"].grammar.parse([])
    with pytest.raises(UsageError, match="invalid choice"):
        VERBS["env"].grammar.parse(["destroy"])
    with pytest.raises(UsageError, match="runs no script"):
        VERBS["show"].grammar.parse(["x"], ["y"])
    assert VERBS["logs"].grammar.parse(["--tail", "5", "brave-otter-1"]) == {
        "run": "brave-otter-1",
        "tail": 5,
        "name": None,
        "follow": False,
    }


def test_options_of_a_run_are_those_of_a_cell() -> None:
    assert VERBS["run"].grammar.options == CELL.options
    assert parse("train.py -e current -- 1", VERBS["run"].grammar)["file"] == "train.py"


def test_nearest_prefers_what_was_begun() -> None:
    assert nearest_of("--dry", ["--env", "--dry-run", "--data"])[0] == "--dry-run"
    assert nearest_of("qq", ["--env"]) == []


@given(st.lists(st.text(max_size=12), max_size=5))
def test_any_words_are_values_or_a_usage_error(words: list[str]) -> None:
    for grammar in (CELL, VERBS["run"].grammar, VERBS["register"].grammar, VERBS["env"].grammar):
        try:
            grammar.parse(*split_script_arguments(words))
        except HelpRequested:
            assert {"-h", "--help"} & set(words)
        except MLTrainError as error:
            assert isinstance(error, UsageError)  # noqa: PT017
            assert "\n" not in error.mend  # noqa: PT017


@given(st.lists(st.text(), max_size=6))
def test_script_arguments_arrive_as_they_are(arguments: list[str]) -> None:
    assert CELL.parse(*split_script_arguments(["--wait", "--", *arguments]))["arguments"] == tuple(arguments)
