"""Conda environment files (`conda_dependencies.yml`): read with the line of each mistake, and written.

Format: conda's documentation, "Creating an environment file manually". Lines below `pip:` are those of a requirements
file, see `core.requirements`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.requirements import RequirementLines
from jupyter_mltrain.errors import PathNotFound, UsageError

EXAMPLE = "dependencies:\n- python=3.11\n- pip:\n  - tensorflow"


@dataclass(frozen=True)
class CondaSpecification:
    """What a conda environment file says. `python` as in `EnvironmentDefinition`; `conda`: packages of the channels, in
    conda's notation, without Python and pip; `pip` and `constraints`: lines for pip."""

    name: str | None = None
    channels: tuple[str, ...] = ()
    python: str | None = None
    conda: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def load(cls, file: str | Path) -> CondaSpecification:
        """The specification in `file`. Raises `PathNotFound`, or `UsageError` naming file, line and what is wrong."""
        path = Path(file).expanduser().absolute()
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise PathNotFound(
                f"There is no conda file {path}.", mend="Give the path of an existing YAML file."
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as a conda file: {error}", mend="Save it as UTF-8.") from error
        return cls.loads(text, path)

    @classmethod
    def loads(cls, text: str, source: Path | None = None) -> CondaSpecification:
        """The specification in `text`, which came from the file `source`: what it names is looked for beside that."""
        return _Reader(source).read(text)

    def dumps(self) -> str:
        """The specification as YAML; `loads` gives an equal one. Constraints have no place in it and are left out."""
        import yaml  # noqa: PLC0415 - a kernel that writes no conda file does not load it

        dependencies: list[Any] = []
        if self.python is not None:
            dependencies.append(f"python{'=' if self.python[:1].isdigit() else ''}{self.python}")
        dependencies += self.conda
        if self.pip:
            dependencies += ["pip", {"pip": list(self.pip)}]
        content: dict[str, Any] = {
            **({"name": self.name} if self.name else {}),
            **({"channels": list(self.channels)} if self.channels else {}),
            "dependencies": dependencies,
            **({"variables": dict(self.variables)} if self.variables else {}),
        }
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)

    def definition(self, name: str) -> EnvironmentDefinition:
        """The environment `name` with these packages."""
        return EnvironmentDefinition(
            name=name,
            python=self.python,
            pip=self.pip,
            constraints=self.constraints,
            conda=self.conda,
            channels=self.channels,
            environment_variables=self.variables,
        )


def of_definition(definition: EnvironmentDefinition) -> CondaSpecification:
    """What `definition` asks for, as a specification."""
    return CondaSpecification(
        name=definition.name,
        channels=definition.channels,
        python=definition.python,
        conda=definition.conda,
        pip=definition.pip,
        constraints=definition.constraints,
    )


def package_name(dependency: str) -> str:
    """The name in a conda dependency: `conda-forge::numpy=1.26` → `numpy`."""
    found = _DEPENDENCY.match(dependency.strip())
    return found["name"].lower() if found else ""


def python_version(dependency: str) -> str | None:
    """The versions that a conda dependency on Python allows, as `EnvironmentDefinition.python` says it: `python=3.6.2` →
    `3.6.2`, `python>=3.9,<3.12` → `>=3.9,<3.12`, `python` → None. Raises `ValueError` for what has no such form."""
    found = _DEPENDENCY.match(dependency.strip())
    if found is None or found["name"] != "python":
        raise ValueError(dependency)
    asked = re.sub(r"\s*,\s*", ",", found["rest"].strip())
    if asked.lstrip("= ") in ("", "*"):
        return None
    if exact := re.fullmatch(r"={0,2}\s*(\d+(?:\.\d+)*)(?:\.\*)?(?:[=\s].*)?", asked):  # what follows names a build
        return exact[1]
    if all(_CLAUSE.fullmatch(clause) for clause in asked.split(",")):
        return asked
    raise ValueError(dependency)


_DEPENDENCY = re.compile(r"(?:(?P<channel>[^\s:]+)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.\-]*)(?P<rest>.*)$")
_CLAUSE = re.compile(r"(?:[<>]=?|!=|~=|==)\s*\d+(?:\.\d+)*(?:\.\*)?")
_KEYS = ("name", "channels", "dependencies", "variables", "prefix")


class _Reader:
    """Reads the nodes of the YAML text, which know their lines."""

    def __init__(self, source: Path | None) -> None:
        self.source = source
        self.found: dict[str, Any] = {"channels": [], "conda": [], "variables": {}}
        self.lines = RequirementLines(source)

    def read(self, text: str) -> CondaSpecification:
        import yaml  # noqa: PLC0415 - see above

        try:
            # Composed, not loaded: nothing but lists, mappings and texts is made of it.
            root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self._where(mark.line + 1 if mark else 1)
            raise UsageError(f"{where}: this is no YAML: {error.problem}", mend="Correct the line.") from None
        except yaml.YAMLError as error:
            said = str(error).splitlines()[0]
            raise UsageError(
                f"{self._where(1)}: this is no YAML: {said}", mend="Save the file as UTF-8 text."
            ) from None
        if root is None:
            raise self._wrong(1, "the file is empty")
        for key, node, line in self._items(root, "the file"):
            if key not in _KEYS:
                raise self._wrong(line, f"{key!r} is not known; a conda file has {', '.join(_KEYS)}")
            getattr(self, f"_{key}")(node)
        if "dependencies" not in self.found:
            raise self._wrong(1, "there is no list `dependencies`")
        requirements = self.lines
        return CondaSpecification(
            name=self.found.get("name"),
            channels=tuple(self.found["channels"]),
            python=self.found.get("python"),
            conda=tuple(self.found["conda"]),
            pip=tuple(requirements.requirements),
            constraints=tuple(requirements.constraints),
            variables=self.found["variables"],
        )

    def _name(self, node: Any) -> None:
        self.found["name"] = self._text(node, "name")

    def _prefix(self, node: Any) -> None:
        """Where `conda env export` found it: says nothing about what is in it."""

    def _channels(self, node: Any) -> None:
        for item in self._list(node, "channels"):
            channel = self._text(item, "a channel")
            if channel == "nodefaults":  # conda's way to say: these alone, as is always so here
                continue
            if channel.startswith(("./", "../", "~")):
                base = self.source.parent if self.source else Path.cwd()
                channel = str((base / Path(channel).expanduser()).resolve())
            self.found["channels"].append(channel)

    def _variables(self, node: Any) -> None:
        self.found["variables"] = {
            key: self._text(value, f"the variable {key}") for key, value, _ in self._items(node, "variables")
        }

    def _dependencies(self, node: Any) -> None:
        self.found["dependencies"] = True
        for item in self._list(node, "dependencies"):
            if item.id == "mapping":
                self._pip(item)
            else:
                self._dependency(self._text(item, "a dependency"), item)

    def _dependency(self, text: str, node: Any) -> None:
        match = _DEPENDENCY.match(text)
        if match is None or not re.match(r"$|[\s=<>!~\[*]", match["rest"]):
            raise self._wrong(node, f"{text!r} is no conda dependency")
        name = match["name"].lower()
        if name == "python":
            try:
                self.found["python"] = python_version(text)
            except ValueError:
                raise self._wrong(node, f"{text!r} is no Python version; write python=3.11") from None
        elif name != "pip":  # uv installs what pip would
            self.found["conda"].append(text)

    def _pip(self, node: Any) -> None:
        for key, lines, at in self._items(node, "dependencies"):
            if key != "pip":
                raise self._wrong(at, f"{key!r} is no list of packages; there is `pip:`")
            for item in self._list(lines, "pip"):
                self.lines.take(self._text(item, "a line for pip"), item.start_mark.line + 1)

    def _items(self, node: Any, what: str) -> Iterator[tuple[str, Any, int]]:
        """Key, value's node, line of the key."""
        if node.id != "mapping":
            raise self._wrong(node, f"{what} must have the form `key: value`, as in {EXAMPLE.splitlines()[0]!r}")
        for key, value in node.value:
            yield self._text(key, "a key"), value, key.start_mark.line + 1

    def _list(self, node: Any, what: str) -> Iterable[Any]:
        if node.id == "scalar" and node.tag == "tag:yaml.org,2002:null":
            return ()
        if node.id != "sequence":
            raise self._wrong(node, f"{what} must be a list, each line with `- `")
        return node.value

    def _text(self, node: Any, what: str) -> str:
        if node.id != "scalar" or node.tag == "tag:yaml.org,2002:null":
            raise self._wrong(node, f"{what} must be a text")
        return node.value.strip()

    def _wrong(self, at: Any, what: str) -> UsageError:
        line = at if isinstance(at, int) else at.start_mark.line + 1
        return UsageError(f"{self._where(line)}: {what}.", mend="Correct the line.")

    def _where(self, line: int) -> str:
        return f"{self.source or 'The conda specification'}, line {line}"
