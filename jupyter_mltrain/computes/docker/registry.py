"""A registry of images, where the hosts of a target share what one of them built. Blocking.

Who may push and pull is known to Docker's own configuration and credential store on this machine (`docker login`): nothing
of it is kept here. A registry that cannot be used costs a line of the build's log, never a run: what cannot be pulled is
built, and what cannot be pushed is built by every host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import docker.auth
from docker.utils import parse_repository_tag

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.image import Say, Stop
from jupyter_mltrain.computes.docker.labels import KEY
from jupyter_mltrain.errors import EngineError, EngineUnreachable, UsageError

_PLACE = re.compile(
    r"(localhost|[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+(?=:))(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
)
_NOT_THERE = re.compile(r"manifest unknown|not found|does not exist|name unknown")
_REFUSED = re.compile(r"unauthorized|no basic auth|denied|authentication required|forbidden", re.IGNORECASE)
_PATIENCE = 15.0
"""Seconds for the answer whether an image is there: a run waits for it."""
_SILENCE = 600.0
"""Seconds without a word after which a push counts as lost: a registry that checks a layer of gigabytes says nothing."""


def check(place: str) -> str:
    """`place`, `host[:port][/prefix]`. Raises `UsageError` for anything else, credentials among it."""
    if "@" in place or "://" in place:
        raise UsageError(
            "A registry is named by its host alone, without scheme, user and password.",
            mend="Give host:port/prefix; `docker login host:port` keeps the password where Docker looks for it.",
        )
    if not _PLACE.fullmatch(place):
        raise UsageError(
            f"{place!r} is no registry.", mend="Give host[:port][/prefix], for example images.lab:5000/team."
        )
    return place


class Registry:
    """The registry of a target at `place`, as its engine reaches it."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection = connection
        self._place = check(place)
        self._there: set[str] = set()
        """What is known to be there."""
        self._given_up: set[str] = set()
        """What it gave no answer about: no run waits for it a second time."""

    def name(self, tag: str) -> str:
        """What the image `mltrain/environment:3f…` of an engine is called there."""
        return f"{self._place}/{tag.replace('/', '-', 1)}"

    def fetch(self, tag: str, log: Say, progress: Say, stop: Stop) -> dict[str, Any] | None:
        """The image `tag`, pulled from there; None where it is not there or cannot be had."""
        name = self.name(tag)
        self._logged_in()
        try:
            wrong = images.transfer(self._connection, name, progress, stop)
        except EngineUnreachable:
            raise
        except EngineError as error:
            wrong = error.message  # a credential store that does not work
        if wrong:
            if not self._new(wrong):
                self._failed(tag, wrong)
                log(f"Not pulled from the registry, {self._words(wrong)}")
            return None
        found = images.find(self._connection, name)
        try:
            if found is None or (found["Config"].get("Labels") or {}).get(KEY) != tag.partition(":")[2]:
                log(f"{name} is another image than its name says: it is not used")
                return None
            repository, version = parse_repository_tag(tag)
            self._connection.do(lambda client: client.tag(name, repository, version))
        finally:
            self._forget(name)
        self._there.add(tag)
        log(f"Pulled {name}, {found['Size'] / 1e6:.0f} MB")
        return found

    def share(self, tag: str, log: Say, progress: Say, stop: Stop) -> None:
        """Have the image `tag` of the engine there too."""
        if tag in self._there or tag in self._given_up:
            return
        name = self.name(tag)
        self._logged_in()
        wrong = self._lacks(name)
        if self._new(wrong):
            log(f"Pushing {name}")
            wrong = self._push(tag, name, progress, stop)
            if wrong:
                log(f"Not pushed, so that every host builds it: {self._words(wrong)}")
        if wrong:
            self._failed(tag, wrong)
        else:
            self._there.add(tag)

    def _new(self, wrong: str) -> bool:
        """Whether an image may just not be there yet. Some registries deny all knowledge of what nobody pushed to them."""
        known = self._connection.do(lambda client: docker.auth.get_config_header(client, self._place.partition("/")[0]))
        return bool(_NOT_THERE.search(wrong) or (known and _REFUSED.search(wrong)))

    def _failed(self, tag: str, wrong: str) -> None:
        """Who is not let in may log in meanwhile; who gets no answer is not kept waiting again."""
        if not _REFUSED.search(wrong):
            self._given_up.add(tag)

    def _lacks(self, name: str) -> str:
        """Empty where the image is there; else what was said when it was asked for."""

        def ask(client: Any) -> None:
            answer = client._get(  # noqa: SLF001
                client._url("/distribution/{0}/json", name),  # noqa: SLF001
                headers={"X-Registry-Auth": _header(client, name)},
                timeout=_PATIENCE,
            )
            client._raise_for_status(answer)  # noqa: SLF001

        try:
            self._connection.do(ask)
        except EngineError as error:  # also without an answer: the registry's silence is the engine's
            return error.message
        return ""

    def _push(self, tag: str, name: str, progress: Say, stop: Stop) -> str:
        """What is wrong; empty once it is there."""
        repository, version = parse_repository_tag(name)
        layers: dict[str, tuple[int, int]] = {}

        def ask(client: Any) -> str:
            client.tag(tag, repository, version)
            said = ""
            for event in _events(client, repository, version or "latest"):
                if stop.is_set():
                    raise Stopped
                said = str(event.get("error", said))  # the last word: read to its end, so that the connection is free
                images.count(layers, event, "Pushing", "Pushed")
                if layers:
                    done, total = (sum(each) for each in zip(*layers.values(), strict=True))
                    progress(f"pushing {name}, {done / 1e6:.0f} of {total / 1e6:.0f} MB")
            return said

        try:
            return self._connection.do(ask)
        except EngineUnreachable:
            raise
        except EngineError as error:
            return error.message
        finally:
            self._forget(name)

    def _forget(self, name: str) -> None:
        """An image is known to its engine by our own name alone, so that it goes when that does."""
        try:
            self._connection.do(lambda client: client.remove_image(name, noprune=True))
        except EngineError as error:
            if not status_of(error):
                raise

    def _logged_in(self) -> None:
        """Take up what `docker login` wrote since."""
        self._connection.do(lambda client: client.reload_config())

    def _words(self, said: str) -> str:
        host = self._place.partition("/")[0]
        if _REFUSED.search(said):
            return f"{host} lets nobody in whom it does not know: `docker login {host}`"
        return f"{host}: {(said.partition(' refused: ')[2] or said).rstrip('.')}"


def _events(client: Any, repository: str, version: str) -> Iterator[Mapping[str, Any]]:
    """What a push says. (The SDK's own has no time for a registry that checks a large layer.)"""
    url = client._url("/images/{0}/push", repository)  # noqa: SLF001
    given = {"params": {"tag": version}, "headers": {"X-Registry-Auth": _header(client, repository)}}
    answer = client._post(url, **given, stream=True, timeout=_SILENCE)  # noqa: SLF001
    client._raise_for_status(answer)  # noqa: SLF001
    return client._stream_helper(answer, decode=True)  # noqa: SLF001


def _header(client: Any, name: str) -> Any:
    """As whom the registry is asked, by Docker's own configuration."""
    host, _ = docker.auth.resolve_repository_name(name)
    return docker.auth.get_config_header(client, host) or docker.auth.encode_header({})
