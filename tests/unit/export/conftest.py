"""Notebooks to export: the saved runs of tests/fixtures, and outputs of other kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.output import MIME

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def saved_run() -> Callable[[str], dict[str, Any]]:
    """The mime bundle of a run as a notebook holds it, by its kind: running, completed, failed."""

    def read(kind: str) -> dict[str, Any]:
        payload = json.loads((FIXTURES / f"run-{kind}.json").read_text("utf-8"))
        return {MIME: payload, "text/html": card(payload), "text/plain": "Run(…)"}

    return read


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Writes a notebook with one cell per output (a mime bundle) and returns its path."""

    def write(*bundles: dict[str, Any], markdown: str = "# A notebook", name: str = "nb.ipynb") -> Path:
        v4 = nbformat.v4
        outputs = [v4.new_output("display_data", bundle) for bundle in bundles]
        cells = [v4.new_markdown_cell(markdown), *(v4.new_code_cell("run", outputs=[one]) for one in outputs)]
        path = tmp_path / name
        nbformat.write(v4.new_notebook(cells=cells), path)
        return path

    return write
