"""Names and ids: runs, experiments, slugs."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
import uuid

from jupyter_mltrain.errors import InvalidName

_EXPERIMENT = re.compile(r"^[a-zA-Z0-9][\w\-]{0,254}$")
_NAME = re.compile(r"^[a-zA-Z0-9][-._a-zA-Z0-9]{0,254}$")

_FILE_NAME = 255
"""Bytes of a file's name, at most."""

_ADJECTIVES = (
    "amber brave bright calm clear clever coral crisp eager early fair fleet gentle golden green happy honest keen"
    " kind light lively lucid lucky mellow merry mild misty modest neat noble olive patient placid proud quick quiet"
    " rapid ready rosy serene sharp shy silver sleek smart snowy solid steady still sturdy sunny swift tidy upbeat"
    " vivid warm wise witty young"
).split()
_ANIMALS = (
    "badger bear beaver bison bunting crane curlew deer dolphin dove duck eagle egret falcon finch fox gecko goose"
    " hare hawk heron horse ibex ibis jackdaw jay kestrel kite lark lemur linnet lion lynx magpie marten mole newt"
    " orca oriole osprey otter owl panda petrel pike plover puffin quail raven robin salmon seal shrew stork swan"
    " swift tern tiger toad trout vole weasel whale wolf wren yak"
).split()


def new_run_id(experiment: str, now: float | None = None) -> str:
    """`<experiment>_<unix seconds>_<8 hex>`, the form of the SDK; unique, and a safe file name for any experiment."""
    # 255 bytes is the limit of a file name; the suffix takes 20 of them.
    return f"{experiment[:200]}_{int(time.time() if now is None else now)}_{secrets.token_hex(4)}"


def new_display_name(number: int) -> str:
    """A name a person can remember and say: `brave-otter-7`; `number` counts the runs of the workspace."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}-{number}"


def new_workspace_id() -> str:
    return str(uuid.uuid4())


def check_experiment(name: str) -> str:
    """`name`, or `InvalidName` if the SDK would refuse it: letters, digits, `_`, `-`; starts with a letter or digit."""
    if not _EXPERIMENT.match(name) or not name.isascii():
        raise InvalidName(
            f"Experiment name {name[:60]!r} is not allowed.",
            mend="Use 1 to 255 letters, digits, '_' and '-', starting with a letter or digit.",
        )
    return name


def check_run_id(run_id: str) -> str:
    """`run_id`, or `InvalidName` for one that could not be a folder's name."""
    if not run_id or "/" in run_id or "\0" in run_id or run_id.startswith(".") or len(run_id.encode()) > _FILE_NAME:
        raise InvalidName(f"Run id {run_id[:60]!r} is not allowed.")
    return run_id


def check_name(name: str, what: str) -> str:
    """`name` of a model, dataset, environment or target (`what`), or `InvalidName`."""
    if not _NAME.match(name):
        raise InvalidName(
            f"{what} name {name[:60]!r} is not allowed.",
            mend="Use 1 to 255 letters, digits, '.', '_' and '-', starting with a letter or digit.",
        )
    return name


def slug(text: str, fallback: str = "notebook") -> str:
    """An experiment name made from a notebook's or folder's name: `Train MNIST (2).ipynb` → `train-mnist-2`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9_]+", plain.lower())
    return "-".join(words)[:100].strip("-_") or fallback
