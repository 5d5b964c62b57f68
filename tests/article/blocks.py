"""The code of the article, block by block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ARTICLE = Path(__file__).with_name("article.md")

IMPORTS = {
    "import azureml": "import jupyter_mltrain",
    "from azureml.core import ": "from jupyter_mltrain import ",
    "from azureml.core.compute import ": "from jupyter_mltrain import ",
    "from azureml.core.compute_target import ": "from jupyter_mltrain import ",
    "from azureml.core.dataset import ": "from jupyter_mltrain import ",
    "from azureml.core.resource_configuration import ": "from jupyter_mltrain import ",
    "from azureml.core.runconfig import ": "from jupyter_mltrain import ",
}
"""What stands in the place of an import; nothing else of a block is changed."""


def blocks(language: str) -> list[str]:
    """The article's blocks of that language, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", ARTICLE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for said, text in found if said.lower() == language]


def ours(block: str) -> str:
    """`block` with its import lines changed, and those alone."""
    return "".join(_ours(line) for line in block.splitlines(keepends=True))


def changed(block: str) -> Iterator[tuple[str, str]]:
    """The lines that `ours` changes: before and after."""
    for line in block.splitlines(keepends=True):
        if _ours(line) != line:
            yield line, _ours(line)


def _ours(line: str) -> str:
    for theirs, mine in IMPORTS.items():
        if line.startswith(theirs) and (theirs.endswith(" ") or line.rstrip("\n") == theirs):
            return mine + line[len(theirs) :]
    return line
