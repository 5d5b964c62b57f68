"""An entry script: `init()` once, `run(raw_data)` for each request, as the SDK's inference server calls them.

Both run in one thread, always the same: scripts were written for a server that does one thing at a time. The current
folder is the app's root; the script's own folder is first on `sys.path`, so that it imports what lies beside it.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from typing import Any, Callable

from .jsons import Refused, loads
from .signatures import Unusable


class Script:
    """The script at `path`, loaded, with its `init` done. Exceptions of the script pass through."""

    def __init__(self, path: str) -> None:
        sys.path.insert(0, os.path.dirname(path))
        spec = importlib.util.spec_from_file_location("entry_module", path)
        if spec is None or spec.loader is None:
            raise Unusable(f"The entry script {os.path.basename(path)} cannot be loaded: it must be a .py file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules["entry_module"] = module
        spec.loader.exec_module(module)
        self._run: Callable[..., Any] = _function(module, "run", path)
        self._signature = inspect.signature(self._run)
        self._decorated, self.input_schema, self.output_schema = _schema(self._run)
        _function(module, "init", path)()

    def run(self, body: bytes) -> Any:
        """What the script returns for a request's body: its text, or, with `inference_schema`, its values by name."""
        if not self._decorated:
            return self._run(body.decode("utf-8"))
        given = loads(body)
        if not isinstance(given, dict):
            raise Refused("The body must be an object with the parameters of the script's `run`.")
        try:
            self._signature.bind(**given)
        except TypeError as error:
            raise Refused(f"The script's `run` takes {self._signature}: {error}.") from None
        return self._run(**given)


def _function(module: Any, name: str, path: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise Unusable(f"The entry script {os.path.basename(path)} has no function `{name}`.")
    return found  # type: ignore[no-any-return]


def _schema(run: Callable[..., Any]) -> tuple[bool, Any, Any]:
    """Whether `inference_schema` decorates the function, and what it says of input and output (OpenAPI)."""
    if "inference_schema" not in sys.modules:
        return False, None, None
    from inference_schema import schema_util  # type: ignore[import-not-found]

    if not schema_util.is_schema_decorated(run):
        return False, None, None
    return True, schema_util.get_input_schema(run), schema_util.get_output_schema(run)
