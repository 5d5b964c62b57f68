"""The first line of a user's script: when is it reached? Writes seconds since the epoch to the file named first."""

import time

reached = time.time()

import pathlib  # noqa: E402
import sys  # noqa: E402

pathlib.Path(sys.argv[1]).write_text(repr(reached))
