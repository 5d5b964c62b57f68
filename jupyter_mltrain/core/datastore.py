"""What a datastore is: a named place for files, as `.mltrain/datastores/<name>.json` says it. It holds no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_mltrain.core.addresses import has_credentials, redact
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.errors import UserErrorException

DEFAULT = "default"
"""The datastore that is always there: the folder `.mltrain/datastore`."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"key|secret|token|passw|credential|connection_string|sas", re.IGNORECASE)
_SIGNED = re.compile(
    r"[?&](sig|signature|sas|token|access_token|x-amz-signature|x-goog-signature)=(?!\$\{)", re.IGNORECASE
)


@dataclass(frozen=True)
class DatastoreDefinition:
    """`url`: any scheme that fsspec knows, or an absolute local path; `options`: those of fsspec's driver. `${NAME}` in
    them stands for the value of an environment variable, taken when it is needed and never stored."""

    name: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that it needs."""
        return variables_in([self.url, *_texts(self.options)])

    def to_json(self) -> dict[str, Any]:
        return {"format": 1, "name": self.name, "url": self.url, "options": dict(self.options)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> DatastoreDefinition:
        return cls(raw["name"], raw["url"], raw.get("options", {}))


def check_datastore(definition: DatastoreDefinition) -> DatastoreDefinition:
    """The definition, or an error: `InvalidName`, or `UserErrorException` for a secret written out."""
    check_name(definition.name, "Datastore")
    check_address(definition.url)
    for key, value in _named_texts(definition.options):
        if _SECRET.search(key) and value and not _VARIABLE.search(value):
            raise UserErrorException(
                f"The option {key!r} of the datastore {definition.name!r} looks like a secret, which is never stored.",
                mend=f"Put it into an environment variable and name that: {key}='${{MY_{key.upper()}}}'.",
            )
    return definition


def check_address(url: str) -> str:
    """`url`, or `UserErrorException` for one with a password or signature in it."""
    if has_credentials(url) or _SIGNED.search(url):
        raise UserErrorException(
            f"The address {redact(url).partition('?')[0]} holds a secret, which is never stored.",
            mend="Put the secret into an environment variable and write ${NAME} in its place.",
        )
    return url


def variables_in(texts: list[str]) -> tuple[str, ...]:
    """The names in `${NAME}`, once each."""
    return tuple(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """`value` with each `${NAME}` in its texts replaced. Raises `UserErrorException` for a name without a value."""
    if isinstance(value, Mapping):
        return {key: fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, values) for inner in value]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in values:
            raise value_missing(name)
    return _VARIABLE.sub(lambda found: values[found.group(1)], value)


def value_missing(name: str, datastore: str = "") -> UserErrorException:
    """The error for data that cannot be reached without the environment variable `name`."""
    again = f"run `Datastore.get(ws, {datastore!r})`" if datastore else "name the data again"
    return UserErrorException(
        f"The data cannot be reached without the environment variable {name}, and the service has no value for it.",
        mend=f"Set it in your kernel (`%env {name}=…`) and {again} there, then submit; the value is not stored.",
    )


def _texts(value: Any) -> Iterator[str]:
    return (text for _, text in _named_texts(value))


def _named_texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named_texts(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named_texts(inner, name)
    elif isinstance(value, str):
        yield name, value
