"""The environments of a workspace: definitions by name and version, and the lock of each.

<folder>/<name>/<version>.json                 the definition, readable, never changed
<folder>/<name>/<version>.<variant>.lock       its lock for one kind of machine
<folder>/../substitutions.toml                 the workspace's own substitutions, if it has any
"""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

from jupyter_mltrain.cache import disk_errors, write_whole
from jupyter_mltrain.core.addresses import has_credentials
from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock, variant
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.environments import adaptations
from jupyter_mltrain.environments.curated import CURATED, is_reserved
from jupyter_mltrain.environments.substitutions import FILE, Table
from jupyter_mltrain.errors import EnvironmentNotFound, UsageError, UserErrorException


class EnvironmentStore:
    """Definitions under `folder` (`.mltrain/environments`), and what `substitutions.toml` beside it says of legacy names.
    One writer: the workspace's service, from any of its threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._adding = threading.Lock()

    @property
    def table(self) -> Table:
        """What is given in place of what no longer exists; read anew each time, so that an edit counts at once."""
        return Table.load(self.folder.parent / FILE)

    def names(self) -> list[str]:
        """All names: stored ones, curated ones and `current`."""
        stored = {path.parent.name for path in self.folder.glob("*/*.json")}
        return sorted({*stored, *CURATED, CURRENT})

    def versions(self, name: str) -> list[int]:
        """Versions of `name` that are stored, in order; empty for one that was never used."""
        return sorted(int(path.stem) for path in (self.folder / name).glob("*.json") if path.stem.isdigit())

    def get(self, reference: str) -> EnvironmentDefinition:
        """The definition of `name` (its newest version) or `name:version`.

        A curated name that this workspace has not used yet, or that this release defines anew, becomes a stored
        version by this call; so does a curated name of the SDK, with what the table gives in its place. Those are found
        in capitals or not. Raises `EnvironmentNotFound` with the nearest names.
        """
        asked, _, number = reference.partition(":")
        name = self.spelled(asked)
        if name == CURRENT and not number:
            return EnvironmentDefinition(CURRENT, description="The kernel's own Python.", curated=True)
        if name in CURATED and not number:
            return self._add(CURATED[name])
        if is_reserved(name) and not number:
            return self._legacy(name)
        versions = self.versions(name) if name and not set("/\0") & set(name) and name not in (".", "..") else []
        if not versions:
            raise EnvironmentNotFound.of(name, self.names())
        if number and number not in map(str, versions):
            raise EnvironmentNotFound.of(reference, [f"{name}:{version}" for version in versions])
        return self._read(name, int(number) if number else versions[-1])

    def spelled(self, name: str) -> str:
        """`name` as it is stored: curated names are found in capitals or not."""
        known = (*CURATED, *(one for one in self.names() if is_reserved(one)))
        return next((one for one in known if one.casefold() == name.casefold()), name)

    def list(self) -> list[EnvironmentDefinition]:
        """The newest definition of each name; a curated one that was never used has no version yet."""
        found: list[EnvironmentDefinition] = []
        for name in self.names():
            versions = self.versions(name)
            if name == CURRENT:
                found.append(self.get(CURRENT))
            elif versions:
                found.append(self._read(name, versions[-1]))
            else:
                found.append(CURATED[name])
        return found

    def check(self, definition: EnvironmentDefinition, *, renew: bool = False) -> None:
        """Raise what `register` would: `InvalidName`, and `UserErrorException` for a reserved name or for credentials."""
        name = check_name(definition.name, "Environment")
        if name == CURRENT or is_reserved(name) or (name in CURATED and not renew):
            raise UserErrorException(
                f"The environment name {name!r} is reserved.",
                mend=f"Register it under another name: env.clone({'my-' + name!r}).",
            )
        adaptations.check(definition.adaptations)
        lines = (*definition.pip, *definition.pip_gpu, *definition.channels)
        secret = next((line for line in lines if has_credentials(line)), None)
        if secret is not None:
            raise UsageError(
                f"A requirement of environment {name!r} holds a user or password; these are never stored.",
                mend="Put the index with its credentials into pip's configuration, or write ${NAME} for the secret part.",
            )

    def register(self, definition: EnvironmentDefinition, *, renew: bool = False) -> EnvironmentDefinition:
        """Store `definition` and return it with its version: the newest one's if the content is equal, else the next.

        `renew` makes a new version in any case, which then resolves to the packages of today. Errors of `check`.
        """
        self.check(definition, renew=renew)
        return self._add(dataclasses.replace(definition, curated=definition.name in CURATED), renew=renew)

    def remove(self, reference: str) -> list[EnvironmentDefinition]:
        """Forget a version, or with a name alone all of them; what was built of them stays in the cache. Runs keep their
        own record of it. Raises `EnvironmentNotFound`, and `UserErrorException` for a curated one."""
        asked, _, number = reference.partition(":")
        name = self.spelled(asked)
        if name == CURRENT or name in CURATED:
            raise UserErrorException(f"The environment {name!r} is always there.", mend="Nothing has to be removed.")
        versions = [self.get(reference).version] if number else self.versions(name)
        if not versions:
            raise EnvironmentNotFound.of(name, self.names())
        removed = [self._read(name, version) for version in versions if version is not None]
        with disk_errors(self.folder, f"removing the environment {name!r}"):
            for one in removed:
                for file in (self.folder / name).glob(f"{one.version}.*"):
                    file.unlink()
            if not any((self.folder / name).iterdir()):
                (self.folder / name).rmdir()
        return removed

    def _legacy(self, name: str) -> EnvironmentDefinition:
        """What the table gives for a curated name of the SDK, as a version under that name."""
        found = self.table.environment(check_name(name, "Environment"))
        if found is None:
            raise EnvironmentNotFound(
                f"There is no environment {name!r} here, and nothing is given in its place.",
                mend=f"Add an [[environment]] to {self.folder.parent / FILE}, or use one of {', '.join(CURATED)}.",
                name=name,
                nearest=[],
            )
        given, substitution = found
        base = CURATED[given] if given in CURATED else self.get(given)
        return self._add(
            dataclasses.replace(base, name=name, version=None, curated=True, substitutions=(substitution,))
        )

    def lock(
        self, definition: EnvironmentDefinition, python: str | None, platform: str, gpu: bool
    ) -> EnvironmentLock | None:
        """The stored lock of a version for a kind of machine, None if it was not resolved for it yet. `python`: a minor
        version, or None for whichever there is."""
        pattern = f"{definition.version}.{variant(python or '*', platform, gpu)}.lock"
        found = sorted((self.folder / definition.name).glob(pattern))
        return EnvironmentLock.loads(found[-1].read_text(encoding="utf-8")) if found else None

    def save_lock(self, definition: EnvironmentDefinition, lock: EnvironmentLock) -> None:
        """Store the lock of a version; the first one stays."""
        path = self.folder / definition.name / f"{definition.version}.{lock.variant}.lock"
        if not path.exists():
            with disk_errors(self.folder, f"storing the lock of environment {definition.name!r}"):
                write_whole(path, lock.dumps().encode())

    def _add(self, definition: EnvironmentDefinition, renew: bool = False) -> EnvironmentDefinition:
        with self._adding:
            versions = self.versions(definition.name)
            if versions and not renew:
                newest = self._read(definition.name, versions[-1])
                if newest.content_key == definition.content_key:
                    return newest
            numbered = dataclasses.replace(definition, version=(versions[-1] if versions else 0) + 1)
            text = json.dumps(numbered.to_json(), indent=1, ensure_ascii=False) + "\n"
            with disk_errors(self.folder, f"storing the environment {definition.name!r}"):
                write_whole(self.folder / definition.name / f"{numbered.version}.json", text.encode())
            return numbered

    def _read(self, name: str, version: int) -> EnvironmentDefinition:
        text = (self.folder / name / f"{version}.json").read_text(encoding="utf-8")
        return EnvironmentDefinition.from_json(json.loads(text))
