from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_mltrain.widgets import live_output
from tests.unit.commands.conftest import project, said, service  # noqa: F401 - fixtures
from tests.unit.commands.fake_service import FakeConnection


class Published(list[dict[str, Any]]):
    """What the shell displayed: `{"data", "id", "update"}`, in order."""

    def publish(
        self, data: Any, metadata: Any = None, *, transient: Any = None, update: bool = False, **_: Any
    ) -> None:
        self.append({"data": data, "id": (transient or {}).get("display_id"), "update": update})


@pytest.fixture
def shell(project: Any, service: FakeConnection) -> Iterator[InteractiveShell]:  # noqa: F811
    """A kernel's shell, as far as magics see one."""
    made = InteractiveShell()
    made.kernel = object()  # what tells a kernel from a terminal
    made.published = Published()
    made.display_pub.publish = made.published.publish
    made.run_line_magic("load_ext", "jupyter_mltrain")
    yield made
    for run in list(service.runs):
        service.advance(run, "Completed")
    deadline = time.monotonic() + 60
    while live_output.watcher(made).live:
        assert time.monotonic() < deadline, "the watcher does not end"
        time.sleep(0.005)
    made.history_manager.end_session()
