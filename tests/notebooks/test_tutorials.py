"""The tutorials run top to bottom, and export to one file each. (`make demo` runs the first.)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.export import export_notebook
from tests.hosts.daemon import Engine
from tests.hosts.remote import RemoteHost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_PATIENCE = 1800
"""Seconds for a cell: the first one in need of Horovod compiles it."""

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a tutorial runs: a workspace of its own, whose service and endpoints end with the test."""
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    workspace = Workspace.from_config(tmp_path)
    for service in workspace.webservices.values():
        service.delete()
    workspace.connection.post("/v1/handover")


@pytest.mark.parametrize(
    "name",
    ["02-the-article.ipynb", "03-register-and-deploy.ipynb", "05-horovod.ipynb", "06-tf-distribute.ipynb"],
)
def test_a_tutorial_runs_and_exports(name: str, folder: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOKS / name, 4)
    Workspace.create(path=folder)
    NotebookClient(notebook, timeout=_PATIENCE, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / name)
    page = export_notebook(folder / name).read_text(encoding="utf-8")
    assert "Completed" in page
    assert "<script src" not in page
    assert str(folder) not in page, "a path of this machine"


def test_the_japanese_article_has_the_same_code() -> None:
    english: Any = nbformat.read(NOTEBOOKS / "02-the-article.ipynb", 4)
    japanese: Any = nbformat.read(NOTEBOOKS / "02-the-article.ja.ipynb", 4)
    assert [c.cell_type for c in english.cells] == [c.cell_type for c in japanese.cells]
    for ours, theirs in zip(english.cells, japanese.cells, strict=True):
        assert (ours.source == theirs.source) == (ours.cell_type == "code")


def test_the_tutorial_about_containers_runs_on_two_engines(
    folder: Path, docker_engine: Engine, remote_host: RemoteHost
) -> None:
    name = "04-containers.ipynb"
    notebook: Any = nbformat.read(NOTEBOOKS / name, 4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = (
        f"box_engine, far_engine, base_image = {docker_engine.url!r}, {remote_host.ssh_url!r}, {docker_engine.image!r}"
    )
    Workspace.create(path=folder)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / name)
    said = "\n".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "GPU" in said
    page = export_notebook(folder / name).read_text(encoding="utf-8")
    assert page.count("Completed") >= 3
    for engine in (docker_engine, remote_host.engine):
        left = engine.ours()
        assert [one for one in left["containers"] + left["volumes"] if "containers_" in one] == []
