"""`jupyter mltrain …` and `python -m jupyter_mltrain`: the verbs in a terminal.

Exit codes: 0 done; 1 an error, or a run that was waited for did not complete; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.grammar import HelpRequested, split_script_arguments
from jupyter_mltrain.errors import MLTrainError, UsageError

PROGRAM = "jupyter mltrain"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its result goes to standard output, notes and errors (two lines) to standard error."""
    try:
        code = _guarded(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head` has seen enough. What is still buffered has nowhere to go; Python would complain when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _guarded(given: list[str]) -> int:
    try:
        return _run(given)
    except HelpRequested as asked:
        print(asked.text.replace("%mltrain", PROGRAM))  # noqa: T201
        return 0
    except MLTrainError as error:
        _say(f"{type(error).__name__}: {error}".replace("%mltrain", PROGRAM))
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130


def _run(given: list[str]) -> int:
    from jupyter_mltrain._version import __version__  # noqa: PLC0415

    if given and given[0] in {"-V", "--version"}:
        print(__version__)  # noqa: T201
        return 0
    if not given or given[0] in {"-h", "--help", "help"}:
        raise HelpRequested(verbs.overview(PROGRAM))
    context = Context(folder=Path.cwd(), say=_say, terminal=True)
    tokens, script_arguments = split_script_arguments(given[1:])
    _show(verbs.call(context, given[0], tokens, script_arguments))
    return 0


def _show(result: Any) -> None:
    from jupyter_mltrain.commands.submit import Started  # noqa: PLC0415 - one verb's result
    from jupyter_mltrain.commands.verbs.logs import Following  # noqa: PLC0415

    if isinstance(result, Following):
        _stream(result)
    elif isinstance(result, Started):
        _started(result)
    elif result is not None:
        print(_plain(result))  # noqa: T201


def _started(started: Any) -> None:
    from jupyter_mltrain.api.logs import BUILD_LOG, follow_run  # noqa: PLC0415
    from jupyter_mltrain.commands.outcome import check_outcome  # noqa: PLC0415

    run = started.run
    name = run.state["display_name"]
    if not started.wait:
        print(_plain(run))  # noqa: T201
        _say(f"Follow it: {PROGRAM} logs -f {name}")
        return
    _say(f"{name} is submitted.")
    try:
        for log, data in follow_run(run.workspace.connection, run.id):
            _write(data, sys.stderr if log == BUILD_LOG else sys.stdout)
    except KeyboardInterrupt:
        _say(f"Detached: {name} goes on. Follow it: {PROGRAM} logs -f {name}; end it: {PROGRAM} cancel {name}")
        raise
    state = run.refresh()
    check_outcome(state)
    _say(f"{name}: {state['status']}.")


def _stream(following: Any) -> None:
    if following.head:
        print(following.head)  # noqa: T201
    for data in following:
        _write(data, sys.stdout)


def _write(data: bytes, stream: TextIO) -> None:
    # Bytes as the run wrote them: the terminal knows its `\r` and colours better than we do.
    stream.flush()
    stream.buffer.write(data)
    stream.buffer.flush()


def _plain(result: Any) -> str:
    from jupyter_mltrain.api.run import Run  # noqa: PLC0415
    from jupyter_mltrain.commands.details import details  # noqa: PLC0415

    if isinstance(result, Run):
        return details(result.state, result.usage() if result.state["started"] else None)
    return str(result).replace("%mltrain", PROGRAM)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
