"""The option grammar, once: `%%mltrain`, `%mltrain VERB` and `jupyter mltrain VERB` are all read by a `Grammar`.

What can be written is data (`Option`, `Argument`), so that parsing, `--help` and Tab completion cannot disagree.
Everything after the first `--` belongs to the script.
"""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True)
class Option:
    """One option. Without `metavar` it is a switch. `read` turns its text into a value, or raises `UsageError`;
    `completes` names the list its values come from (`environments`, `datasets`, `runs`, `targets`, `paths`)."""

    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    read: Callable[[str], Any] = str
    repeated: bool = False
    completes: str = ""
    terminal_only: bool = False

    @property
    def name(self) -> str:
        """The name of the value in what `Grammar.parse` returns."""
        return self.flags[-1].lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Argument:
    """One positional argument; `choices` limits it, `optional` lets it be left out (then None); `repeated`: any number of
    them, at the end."""

    name: str
    help: str
    optional: bool = False
    choices: tuple[str, ...] = ()
    completes: str = ""
    repeated: bool = False


class HelpRequested(Exception):  # noqa: N818 - not an error: `--help` was asked for, and this is the text
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True)
class Grammar:
    """What may follow a verb. `program` is how it is called in a notebook (`%mltrain runs`)."""

    program: str
    summary: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    takes_script_arguments: bool = False

    def parse(self, tokens: Sequence[str], script_arguments: Sequence[str] | None = None) -> dict[str, Any]:
        """The values by name (`Option.name`, `Argument.name`, and `arguments` where the script takes some).

        `tokens` are those before `--`, `script_arguments` those after it, None if there was none. Raises
        `UsageError`, for an unknown option with the nearest that exist, and `HelpRequested` for `--help`.
        """
        if {"-h", "--help"} & set(tokens):
            raise HelpRequested(self.help())
        self._check_options(tokens)
        parser = self._parser()
        found, extra = parser.parse_known_args(list(tokens))
        if extra:
            mend = (
                "Arguments of the script come after ` -- `." if self.takes_script_arguments else f"`{self.program} -h`."
            )
            raise UsageError(f"`{extra[0]}` is one argument too many for `{self.program}`.", mend=mend)
        values = vars(found)
        if self.takes_script_arguments:
            values["arguments"] = tuple(script_arguments or ())
        elif script_arguments:
            raise UsageError(f"`{self.program}` runs no script, so nothing can follow `--`.", mend=self._see_help())
        return values

    def help(self) -> str:
        """What `--help` prints."""
        return self._parser().format_help()

    def option(self, flag: str) -> Option | None:
        """The option that is written `flag`."""
        return next((o for o in self.options if flag in o.flags), None)

    def flags(self) -> list[str]:
        """All options as they can be written, `--help` included."""
        return [*(flag for option in self.options for flag in option.flags), "-h", "--help"]

    def _check_options(self, tokens: Sequence[str]) -> None:
        # argparse would first complain of a missing argument, and it knows no nearest names.
        known = self.flags()
        for word in tokens:
            flag = word.partition("=")[0]
            if not word.startswith("-") or word == "-" or flag in known or _NEGATIVE.match(word):
                continue
            attached = self.option(word[:2])
            if attached is not None and attached.metavar and not word.startswith("--"):
                continue
            raise UsageError(
                f"`{self.program}` has no option {flag!r}.", mend=_nearest(flag, known) or self._see_help()
            )

    def _see_help(self) -> str:
        return f"`{self.program} --help` lists what it takes."

    def _parser(self) -> argparse.ArgumentParser:
        import argparse  # noqa: PLC0415 - 6 ms that `%load_ext` need not pay

        grammar = self

        class Parser(argparse.ArgumentParser):
            def error(self, message: str) -> NoReturn:
                raise UsageError(f"`{grammar.program}`: {message}.", mend=grammar._see_help())

        class Formatter(argparse.RawDescriptionHelpFormatter):
            def __init__(self, prog: str) -> None:
                super().__init__(prog, max_help_position=34, width=110)

        usage_end = " [-- SCRIPT ARGUMENTS]" if self.takes_script_arguments else ""
        names = [_shown(argument) for argument in self.arguments]
        usage = " ".join([self.program, *names, "[options]"]) + usage_end
        # argparse formats these texts with `%`.
        usage = usage.replace("%", "%%")
        parser = Parser(
            usage=usage, description=self.summary, formatter_class=Formatter, add_help=False, allow_abbrev=False
        )
        if sys.version_info >= (3, 14):
            parser.color = False
        for argument in self.arguments:
            parser.add_argument(
                argument.name,
                metavar=argument.name.upper(),
                help=argument.help.replace("%", "%%"),
                nargs="*" if argument.repeated else "?" if argument.optional else None,
                choices=argument.choices or None,
            )
        for option in self.options:
            if option.metavar:
                parser.add_argument(
                    *option.flags,
                    dest=option.name,
                    metavar=option.metavar,
                    type=option.read,
                    action="append" if option.repeated else "store",
                    default=[] if option.repeated else None,
                    help=option.help.replace("%", "%%"),
                )
            else:
                parser.add_argument(
                    *option.flags, dest=option.name, action="store_true", help=option.help.replace("%", "%%")
                )
        parser.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="show this")
        return parser


def _shown(argument: Argument) -> str:
    name = argument.name.upper()
    return f"[{name} …]" if argument.repeated else f"[{name}]" if argument.optional else name


def tokens_of(line: str) -> list[str]:
    """The words of a magic's line, quoted as in a shell; raises `UsageError` for a quote that is not closed."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(
            f"The line cannot be split into words: {str(error).lower()}.",
            mend="Quote as in a shell: 'two words', '{\"json\": 1}'.",
        ) from error


def split_script_arguments(tokens: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The tokens before the first `--`, and those after it (None if there is none)."""
    if "--" not in tokens:
        return list(tokens), None
    at = list(tokens).index("--")
    return list(tokens[:at]), list(tokens[at + 1 :])


def nearest_of(word: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that `word` may have meant: those it begins, then those spelled alike."""
    names = list(dict.fromkeys(known))
    begun = [n for n in names if len(word.strip("-")) > 1 and n.startswith(word)]
    alike = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    return list(dict.fromkeys([*begun, *alike]))[:3]


_NEGATIVE = re.compile(r"-\d|-\.\d")


def _nearest(word: str, known: Iterable[str]) -> str:
    names = nearest_of(word, known)
    return f"Did you mean {' or '.join(f'`{n}`' for n in names)}?" if names else ""
