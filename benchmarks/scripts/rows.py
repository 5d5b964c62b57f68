"""How long it takes to log so many rows of a table."""

import sys
import time

from jupyter_mltrain import Run

run = Run.get_context()
began = time.perf_counter()
for i in range(int(sys.argv[1])):
    run.log_row("table", step=i, loss=0.5 / (i + 1), accuracy=0.9)
run.log("seconds", time.perf_counter() - began)
