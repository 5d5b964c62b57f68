"""Leaves as many bytes as it is told in its outputs."""

import os
import sys
from pathlib import Path

with Path("outputs/made.bin").open("wb") as file:
    file.write(os.urandom(int(sys.argv[1])))
