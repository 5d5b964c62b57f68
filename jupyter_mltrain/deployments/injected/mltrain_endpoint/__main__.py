"""Entry of an endpoint's process: `python …/mltrain_endpoint SERVE_JSON START_FOLDER` (see the package)."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(
        os.path.dirname(os.path.abspath(__file__))
    )  # not this folder: `script` is a user's name too
    if sys.argv[1] == "--smoke":
        from mltrain_endpoint.smoke import main
    else:
        from mltrain_endpoint.server import main

    sys.exit(main(*sys.argv[-2:]))
