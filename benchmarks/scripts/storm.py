"""Logs as fast as it can: first a timed number of calls, then, until it is killed, calls that it counts in shared memory.

Arguments: number of timed calls, file for the calls per second, file for the count (8 bytes) of calls that returned.
"""

import mmap
import pathlib
import struct
import sys
import time

from jupyter_mltrain import Run

calls, rate_path, count_path = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
run = Run.get_context()
log = run.log

for i in range(1000):
    log("warm-up", float(i), step=i)

started = time.perf_counter()
for i in range(calls):
    log("timed", i * 0.5, step=i)
seconds = time.perf_counter() - started

count_path.write_bytes(bytes(8))
with count_path.open("r+b") as file:
    returned = mmap.mmap(file.fileno(), 8)
draft = rate_path.with_suffix(".new")
draft.write_text(repr(calls / seconds))
draft.replace(rate_path)

i = 0
while True:
    log("until-killed", i * 0.5, step=i)
    i += 1
    struct.pack_into("<q", returned, 0, i)
