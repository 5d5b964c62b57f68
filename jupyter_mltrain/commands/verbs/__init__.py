"""The verbs: what each takes (`VERBS`), and how one is called (`call`). Their functions are loaded when they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from jupyter_mltrain.commands import values
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.grammar import Argument, Grammar, Option, nearest_of
from jupyter_mltrain.commands.options import RUN, SUBMIT
from jupyter_mltrain.errors import UsageError


@dataclass(frozen=True)
class Verb:
    """`function` is `module:name` in this package: a plain function of a `Context` and the values of the grammar."""

    name: str
    function: str
    grammar: Grammar

    def __call__(self, context: Context, given: Mapping[str, Any]) -> Any:
        module, _, name = self.function.partition(":")
        return getattr(import_module(f"{__name__}.{module}"), name)(context, **given)


def _verb(
    name: str,
    function: str,
    summary: str,
    arguments: tuple[Argument, ...] = (),
    options: tuple[Option, ...] = (),
    *,
    script: bool = False,
) -> Verb:
    return Verb(name, function, Grammar(f"%mltrain {name}", summary, options, arguments, script))


_LIMIT = Option(("-n", "--limit"), "at most so many, the newest first (default: 20)", "N", values.positive)

CELL = Grammar(
    "%%mltrain", "Run the cell as a script, in an environment of its own.", SUBMIT, takes_script_arguments=True
)
"""What the first line of a cell takes; the script's arguments follow ` -- `."""

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        _verb(
            "init",
            "workspace:init",
            "Make a folder a workspace; runs, environments and models are kept in its .mltrain.",
            (Argument("folder", "the folder; default: the current one", optional=True, completes="paths"),),
            (Option(("--name",), "name of the workspace; default: the folder's", "NAME"),),
        ),
        _verb("doctor", "doctor:doctor", "Say what is where and what is missing, each with its mend."),
        _verb(
            "run",
            "run:run",
            "Run a Python file as a script, in an environment of its own.",
            (Argument("file", "the script", completes="paths"),),
            SUBMIT,
            script=True,
        ),
        _verb(
            "runs",
            "runs:runs",
            "List runs, newest first, and the disk they use.",
            (),
            (
                Option(("--experiment",), "only those of this experiment", "NAME"),
                Option(("--status",), "only those with this status (Running, Completed, Failed, …)", "STATUS"),
                _LIMIT,
            ),
        ),
        _verb("show", "runs:show", "Show a run.", (RUN,)),
        _verb(
            "logs",
            "logs:logs",
            "Show what a run wrote.",
            (Argument(RUN.name, RUN.help, optional=True, completes="runs"),),
            (
                Option(("--tail",), "only the last N lines (default in a notebook: 200)", "N", values.positive),
                Option(("--name",), "which log: user_logs/std_log.txt (default), build.log, …", "NAME"),
                Option(("-f", "--follow"), "go on as it grows, until the run ends", terminal_only=True),
            ),
        ),
        _verb(
            "compare",
            "runs:compare",
            "Show runs side by side: what differs first, charts over each other.",
            (RUN, Argument("other", "another run", completes="runs")),
            (Option(("--with",), "one more run; may be repeated", "RUN", repeated=True, completes="runs"),),
        ),
        _verb(
            "rerun",
            "runs:rerun",
            "Submit a run once more: the same files, arguments, environment and data.",
            (RUN,),
            (
                Option(("--gpus",), "other GPUs", "N", values.count),
                Option(("--cpus",), "other CPUs", "N", values.positive),
                Option(("--memory",), "other memory, in GB", "GB", values.memory),
            ),
        ),
        _verb(
            "prune",
            "runs:prune",
            "Show which old runs could be removed to make room; pinned ones and those of registered models stay.",
            (),
            (
                Option(("--older-than",), "ended so long ago: 30d (default), 12h, 0s", "D", values.idle),
                Option(("--keep",), "the newest N stay, whatever their age (default: 20)", "N", values.count),
                Option(("--yes",), "remove them"),
            ),
        ),
        _verb(
            "cancel",
            "runs:cancel",
            "Ask a run to stop; its outputs so far are kept.",
            (RUN,),
            (Option(("--give-up",), "do not wait for a host that does not answer: the run has then failed"),),
        ),
        _verb(
            "register",
            "models:register",
            "Register a file or folder of a run's outputs as a new version of a model.",
            (RUN,),
            (
                Option(("--name",), "name of the model; default: the experiment's", "NAME"),
                Option(
                    ("--path",),
                    "file or folder in the run, such as outputs/model; default: the only model there",
                    "PATH",
                ),
                Option(("--tag",), "tag, repeatable", "K[=V]", values.tag, repeated=True),
                Option(("--description",), "one line", "TEXT"),
            ),
        ),
        _verb(
            "models",
            "models:models",
            "List registered models, or the versions of one.",
            (Argument("name", "the model", optional=True, completes="models"),),
        ),
        _verb(
            "deploy",
            "endpoints:deploy",
            "Serve a registered model, here or in a container; an endpoint of that name gets it without a failed request.",
            (Argument("model", "NAME[:VERSION]", completes="models"),),
            (
                Option(("--name",), "name of the endpoint; default: the model's", "NAME", completes="endpoints"),
                Option(("--cpu", "--cpus"), "at most so many CPUs", "N", values.number),
                Option(("--memory",), "at most so much memory, in GB", "GB", values.memory),
                Option(
                    ("--port",), "port on this machine; default: a free one, kept from then on", "PORT", values.port
                ),
                Option(("-t", "--target"), "compute target in whose containers it is", "NAME", completes="targets"),
                Option(("--image",), "image with a server of its own (tensorflow/serving)", "IMAGE"),
                Option(("--auth",), "requests need a key (`%mltrain endpoints keys NAME`)"),
                Option(("--wait",), "wait until it answers, and say what is going on"),
            ),
        ),
        _verb(
            "endpoints",
            "endpoints:endpoints",
            "List endpoints, or show, ask, reload or remove one.",
            (
                Argument(
                    "action",
                    "list (default), show, logs, keys, test, reload, rm",
                    optional=True,
                    choices=("list", "show", "logs", "keys", "test", "reload", "rm"),
                ),
                Argument("name", "the endpoint", optional=True, completes="endpoints"),
            ),
            (
                Option(("--data",), "test: the request's body; default: zeros in the model's shape", "JSON"),
                Option(("--tail",), "logs: the last N lines (default: 200)", "N", values.positive),
            ),
        ),
        _verb(
            "env",
            "environments:env",
            "List environments, show one, add one, build or remove one, or tidy up what was built.",
            (
                Argument(
                    "action",
                    "list (default), show, add, build, rm, prune",
                    optional=True,
                    choices=("list", "show", "add", "build", "rm", "prune"),
                ),
                Argument("name", "NAME[:VERSION]", optional=True, completes="environments"),
            ),
            (
                Option(("-r", "--requirements"), "add: a requirements file", "FILE", completes="paths"),
                Option(
                    ("-f", "--file"), "add: a conda file, such as conda_dependencies.yml", "FILE", completes="paths"
                ),
                Option(("--python",), "add: a version for the requirements, such as 3.11", "VERSION"),
                Option(("--interpreter",), "add: an existing interpreter or venv instead", "PATH", completes="paths"),
                Option(("--dockerfile",), "show: as a Dockerfile"),
                Option(("--unused-days",), "prune: what was not used for so long (default: 30)", "N", values.count),
            ),
        ),
        _verb(
            "compute",
            "compute:compute",
            "List compute targets; show, create, update or remove one; list the sizes of nodes; attach a Docker engine.",
            (
                Argument(
                    "action",
                    "list (default), show, create, update, rm, sizes, attach, detach, prune",
                    optional=True,
                    choices=("list", "show", "create", "update", "rm", "sizes", "attach", "detach", "prune"),
                ),
                Argument("name", "the target", optional=True, completes="targets"),
                Argument(
                    "urls", "attach: ssh://user@host, tcp://host:port (TLS), unix:///path; several", repeated=True
                ),
            ),
            (
                Option(("--size",), "create: what a node has, such as STANDARD_D2_V2", "SIZE", completes="sizes"),
                Option(("--max-nodes",), "at most so many nodes at once (default: 4)", "N", values.positive),
                Option(("--min-nodes",), "so many are always there (default: 0)", "N", values.count),
                Option(("--idle",), "how long an idle node stays: 90s, 30m (default), 0 …", "D", values.idle),
                Option(("--docker-context",), "attach: that context of the docker command, instead of a URL", "NAME"),
                Option(("--base-image",), "attach: what containers are made from", "IMAGE"),
                Option(("--user",), "attach: who runs inside (default: 1000:1000)", "UID[:GID]"),
                Option(("--image",), "attach: `build`: every environment becomes an image", "build"),
                Option(("--registry",), "attach: where images that are built are shared", "HOST[:PORT][/PREFIX]"),
                Option(("--tls-ca",), "attach: certificate of who signed the engine's", "FILE", completes="paths"),
                Option(("--tls-cert",), "attach: our certificate", "FILE", completes="paths"),
                Option(("--tls-key",), "attach: our certificate's key", "FILE", completes="paths"),
                Option(("--yes",), "prune: remove, not only show"),
            ),
        ),
        _verb(
            "data",
            "data:data",
            "List datasets; show, fetch or add one; remove what was fetched.",
            (
                Argument(
                    "action",
                    "list (default), show, fetch, add, rm",
                    optional=True,
                    choices=("list", "show", "fetch", "add", "rm"),
                ),
                Argument("name", "NAME[:VERSION]", optional=True, completes="datasets"),
                Argument("paths", "add: files, folders, patterns, URLs", completes="paths", repeated=True),
            ),
            (
                Option(("--description",), "add: one line", "TEXT"),
                Option(("--tag",), "add: tag, repeatable", "K[=V]", values.tag, repeated=True),
                Option(("--new-version",), "add: a new version, also of other files"),
                Option(("--unregister",), "rm: forget the version itself too; files elsewhere stay"),
            ),
        ),
        _verb(
            "export",
            "export:export",
            "Write a notebook as one HTML file that needs no network: charts alive, runs as they stand now.",
            (Argument("notebook", "the .ipynb file", completes="paths"),),
            (Option(("-o", "--output"), "the HTML file; default: beside the notebook", "FILE", completes="paths"),),
        ),
    )
}


def find(name: str, program: str = "%mltrain") -> Verb:
    """The verb; raises `UsageError` with the nearest that exist."""
    verb = VERBS.get(name)
    if verb is None:
        near = nearest_of(name, VERBS)
        mend = (
            f"Did you mean {' or '.join(f'`{program} {n}`' for n in near)}?"
            if near
            else f"They are: {' '.join(VERBS)}."
        )
        raise UsageError(f"`{program}` has no verb {name!r}.", mend=mend)
    return verb


def call(context: Context, name: str, tokens: Sequence[str], script_arguments: Sequence[str] | None = None) -> Any:
    """Read the tokens by the verb's grammar and run it; the result shows itself."""
    verb = find(name, context.program)
    given = verb.grammar.parse(tokens, script_arguments)
    for option in verb.grammar.options:
        if option.terminal_only and not context.terminal and given.pop(option.name):
            raise UsageError(
                f"`{option.flags[-1]}` works in a terminal alone.",
                mend="A run's output follows it by itself; `%%mltrain --wait` shows the log while it runs.",
            )
    return verb(context, given)


def overview(program: str = "%mltrain") -> str:
    """What `%mltrain` alone prints: the verbs, one line each."""
    width = max(len(name) for name in VERBS)
    lines = [f"  {verb.name:<{width}}  {verb.grammar.summary}" for verb in VERBS.values()]
    head = [
        "%%mltrain [options] [-- script arguments]   runs the cell as a script",
        "%mltrain VERB …                             (each has --help)",
    ]
    if program != "%mltrain":
        head = [f"{program} VERB …   (each has --help)"]
    return "\n".join([*head, "", *lines])
