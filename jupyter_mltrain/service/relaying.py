"""The process of an endpoint whose server is in a container: `python -m jupyter_mltrain.service.relaying START_FOLDER`.

Here, because it brings together an engine and what keepers know of servers (`deployments.relay`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from jupyter_mltrain import computes
from jupyter_mltrain.deployments import relay


def _load(kind: str, settings: Mapping[str, Any]) -> Any:
    return computes.load(kind, **settings)


if __name__ == "__main__":
    code = relay.main(sys.argv[-1], _load)
    sys.stdout.flush()
    os._exit(code)  # a thread may wait for an engine that does not answer
