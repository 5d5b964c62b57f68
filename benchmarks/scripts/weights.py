"""A file of BYTES in ./outputs, on the disk when the script ends."""

import os
import sys
from pathlib import Path

block = os.urandom(1 << 20)
with Path("outputs/weights.bin").open("wb") as file:
    file.writelines(block for _ in range(int(sys.argv[1]) // len(block)))
    os.fsync(file.fileno())
