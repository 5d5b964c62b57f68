"""What is given in place of what no longer exists: one table (`substitutions.toml`), which a workspace can extend.

Everything here is a function of the table and of what was asked for; who resolves decides when to ask.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from jupyter_mltrain.core.conda import package_name
from jupyter_mltrain.core.environment import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    EnvironmentDefinition,
    Packages,
)
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import UsageError

FILE = "substitutions.toml"
_KINDS = {
    "environment": {"name", "given", "reason"},
    "python": {"versions", "given", "reason"},
    "package": {"name", "versions", "given", "given_gpu", "constraints", "adaptations", "always", "reason"},
    "image": {"name", "given", "reason"},
}


@dataclass(frozen=True)
class Rule:
    """One entry of the table. `given` is None where the entry takes another one away."""

    kind: str
    name: str = ""
    versions: str = ""
    given: str | None = ""
    given_gpu: str = ""
    constraints: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()
    always: bool = False
    reason: str = ""

    def named(self, name: str) -> bool:
        return fnmatch.fnmatchcase(name.casefold(), self.name.casefold())

    def covers(self, newest: Version | None) -> bool:
        """Whether `newest`, the newest version that was allowed (None: any), is among those of the rule."""
        return not self.versions or (newest is not None and SpecifierSet(self.versions).contains(newest, True))


@dataclass(frozen=True)
class Substituted:
    """What to ask a resolver for in place of a definition's packages, and why. `wheels`: the packages that an entry of
    the table is about; asked for as they stand they are taken in wheels only: what is that old does not compile."""

    packages: Packages
    substitutions: tuple[Substitution, ...] = ()
    wheels: tuple[str, ...] = ()


class Table:
    """The rules in their order; the first that fits is taken."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)

    @classmethod
    def load(cls, workspace: Path | None = None) -> Table:
        """The table of the package, below that of the workspace (its file, which may not exist). Raises `UsageError`
        for a table that cannot be read."""
        own = _read(workspace) if workspace is not None else ()
        return cls((*own, *_packaged()))

    def environment(self, name: str) -> tuple[str, Substitution] | None:
        """The environment given in place of the curated name `name`."""
        rule = self._first("environment", lambda rule: rule.named(name))
        if rule is None or not rule.given:
            return None
        return rule.given, Substitution("environment", name, rule.given, rule.reason)

    def image(self, name: str) -> Substitution | None:
        """What is given in place of a base image."""
        if name in (DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE):
            return None
        rule = self._first("image", lambda rule: rule.named(name))
        return None if rule is None or not rule.given else Substitution("base image", name, rule.given, rule.reason)

    def settled(self, asked: Packages) -> Substituted:
        """`asked` as the resolver is first asked for it: with the rules alone that always hold."""
        return self._substituted(asked, everything=False)

    def legacy(self, asked: Packages) -> Substituted:
        """`asked` as the resolver is asked for it when it did not resolve: with all rules."""
        return self._substituted(asked, everything=True)

    def _substituted(self, asked: Packages, *, everything: bool) -> Substituted:
        made = _Made()
        python = self._python(asked.python, made) if everything else asked.python
        pip = self._lines(asked.pip, made, everything)
        pip_gpu = self._lines(asked.pip_gpu, made, everything, gpu=True)
        if made.gpu and not pip_gpu:
            pip_gpu = tuple(_once(made.gpu.get(line, line) for line in pip))
        conda = self._lines(asked.conda, made, everything)
        constraints = tuple(_once((*asked.constraints, *made.constraints)))
        adaptations = tuple(_once((*asked.adaptations, *made.adaptations)))
        packages = Packages(python, pip, pip_gpu, constraints, conda, asked.channels, adaptations)
        return Substituted(packages, tuple(_once(made.substitutions)), tuple(_once(made.wheels)))

    def _python(self, asked: str | None, made: _Made) -> str | None:
        rule = self._first("python", lambda rule: rule.covers(newest(asked or "")))
        if rule is None or not rule.given or rule.given == asked:
            return asked
        made.substitutions.append(Substitution("python", str(asked), rule.given, rule.reason))
        return rule.given

    def _lines(self, lines: Iterable[str], made: _Made, everything: bool, *, gpu: bool = False) -> tuple[str, ...]:
        given: list[str] = []
        for line in lines:
            rule = self._package(line)
            if rule is None or rule.given is None or rule.given == line:
                given.append(line)
            elif everything or rule.always:
                new = rule.given_gpu if gpu and rule.given_gpu else rule.given
                made.substitutions.append(Substitution("package", line, new or "left out", rule.reason))
                made.constraints += rule.constraints
                made.adaptations += rule.adaptations
                if rule.given_gpu:
                    made.gpu[rule.given] = rule.given_gpu
                given += [new] if new else []
            else:
                made.wheels.append(_name(line))
                given.append(line)
        return tuple(_once(given))

    def _package(self, line: str) -> Rule | None:
        name = _name(line)
        if not name:
            return None
        return self._first("package", lambda rule: rule.named(name) and rule.covers(newest(_versions(line))))

    def _first(self, kind: str, fits: Any) -> Rule | None:
        return next((rule for rule in self.rules if rule.kind == kind and fits(rule)), None)


class _Made:
    """What comes up while a definition is gone through."""

    def __init__(self) -> None:
        self.substitutions: list[Substitution] = []
        self.constraints: list[str] = []
        self.adaptations: list[str] = []
        self.wheels: list[str] = []
        self.gpu: dict[str, str] = {}


def image_of(definition: EnvironmentDefinition, table: Table) -> str:
    """The base image that a target with containers takes for `definition`."""
    image = definition.docker.base_image or DEFAULT_CPU_IMAGE
    given = table.image(image)
    return given.given if given else image


def with_image(definition: EnvironmentDefinition, table: Table) -> EnvironmentDefinition:
    """`definition` with the substitution of its base image recorded, if there is one."""
    found = table.image(definition.docker.base_image) if definition.docker.base_image else None
    if found is None or found in definition.substitutions:
        return definition
    return replace(definition, substitutions=(*definition.substitutions, found))


def for_target(definition: EnvironmentDefinition, *, containers: bool) -> tuple[Substitution, ...]:
    """What a run records of `definition`, on a target that runs `containers` or runs none: then no image is used."""
    if containers:
        return definition.substitutions
    docker = definition.docker
    others = tuple(one for one in definition.substitutions if one.kind != "base image")
    image = "a Dockerfile" if docker.base_dockerfile else docker.base_image
    reason = "the target runs processes of this machine, in no container"
    if image not in (None, DEFAULT_CPU_IMAGE):
        others = (*others, Substitution("base image", image, "not used", reason))
    if docker.arguments:
        others = (*others, Substitution("docker arguments", " ".join(docker.arguments), "not used", reason))
    return others


def newest(versions: str) -> Version | None:
    """The newest version that a specifier allows, or the bound below which all lie; None where there is none.

    For `<3.8` that is 3.7.999: not 3.8, and newer than every 3.7.
    """
    text = versions.strip()
    if text[:1].isdigit():
        text = f"=={text}"
    text = re.sub(r"^=(?=[^=])", "==", text)  # conda's own
    try:
        bounds = [bound for clause in SpecifierSet(text) if (bound := _bound(clause.operator, clause.version))]
    except InvalidSpecifier:
        return None
    return min(bounds, default=None)


def _bound(operator: str, version: str) -> Version | None:
    try:
        if operator in {"==", "===", "<="}:
            return Version(version.removesuffix(".*") + (".999" if version.endswith(".*") else ""))
        if operator == "<":
            release = [*Version(version).release]
            while len(release) > 1 and release[-1] == 0:
                release.pop()
            *head, last = release
            return Version(".".join(map(str, [*head, last - 1, 999]))) if last else None
        if operator == "~=":
            head = version.split(".")[:-1]
            return Version(".".join([*head, "999"]))
    except InvalidVersion:
        return None
    return None


def _name(line: str) -> str:
    """The package that a line for pip or a conda dependency asks for; empty for options, paths and addresses."""
    if line.startswith("-") or "/" in line:
        return ""
    try:
        return canonicalize_name(Requirement(_plain(line)).name)
    except InvalidRequirement:
        return package_name(line)


def _versions(line: str) -> str:
    try:
        return str(Requirement(_plain(line)).specifier)
    except InvalidRequirement:
        return re.sub(r"^(?:[^\s:]+::)?[A-Za-z0-9_.\-]+", "", line).strip().split(" ")[0]


def _plain(line: str) -> str:
    return re.sub(r"\s--hash[=\s]\S+", "", line).strip()


def _once(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


@functools.cache
def _packaged() -> tuple[Rule, ...]:
    source = files("jupyter_mltrain.environments") / FILE
    return _rules(tomllib.loads(source.read_text(encoding="utf-8")), FILE)


def _read(file: Path) -> tuple[Rule, ...]:
    try:
        return _rules(tomllib.loads(file.read_text(encoding="utf-8")), str(file))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", mend="Correct it.") from error


def _rules(raw: Mapping[str, Any], source: str) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for kind, entries in raw.items():
        if kind not in _KINDS or not isinstance(entries, list):
            raise UsageError(f"{source}: [[{kind}]] is not known.", mend=f"There are {', '.join(_KINDS)}.")
        for number, entry in enumerate(entries, start=1):
            where = f"{source}, [[{kind}]] number {number}"
            if unknown := sorted(set(entry) - _KINDS[kind]):
                raise UsageError(f"{where}: {unknown[0]!r} is not known.", mend=f"There are {', '.join(_KINDS[kind])}.")
            found.append(_rule(kind, entry, where))
    return tuple(found)


def _rule(kind: str, entry: Mapping[str, Any], where: str) -> Rule:
    texts = {name: entry.get(name, "") for name in ("name", "versions", "given_gpu", "reason")}
    given, lists = entry.get("given"), {name: entry.get(name, []) for name in ("constraints", "adaptations")}
    wrong = next((name for name, text in texts.items() if not isinstance(text, str)), None)
    if given is not False and not isinstance(given, str):
        wrong = "given"
    wrong = next((name for name, items in lists.items() if not isinstance(items, list)), wrong)
    if wrong is not None:
        raise UsageError(f"{where}: {wrong!r} is missing or no text.", mend="Compare it with the package's own table.")
    try:
        SpecifierSet(texts["versions"])
    except InvalidSpecifier as error:
        raise UsageError(f"{where}: versions: {error}.", mend='Write them as in "<2.12" or ">=2,<2.12".') from error
    return Rule(
        kind,
        **texts,
        given=None if given is False else given,
        constraints=tuple(map(str, lists["constraints"])),
        adaptations=tuple(map(str, lists["adaptations"])),
        always=bool(entry.get("always", False)),
    )
