"""URLs and the credentials in them, which are never shown or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without the user and password parts of URLs, and without any of `secrets`."""
    for secret in secrets:
        text = text.replace(secret, "****")
    return _USER_INFO.sub(r"\1****@", text)


def has_credentials(line: str) -> bool:
    """Whether a URL in `line` carries a user or password written out (`${TOKEN}` is a name, not a secret)."""
    return any(not _ONLY_NAMES.fullmatch(found.group(2)) for found in _USER_INFO.finditer(line))


def passwords(urls: Iterable[str]) -> tuple[str, ...]:
    """The passwords in `urls` (each may be several, split by blanks or commas), as written and decoded, longest first.
    Those of fewer than four characters are left out: redacting them would blot out half of the text."""
    found: set[str] = set()
    for url in re.split(r"[\s,]+", " ".join(urls)):
        if "://" not in url or "@" not in url:
            continue
        password = urlsplit(url).password
        if password and len(password) >= 4:
            found |= {password, unquote(password)}
    return tuple(sorted(found, key=len, reverse=True))


_USER_INFO = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.\-]*://)([^/@\s'\"]+)@")
_ONLY_NAMES = re.compile(r"git|(\$\{[A-Z0-9_]+\}|:|oauth2|__token__)+")
