"""Which files of a source folder a snapshot takes: one ignore file, what is always out, and what looks like a secret."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from enum import Enum

import pathspec

IGNORE_FILES = (".mltrainignore", ".amlignore", ".gitignore")
"""The first of these that lies at the folder's root decides; the others do not count."""

ALWAYS_OUT = frozenset({".mltrain", ".git", ".ipynb_checkpoints"})

_SECRETS = (
    ".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "credentials*",
    ".netrc", ".pypirc", ".npmrc", ".htpasswd", "*.keystore", "*.jks", "service-account*.json", "kubeconfig",
)  # fmt: skip


class Verdict(Enum):
    TAKE = "take"
    IGNORED = "ignored"
    SECRET = "secret"  # noqa: S105 - a verdict, not a password


class IgnoreRules:
    """The verdict on each path of a folder (relative, `/` between parts)."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._spec = pathspec.GitIgnoreSpec.from_lines(lines)

    def file(self, path: str) -> Verdict:
        """A file that looks like a credential is left out unless the ignore file takes it back with a `!` line."""
        decided = self._spec.check_file(path).include
        if decided:
            return Verdict.IGNORED
        name = path.rpartition("/")[2].lower()
        if decided is None and any(fnmatch.fnmatchcase(name, pattern) for pattern in _SECRETS):
            return Verdict.SECRET
        return Verdict.TAKE

    def folder(self, path: str) -> Verdict:
        """`IGNORED`: nothing below is looked at (as git does, a `!` line cannot take back what lies in there)."""
        if path.rpartition("/")[2] in ALWAYS_OUT or self._spec.check_file(path + "/").include:
            return Verdict.IGNORED
        return Verdict.TAKE
