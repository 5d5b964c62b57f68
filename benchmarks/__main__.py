"""`python -m benchmarks [--quick] [topic …]`: measures, then prints one table.

`--quick` takes a few samples of everything that needs no environment built: enough to see that the benchmarks work, not
to judge a bar by. Exit code 1 where something could not be measured; a missed bar stands in the table.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import signal
import sys
import time
import traceback

import psutil

from benchmarks.place import new_place
from benchmarks.table import Row, render

BUSY = 15
"""Percent of the machine's processors in use by others above which times are not to be believed."""

TOPICS = ("load_ext", "cell", "first_line", "logging", "training", "points", "service", "card", "models", "serving")

LONG = ("docker", "remote", "distributed", "soak")
"""Need an engine of containers, or two (or root, to start them); compiles Horovod; takes half an hour: measured where it is
asked for."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and size, beside their baselines.")
    parser.add_argument(
        "topics",
        nargs="*",
        metavar="topic",
        help=f"some of: {', '.join(TOPICS + LONG)}; default: all but {', '.join(LONG)}",
    )
    parser.add_argument("--quick", action="store_true", help="few samples, nothing that needs TensorFlow: a smoke test")
    options = parser.parse_args()
    if unknown := set(options.topics) - {*TOPICS, *LONG}:
        parser.error(f"no topic {', '.join(sorted(unknown))}; there are {', '.join(TOPICS + LONG)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a stopped benchmark tidies up as well
    busy = psutil.cpu_percent(interval=2)  # by others: none of ours is started yet
    rows: list[Row] = []
    broken = False
    with new_place() as place:
        for topic in options.topics or TOPICS:
            started = time.monotonic()
            _say(f"{topic} …")
            try:
                rows += importlib.import_module(f"benchmarks.{topic}").measure(place, quick=options.quick)
            except Exception as error:  # noqa: BLE001 - the other topics are still worth their figures
                traceback.print_exc()
                broken = True
                rows.append(Row(topic, f"not measured: {type(error).__name__}", "", "", kept=False))
            _say(f"{topic}: {time.monotonic() - started:.0f} s")
    print(
        f"{psutil.cpu_count()} CPUs, {busy:.0f} % busy with other work at the beginning; Python {platform.python_version()}"
    )
    if busy > BUSY:
        print("On so busy a machine times are too long and verdicts mean little.")
    if options.quick:
        print("Quick: too few samples to judge by.")
    print()
    print(render(rows))
    return int(broken)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
