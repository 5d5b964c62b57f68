"""A notebook as one file: what is in it, and that nothing in it reaches out or runs but its own two scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest
from bs4 import BeautifulSoup

from jupyter_mltrain.errors import NotWritable, PathNotFound, ServiceUnavailable, UsageError
from jupyter_mltrain.export import export_notebook, resolve
from jupyter_mltrain.export.outputs import PLOTLY, WIDGET, script_json, self_contained
from jupyter_mltrain.widgets.output import MIME


def soup_of(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def figure(trace: object, **layout: object) -> dict[str, object]:
    return {PLOTLY: json.loads(go.Figure(trace, layout=layout).to_json()), "text/plain": "Figure(…)"}


def test_it_lies_beside_the_notebook_or_where_it_is_asked_for(notebook, tmp_path):
    path = notebook()
    assert export_notebook(path) == tmp_path / "nb.html"
    assert export_notebook(path, tmp_path / "other.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_run_becomes_its_card_with_living_charts(notebook, saved_run):
    page = soup_of(export_notebook(notebook(saved_run("completed"))))
    assert page.select_one(".mlt-name").get_text() == "tutorial-tf-mnist / brave-otter-7"
    charts = page.select(".mlt-chart .mlt-plot")
    assert [json.loads(chart.script.string)["metric"] for chart in charts] == ["val_accuracy", "loss"]
    assert all(chart.svg for chart in charts), "the drawing that shows where scripts do not run"
    assert len(page.find_all("script", type=False)) == 2


def test_what_was_submitted_again_stands_below(notebook, saved_run):
    output, again = saved_run("completed"), saved_run("failed")
    output[MIME] = {**output[MIME], "reruns": [again[MIME], {"no": "run"}]}
    page = soup_of(export_notebook(notebook(output)))
    assert [name.get_text() for name in page.select(".mlt-name")] == [
        "tutorial-tf-mnist / brave-otter-7",
        BeautifulSoup(again["text/html"], "html.parser").select_one(".mlt-name").get_text(),
    ]


def test_where_it_comes_from_stands_at_its_end(notebook, saved_run):
    page = soup_of(export_notebook(notebook(saved_run("completed"), saved_run("completed"))))
    assert len(page.select("footer dl")) == 1, "a run that is shown twice is named once"
    text = page.footer.get_text(" ")
    for part in (
        "tutorial-tf-mnist_1795416000_0a1b2c3d",
        "tensorflow:3 · lock 9f2c4e1a7b60d853",
        "mnist:1",
        "3413ed3c0ffee",
    ):
        assert part in text


def test_only_its_own_scripts_may_run_and_nothing_may_load(notebook, saved_run):
    hostile = {"text/html": "<script>alert(1)</script><img src='https://example.invalid/x.png'>", "text/plain": ""}
    page = soup_of(export_notebook(notebook(hostile, saved_run("completed"))))
    policy = page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    own = [script.string for script in page.find_all("script", type=False) if "alert(1)" not in script.string]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in own]
    assert f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"script-src[^;]*(?:unsafe|http|\*)", policy)
    first = page.find(["script", "link", "img", "style"])
    assert str(page).index("Content-Security-Policy") < str(page).index(str(first)[:60])


def test_nothing_in_the_page_itself_names_a_place_to_load_from(notebook, saved_run):
    page = soup_of(export_notebook(notebook(saved_run("completed"))))
    for tag in page.find_all(True):
        for attribute in ("src", "srcset", "data", "poster"):
            assert not str(tag.get(attribute, "")).startswith(("http", "//"))
    assert not page.find_all("link")
    for style in page.find_all("style"):
        assert not re.search(r"@import|url\(\s*['\"]?(?!data:)", style.get_text())


def test_without_charts_there_is_no_script_at_all(notebook):
    page = soup_of(export_notebook(notebook({"text/plain": "42"})))
    assert not page.find_all("script")
    assert "script-src 'none'" in page.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]


def test_a_name_cannot_end_the_script_that_holds_it(notebook, saved_run):
    run = saved_run("completed")
    evil = "</script><script>alert(1)</script><!--"
    run[MIME]["series"][0]["name"] = run[MIME]["state"]["metrics"][0]["name"] = evil
    page = soup_of(export_notebook(notebook(run, figure(go.Bar(x=["a"], y=[1]), title={"text": evil}))))
    assert not [script for script in page.find_all("script", type=False) if "alert" in script.string[:40]]
    plots = [json.loads(plot.script.string) for plot in page.select(".mlt-plot")]
    assert plots[0]["metric"] == evil
    assert plots[-1]["layout"]["title"]["text"] == evil


def test_the_saved_state_of_widgets_is_dropped_and_what_else_the_output_holds_shows(notebook):
    path = notebook({WIDGET: {"model_id": "m"}, "text/plain": "IntSlider(value=3)"}, {WIDGET: {"model_id": "n"}})
    raw = nbformat.read(path, 4)
    raw.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"m": {}}}}
    nbformat.write(raw, path)
    text = export_notebook(path).read_text("utf-8")
    assert "IntSlider(value=3)" in text
    assert "it lives in the notebook only" in text
    assert "widget-state" not in text
    assert "widget-view" not in text


@pytest.mark.parametrize(("trace", "full"), [(go.Scatter(y=[1, 2]), False), (go.Heatmap(z=[[1, 2]]), True)])
def test_the_bundle_is_as_large_as_the_figures_need(notebook, trace, full):
    exported = self_contained(nbformat.read(notebook(figure(trace)), 4), lambda saved: saved)
    assert exported.full_plotly is full


def test_the_notebook_itself_is_not_touched(notebook, saved_run):
    path = notebook(saved_run("running"))
    before = path.read_bytes()
    export_notebook(path)
    assert path.read_bytes() == before


def test_text_outputs_and_tracebacks_stay(notebook):
    path = notebook()
    raw = nbformat.read(path, 4)
    stream = nbformat.v4.new_output("stream", text="hello <b>world</b>\n")
    error = nbformat.v4.new_output("error", ename="RunFailed", evalue="it", traceback=["\x1b[31mRunFailed\x1b[0m: <i>"])
    raw.cells.append(nbformat.v4.new_code_cell("x", outputs=[stream, error]))
    nbformat.write(raw, path)
    text = export_notebook(path).read_text("utf-8")
    assert "hello &lt;b&gt;world&lt;/b&gt;" in text
    assert "RunFailed</span>: &lt;i&gt;" in text


def test_numbers_that_json_cannot_hold_do_not_break_the_figure():
    assert script_json({"y": [1.0, float("nan"), float("inf")]}) == '{"y":[1.0,null,null]}'


class Workspace:
    """Stands for the client: a workspace whose run has gone on since the notebook was saved."""

    def __init__(self, state, *, gone=False):
        self.state, self.gone, self.opened = state, gone, 0

    def open(self, root):
        self.opened += 1
        return self

    def get(self, path, /, **params):
        if self.gone:
            raise ServiceUnavailable("gone")
        if path.endswith("/series"):
            return {"name": params["name"], "total": 2, "steps": [0, 1], "values": [1.0, 0.5]}
        return self.state

    def bytes(self, path, /, **params):
        raise ServiceUnavailable("no log")


@pytest.fixture
def workspace(monkeypatch, saved_run, tmp_path):
    """The saved run's workspace around the notebook, where the run is Completed by now."""
    payload = saved_run("completed")[MIME]
    service = Workspace(payload["state"] | {"recorded": 1795999999.0, "workspace": {"id": payload["workspace"]}})
    folder = tmp_path / ".mltrain"
    folder.mkdir()
    (folder / "config.toml").write_text(f'id = "{payload["workspace"]}"\nname = "w"\n')
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(resolve, "Connection", service)
    return service


def test_a_run_shows_as_it_stands_now_where_its_workspace_is(notebook, saved_run, workspace):
    page = soup_of(export_notebook(notebook(saved_run("running"), saved_run("running"))))
    assert page.select_one(".mlt-pill").get_text() == "Completed"
    assert "30 Nov 2026" in page.select_one(".mlt-foot").get_text()
    assert json.loads(page.select_one(".mlt-plot").script.string)["lines"][0]["values"] == [1.0, 0.5]
    assert workspace.opened == 1


def test_a_workspace_of_another_id_is_left_alone(notebook, saved_run, workspace):
    run = saved_run("running")
    run[MIME]["workspace"] = "another"
    page = soup_of(export_notebook(notebook(run)))
    assert page.select_one(".mlt-pill").get_text() == "Running"
    assert workspace.opened == 0


def test_a_service_that_does_not_answer_leaves_the_saved_state(notebook, saved_run, workspace):
    workspace.gone = True
    page = soup_of(export_notebook(notebook(saved_run("running"))))
    assert page.select_one(".mlt-pill").get_text() == "Running"
    assert "23 Nov 2026" in page.select_one(".mlt-foot").get_text()


def test_bad_input_gets_one_clear_line(notebook, tmp_path):
    with pytest.raises(PathNotFound, match="no notebook at"):
        export_notebook(tmp_path / "none.ipynb")
    for content in ("not json", "[]", '{"a": 1}'):
        (tmp_path / "odd.ipynb").write_text(content)
        with pytest.raises(UsageError, match="is not a notebook"):
            export_notebook(tmp_path / "odd.ipynb")
    (tmp_path / "bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not a notebook"):
        export_notebook(tmp_path / "bytes.ipynb")
    with pytest.raises(NotWritable, match="cannot be written"):
        export_notebook(notebook(), tmp_path / "no" / "such" / "folder.html")


def test_an_output_of_our_type_that_is_no_run_falls_back_to_what_else_it_holds(notebook):
    text = export_notebook(notebook({MIME: {"format": 1}, "text/plain": "Run(old)"})).read_text("utf-8")
    assert "Run(old)" in text
