"""Whether the package index answers, asked as a build would ask it; for the doctor."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import threading
import time
from pathlib import Path

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core.wire_catalog import Problem
from jupyter_mltrain.environments.indexes import IndexSettings, index_settings
from jupyter_mltrain.environments.uv import Uv, one_line_cause

_PATIENCE = 10.0
"""Seconds. A build waits longer; who asks the doctor wants to know now."""

_MEND = (
    "Check the network, the proxy, and pip's index settings (`pip config list`); what is built already runs without."
)


def package_index(settings: IndexSettings | None = None, patience: float = _PATIENCE) -> tuple[str, Problem | None]:
    """How the index answered, in words, and, if it did not, the problem and its mend. Blocks up to `patience` seconds."""
    settings = settings or index_settings()
    quick = {**settings.variables, "UV_HTTP_TIMEOUT": str(max(1, int(patience))), "UV_HTTP_RETRIES": "0"}
    late, started = threading.Event(), time.monotonic()
    timer = threading.Timer(patience, late.set)
    timer.daemon = True
    timer.start()
    try:
        with tempfile.TemporaryDirectory(prefix="mltrain-index-") as folder:
            uv = Uv(dataclasses.replace(settings, variables=quick), Path(folder), late)
            question = [
                "pip",
                "install",
                "--dry-run",
                "--no-deps",
                "--refresh",
                "--target",
                f"{folder}/t",
                "--python",
                sys.executable,
            ]
            code, output = uv.run([*question, *settings.flags, "pip"], lambda _: None)
    except Stopped:
        cause = f"no answer within {patience:.0f} s"
    else:
        if code == 0:
            return f"answers ({time.monotonic() - started:.1f} s)", None
        cause = settings.redact(one_line_cause(output, 200))
    finally:
        timer.cancel()
    return "does not answer", {"problem": f"The package index does not give what is asked for: {cause}.", "mend": _MEND}
