"""The options that verbs share."""

from __future__ import annotations

from jupyter_mltrain.commands import values
from jupyter_mltrain.commands.grammar import Argument, Option

WHERE = (
    Option(("--experiment",), "experiment the run belongs to; default: the notebook's name, else the folder's", "NAME"),
    Option(("-t", "--target"), "compute target; default: the workspace's", "NAME", completes="targets"),
    Option(
        ("-e", "--env"),
        "environment (default: tensorflow); `current` is the kernel's own interpreter",
        "NAME[:VERSION]",
        values.environment,
        completes="environments",
    ),
)

INPUT = (
    Option(
        ("-d", "--data"),
        "dataset, repeatable; the first without ARG is passed as `--data-folder PATH`, others need ARG, `=NAME` passes"
        " none; its folder is always also in MLTRAIN_DATA_<NAME>",
        "[ARG=]NAME[:VERSION]",
        values.data,
        repeated=True,
        completes="datasets",
    ),
    Option(
        ("-s", "--source"), "folder that goes along as a snapshot; default: only the script", "DIR", completes="paths"
    ),
)

RESOURCES = (
    Option(("--gpus",), "GPUs; refused where there are fewer", "N", values.count),
    Option(("--cpus",), "CPUs", "N", values.positive),
    Option(("--memory",), "memory in GB (10⁹ bytes)", "GB", values.memory),
    Option(
        ("--max-run-time",), "end the run after 90s, 10m, 2h …; time in the queue does not count", "D", values.duration
    ),
)

RANKS = (
    Option(("--nodes",), "processes that train together with Horovod: on so many nodes", "N", values.positive),
    Option(("--procs-per-node",), "so many on each node; default: 1", "N", values.positive),
    Option(("--mpirun",), "have the environment's mpirun start them, on one node: they speak MPI"),
    Option(("--workers",), "processes that train together with tf.distribute (`TF_CONFIG`)", "N", values.positive),
    Option(("--ps",), "parameter servers beside them", "N", values.count),
    Option(("--evaluator",), "an evaluator beside them"),
    Option(
        ("--join-timeout",),
        "fail where not all have found each other so long after the first; default: 5m",
        "D",
        values.duration,
    ),
    Option(("--chief",), "a chief beside them"),
)

AGAIN = (
    Option(
        ("--resume-from",),
        "go on from the outputs of an earlier run: the script gets their folder as `--resume-from FOLDER`",
        "RUN",
        completes="runs",
    ),
    Option(
        ("--retries",), "begin again so many times where the run's processes are lost; default: 0", "N", values.count
    ),
)

VARIABLES = (
    Option(("--set",), "environment variable, repeatable", "K=V", values.assignment, repeated=True),
    Option(
        ("--secret",),
        "environment variable whose value is taken from the kernel's and never recorded, repeatable",
        "K",
        values.variable,
        repeated=True,
    ),
)

CONDUCT = (
    Option(("--tag",), "tag, repeatable", "K[=V]", values.tag, repeated=True),
    Option(("--as",), "variable that holds the run; default: run", "NAME", values.python_name),
    Option(("--wait",), "block and show the log; a run that fails raises"),
    Option(("--dry-run",), "show the plan and start nothing"),
)

SUBMIT = (*WHERE, *INPUT, *RESOURCES, *RANKS, *AGAIN, *VARIABLES, *CONDUCT)
"""All that can be said about a run, the same for a cell and for a file."""

RUN = Argument("run", "id or name of a run, or `latest`", completes="runs")
