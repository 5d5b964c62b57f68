"""Requirements files in pip's format, as one list of lines that needs no other file.

The kernel reads the file where the user is and sends a definition, hence this is here and not with the builder. Format:
pip's documentation, "Requirements File Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.errors import PathNotFound, UsageError


def from_pip_requirements(name: str, file: str | Path, python: str | None = None) -> EnvironmentDefinition:
    """An environment of the packages in a requirements file; `python` as in `EnvironmentDefinition`.

    Files that it names (`-r`, `-c`) are read too; paths become absolute. Raises `PathNotFound`, or `UsageError` naming
    file and line for what cannot be read.
    """
    found = RequirementLines(Path(file).expanduser().absolute())
    found.read()
    return EnvironmentDefinition(
        name=name, python=python, pip=tuple(found.requirements), constraints=tuple(found.constraints)
    )


def requirement_name(line: str) -> str:
    """The package that a line of a requirements file asks for, in PyPI's spelling; empty for options, paths, addresses."""
    try:
        return canonicalize_name(Requirement(_HASHES.sub("", line).strip()).name)
    except InvalidRequirement:
        return ""


class RequirementLines:
    """Lines for pip that stand in `source`, or in no file (None): then they can name no others by relative paths."""

    def __init__(self, source: Path | None) -> None:
        self.source = source
        self.requirements: list[str] = []
        self.constraints: list[str] = []

    def read(self) -> None:
        """Take all lines of the requirements file `source`."""
        assert self.source is not None
        self._read(self.source, self.requirements, ())

    def take(self, line: str, number: int) -> None:
        """Take one line that stands in `source` as its line `number`."""
        self._take(line, number, self.source, self.requirements, ())

    def _read(self, path: Path, into: list[str], parents: tuple[Path, ...]) -> None:
        if path in parents:
            raise UsageError(f"{path} includes itself.", mend="Remove one of its `-r` lines.")
        for number, line in _logical_lines(_text(path)):
            self._take(line, number, path, into, parents)

    def _take(self, line: str, number: int, path: Path | None, into: list[str], parents: tuple[Path, ...]) -> None:
        option = _OPTION.match(line)
        if option is None:
            into.append(_requirement(line, path, number))
            return
        name, value = _SHORT.get(option[1], option[1]), (option[2] or "").strip()
        if name in {"--requirement", "--constraint"}:
            if "://" in value:
                raise UsageError(f"{_at(path, number)}: {value} is no file here.", mend="Download it first.")
            lines = self.constraints if name == "--constraint" else into
            before = (*parents, path) if path else parents
            self._read((_folder(path, number) / value).absolute(), lines, before)
        else:
            into.append(_kept_option(name, value, path, number))


_KEPT = frozenset({"--index-url", "--extra-index-url", "--no-index", "--no-binary", "--only-binary", "--find-links"})
_SHORT = {"-i": "--index-url", "-f": "--find-links", "-r": "--requirement", "-c": "--constraint", "-e": "--editable"}
_OPTION = re.compile(r"(--?[a-z-]+)(?:[=\s]+(.*))?$")
_HASHES = re.compile(r"\s--hash[=\s]\S+")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise PathNotFound(
            f"There is no requirements file {path}.", mend="Give the path of an existing file."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a requirements file: {error}", mend="Save it as UTF-8.") from error


def _kept_option(name: str, value: str, path: Path | None, number: int) -> str:
    if name == "--editable":
        return f"-e {_absolute(value, path, number)}"
    if name == "--find-links":
        return f"{name} {_absolute(value, path, number)}"
    if name in _KEPT:
        return f"{name} {value}".strip()
    raise UsageError(
        f"{_at(path, number)}: the option {name} is not understood here.",
        mend=f"Remove it; options for indexes can stay ({', '.join(sorted(_KEPT))}).",
    )


def _requirement(line: str, path: Path | None, number: int) -> str:
    plain = _HASHES.sub("", line).strip()
    if re.match(r"[./~]|[\w.+-]+/|.*\.(whl|tar\.gz|zip)$", plain) and "://" not in plain and "@" not in plain:
        return _absolute(line, path, number)
    if re.match(r"(git\+|https?:|file:)", plain):
        return line
    try:
        Requirement(plain)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{_at(path, number)}: {plain!r} is no requirement: {reason}", mend="Correct it.") from error
    return line


def _absolute(place: str, path: Path | None, number: int) -> str:
    if "://" in place or Path(place).is_absolute():
        return place
    return str((_folder(path, number) / Path(place).expanduser()).resolve())


def _folder(path: Path | None, number: int) -> Path:
    """What relative paths start from."""
    if path is None:
        raise UsageError(f"{_at(path, number)}: there is no folder to look for it.", mend="Give an absolute path.")
    return path.parent


def _at(path: Path | None, number: int) -> str:
    return f"{path or 'The list of packages'}, line {number}"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; continued ones joined, comments and empty ones left out."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        first = first if parts else number
        comment = re.match(r"\s*#", raw)
        if raw.endswith("\\") and not comment:
            parts.append(raw[:-1])
            continue
        parts.append("" if comment else raw)
        line = re.sub(r"\s#.*$", "", "".join(parts)).strip()
        parts = []
        if line:
            yield first, line
