"""Logs thousands of steps at once, as a run of yesterday has them, then two a second and a line each, until the file is there."""

import math
import pathlib
import sys
import time

from jupyter_mltrain import Run

end = pathlib.Path(sys.argv[1])
run = Run.get_context()
step = 0
while not end.exists():
    run.log("loss", math.exp(-step / 2000) + 0.05 * math.sin(step), step=step)
    run.log("accuracy", 1 - math.exp(-step / 3000), step=step)
    step += 1
    if step > 5000:
        print("step", step, flush=True)
        time.sleep(0.5)
