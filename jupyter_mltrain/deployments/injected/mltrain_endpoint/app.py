"""The endpoint as an ASGI application: TensorFlow Serving's REST paths, `/score`, health, OpenAPI and metrics.

Written to the protocol itself: a framework would take longer for a request than a small model does.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import sys
import time
import traceback
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable
from urllib.parse import urlsplit

from . import jsons, openapi
from .jsons import Refused
from .measure import Measure
from .script import Script
from .signatures import Loaded, Tensor

INLINE_SECONDS = 0.002
"""A model that takes less is called in the event loop: passing the call to a thread and back costs more than that it
would hold up others. Measured on an MNIST MLP (0.3 ms): 1.25 times as many requests a second as with threads."""

_TIMES = 16
_SMALL = 16
"""Bits of the length of a body that is certainly one sample or few: 64 KB."""
_TRY_EVERY = 32
_TRY_SECONDS = 0.05

_DISCARDED = 1 << 30
_DISCARD_SECONDS = 2.0

_NODE = re.compile(r"\{\{[^}]*\}\} ?")
"""Where in its graph TensorFlow was: nothing to who asks."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1", ""})
_SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")


class Keys:
    """Whether requests need a key, and the two that do. Read anew when the file changes, so that a key that was replaced
    is refused at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: Any = None
        self.required = True
        self._keys: list[bytes] = []

    def allows(self, header: bytes) -> bool:
        """Whether that Authorization header will do. Compared in constant time."""
        self.refresh()
        if not self.required:
            return True
        given = header[7:].strip() if header[:7].lower() == b"bearer " else b""
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return any(matches)

    def refresh(self) -> None:
        try:
            found = os.stat(self._path)
            seen = (found.st_ctime_ns, found.st_ino)  # what comes out of an archive has any mtime
            if seen == self._seen:
                return
            with open(self._path, encoding="utf-8") as file:
                raw = json.load(file)
        except (OSError, ValueError):
            if self._seen is None:
                raise
            return  # in a container it is replaced in two steps; until then those hold that are known
        else:
            self.required = bool(raw["required"])
            self._keys = [raw["primary"].encode(), raw["secondary"].encode()]
            self._seen = seen


class Application:
    """`loaded` or `script` is what answers; `tried`: seconds of a call when it was loaded. `draining`: each answer closes
    its connection, because another process has taken over."""

    def __init__(
        self, name: str, model: str, version: str, loaded: Loaded | None, script: Script | None, keys: Keys, max_body: int,
        threads: ThreadPoolExecutor, tried: float = 1.0,
    ) -> None:  # fmt: skip
        self.name, self.model, self.version = name, model, version
        self.loaded, self.script, self.keys = loaded, script, keys
        self.max_body = max_body
        self.draining = False
        self.measure = Measure(name, version)
        self._threads = threads
        self._pace = Pace(tried)
        if loaded is not None:
            from . import formats

            self._parse, self._answer = formats.parse, formats.answer
        self._inputs = {} if loaded is None else {n: s.inputs for n, s in loaded.signatures.items()}
        ask: Callable[[bytes], Awaitable[bytes]] = self._predict if script is None else self._score
        self._asks: dict[str, Callable[[bytes], Awaitable[bytes]]] = {"/score": ask}
        self._reads: dict[str, Callable[[], tuple[bytes, Any]]] = {
            "/": lambda: (b"Healthy", _TEXT),
            "/summary.json": lambda: (jsons.dumps(self.measure.summary()), _JSON),
            "/metrics": lambda: (self.measure.prometheus(), (b"content-type", b"text/plain; version=0.0.4")),
            "/swagger.json": self._swagger,
        }
        for base in (f"/v1/models/{model}", f"/v1/models/{model}/versions/{version}"):
            self._reads[base] = self._status
            if loaded is not None:
                self._asks[base + ":predict"] = ask
                self._reads[base + "/metadata"] = self._metadata

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        measure = self.measure
        measure.in_progress += 1
        path, method = scope["path"], scope["method"]
        headers: list[Any] = []
        try:
            status, data, kind = await self._respond(path, method, scope["headers"], receive, headers)
        except Refused as error:
            status, data, kind = error.status, jsons.dumps({"error": str(error)}), _JSON
        except ScriptFailed:
            status, data, kind = 500, jsons.dumps({"message": _SCRIPT_FAILED}), _JSON
            headers.append((b"x-ms-run-function-failed", b"True"))
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - the model's code may raise anything; the process must go on
            traceback.print_exc()
            status, kind = 500, _JSON
            data = jsons.dumps({"error": f"{type(error).__name__}: {_first_line(error)}"})
        finally:
            measure.in_progress -= 1
        headers += [kind, (b"content-length", str(len(data)).encode())]
        if self.draining or status == 413:  # what is not read of a body cannot be told from the next request
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data if method != "HEAD" else b""})
        if path in self._asks:
            measure.done(status, time.perf_counter() - began)
        if status >= 400 and path != "/favicon.ico":
            _complain(f"{method} {path[:200]!r}: {status} {data[:300].decode('utf-8', 'replace')}")

    async def _respond(
        self, path: str, method: str, given: Any, receive: Any, headers: list[Any]
    ) -> tuple[int, bytes, Any]:
        """Status, body and its type of the answer; adds to its headers. Raises `Refused`."""
        authorization, request_id, length = _check(given)
        if path != "/" and not self.keys.allows(authorization):
            headers.append((b"www-authenticate", b"Bearer"))
            raise Refused("This endpoint needs a key: send the header `Authorization: Bearer KEY`.", 401)
        headers.append((b"x-ms-request-id", request_id or os.urandom(16).hex().encode()))
        ask = self._asks.get(path)
        if ask is not None and method == "POST":
            return 200, await ask(await _body(receive, length, self.max_body)), _JSON
        if path in self._reads and method in ("GET", "HEAD"):
            data, kind = self._reads[path]()
            return 200, data, kind
        if ask is not None and method == "OPTIONS":
            return 200, b"", _JSON
        raise self._nothing(path, method)

    async def _predict(self, body: bytes) -> bytes:
        loaded = self.loaded
        assert loaded is not None
        parsed = self._parse(body, self._inputs, loaded.default)
        call, arrays = loaded.signatures[parsed.signature].call, parsed.arrays
        pace = self._pace
        in_loop = pace.fast(body)
        if in_loop:
            outputs, took = _call(call, arrays)
        else:
            loop = asyncio.get_running_loop()
            outputs, took = await loop.run_in_executor(self._threads, _call, call, arrays)
        pace.note(body, took, in_loop)
        return self._answer(outputs, parsed.rows)

    async def _score(self, body: bytes) -> bytes:
        script = self.script
        assert script is not None
        return await asyncio.get_running_loop().run_in_executor(self._threads, _run, script, body)

    def _nothing(self, path: str, method: str) -> Refused:
        if path in self._asks or path in self._reads:
            return Refused(f"{path} takes {'POST' if path in self._asks else 'GET'}, not {method[:20]}.", 405)
        if path.endswith((":classify", ":regress")):
            return Refused("This endpoint answers :predict; :classify and :regress are not served.", 404)
        if path.startswith("/v1/models/"):
            return Refused(f"Here is only the model {self.model}, version {self.version}.", 404)
        return Refused(f"There is nothing at {path[:100]}: POST to /score.", 404)

    def _status(self) -> tuple[bytes, Any]:
        ok = {"error_code": "OK", "error_message": ""}
        state = {"version": self.version, "state": "AVAILABLE", "status": ok}
        return jsons.dumps({"model_version_status": [state]}), _JSON

    def _metadata(self) -> tuple[bytes, Any]:
        assert self.loaded is not None
        signatures = {
            name: {
                "inputs": {key: _tensor_info(tensor, f"{name}_{key}:0") for key, tensor in signature.inputs.items()},
                "outputs": {
                    key: _tensor_info(tensor, f"StatefulPartitionedCall:{i}")
                    for i, (key, tensor) in enumerate(signature.outputs.items())
                },
                "method_name": "tensorflow/serving/predict",
            }
            for name, signature in self.loaded.signatures.items()
        }
        document = {
            "model_spec": {"name": self.model, "signature_name": "", "version": self.version},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }
        return jsons.dumps(document), _JSON

    def _swagger(self) -> tuple[bytes, Any]:
        self.keys.refresh()
        document = openapi.describe(self.name, self.model, self.version, self.loaded, self.script, self.keys.required)
        return jsons.dumps(document), _JSON


class Pace:
    """How long the model takes for bodies of about a size, when it is called in the event loop itself.

    Times in threads say little: many at once wait for each other. So one call in so many is tried in the loop, unless it
    is long even so; and bodies that are no larger than what the model was tried with begin there.
    """

    def __init__(self, tried: float) -> None:
        self._tried = tried
        self._in_loop: dict[int, deque[float]] = {}
        self._in_thread: dict[int, float] = {}
        self._turns: dict[int, int] = {}

    def fast(self, body: bytes) -> bool:
        """Whether a call with such a body may hold the event loop."""
        size = len(body).bit_length()
        times = self._in_loop.get(size)
        if times and min(times) < INLINE_SECONDS:
            return True
        if size not in self._in_thread:
            return not times and size <= _SMALL and self._tried < INLINE_SECONDS
        turn = self._turns[size] = self._turns.get(size, -1) + 1
        return turn % _TRY_EVERY == 0 and self._in_thread[size] < _TRY_SECONDS

    def note(self, body: bytes, took: float, in_loop: bool) -> None:
        size = len(body).bit_length()
        if not in_loop:
            self._in_thread[size] = took
        elif size in self._in_loop:
            self._in_loop[size].append(took)
        else:
            self._in_loop[size] = deque([took], maxlen=_TIMES)


class ScriptFailed(Exception):  # noqa: N818
    """The script's `run` raised; what, is in the log."""


class Disconnected(Exception):  # noqa: N818
    """Who asked is gone."""


def _run(script: Script, body: bytes) -> bytes:
    try:
        return jsons.dumps(script.run(body))
    except Refused:
        raise
    except UnicodeDecodeError:
        raise Refused("The body is not text in UTF-8.") from None
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        raise ScriptFailed from error
    finally:
        sys.stdout.flush()


def _call(call: Callable[[Any], Any], arrays: Any) -> tuple[Any, float]:
    """What the model answers, and the seconds that took."""
    began = time.perf_counter()
    try:
        outputs = call(arrays)
    except Exception as error:
        # What TensorFlow says of values that fit the signature and not the model (an index out of range).
        if type(error).__name__ in ("InvalidArgumentError", "OutOfRangeError"):
            said = _NODE.sub("", _first_line(error))
            raise Refused(f"The model refuses the values: {said}") from error
        raise
    return outputs, time.perf_counter() - began


def _check(headers: Any) -> tuple[bytes, bytes, int]:
    """Authorization, request id and length of a request; refuses one that a web page of elsewhere may have sent.

    Names that lead here but are not of this machine are how a page reaches a server on loopback (DNS rebinding).
    """
    authorization, request_id, length = b"", b"", -1
    for name, value in headers:
        if name == b"host":
            if _host(value) not in _LOCAL:
                raise Refused("This endpoint answers as localhost only.", 403)
        elif name == b"origin":
            if value != b"null" and urlsplit(value.decode("latin-1")).hostname in _LOCAL:
                continue
            raise Refused("This endpoint takes no requests from web pages.", 403)
        elif name == b"content-length":
            length = int(value) if value.isdigit() else -1
        elif name == b"authorization":
            authorization = value
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Refused("The body is packed (Content-Encoding): this endpoint takes it as it is.", 415)
        elif name == b"x-ms-request-id":
            request_id = value[:100]
    return authorization, request_id, length


def _host(value: bytes) -> str:
    text = value.decode("latin-1").lower()
    return text[1 : text.find("]")] if text.startswith("[") else text.partition(":")[0]


async def _body(receive: Any, length: int, most: int) -> bytes:
    """The whole body of a request, no longer than `most` bytes."""
    if length > most:
        await _discard(receive, length)
        raise _too_large(most)
    message = await receive()
    if not message.get("more_body") and message["type"] == "http.request":
        body: bytes = message["body"]  # in one piece, as most are
        if len(body) > most:
            raise _too_large(most)
        return body
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            parts.clear()
            await _discard(receive, _DISCARDED)
            raise _too_large(most)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


async def _discard(receive: Any, length: int) -> None:
    """Read on for a while: a client that still sends when its connection is closed never sees the answer. Not for one
    that says it has more than anybody would wait for, nor for one that does not send what it said."""
    if length > _DISCARDED:
        return
    try:
        while length > 0:
            message = await asyncio.wait_for(receive(), _DISCARD_SECONDS)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return
            length -= len(message["body"])
    except asyncio.TimeoutError:
        return


def _too_large(most: int) -> Refused:
    return Refused(f"The body is larger than {most / 1e6:.0f} MB.", 413)


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


_DT = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def _tensor_info(tensor: Tensor, name: str) -> dict[str, Any]:
    dims = [{"size": str(-1 if each is None else each), "name": ""} for each in tensor.shape or ()]
    return {
        "dtype": _DT.get(tensor.dtype, f"DT_{tensor.dtype.upper()}"),
        "tensor_shape": {"dim": dims, "unknown_rank": tensor.shape is None},
        "name": name,
    }
