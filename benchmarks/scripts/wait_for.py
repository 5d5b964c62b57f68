"""Lives until the file named first is there."""

import pathlib
import sys
import time

while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
