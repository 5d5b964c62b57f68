"""`python -m jupyter_mltrain`."""

from __future__ import annotations

import sys

from jupyter_mltrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
