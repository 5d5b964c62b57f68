"""Logs two metrics every so many seconds until the file named first is there; notes when it logged each step."""

import json
import math
import pathlib
import sys
import time

from jupyter_mltrain import Run

end, times, pause = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
run = Run.get_context()
sent = []
while not end.exists():
    step = len(sent)
    sent.append(time.time())
    run.log("step", step, step=step)
    run.log("loss", math.exp(-step / 200) + 0.05 * math.sin(step), step=step)
    time.sleep(pause)
times.write_text(json.dumps(sent))
