"""The static card: what it says, that it is text, and that it needs nothing around it."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.chart_svg import Line, chart_svg, nice_ticks
from jupyter_mltrain.widgets.output import payload

VOID = {"img", "br", "hr", "input", "meta", "link"}


class Outline(HTMLParser):
    """Tags, attributes and text of a piece of HTML; fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def said(html: str) -> str:
    return re.sub(r"\s+", " ", " ".join(outline(html).text))


def test_a_running_run_says_what_runs_where_and_how_far_it_is(running):
    text = said(card(payload(*running)))
    assert "tutorial-tf-mnist / brave-otter-7 Running 0:42 local · tensorflow:3 · mnist:1" in text
    assert "Preparing cached 0.1 s Queued 0 s Starting 0.4 s Running epoch 12 of 20 · 27 s left Finalizing" in text


def test_a_failure_leads_with_cause_evidence_and_mend(failed):
    html = card(payload(*failed))
    text = said(html)
    assert (
        text.index("Out of memory on rank 1")
        < text.index("oom_kill counter 0 → 1")
        < text.index("Rerun with `--memory 8`")
    )
    assert text.index("Rerun with") < text.index("min 0.3576")
    assert "Running stopped at epoch 3 of 20" in text
    assert "Asked for STANDARD_NC6, given cpu: this machine has no GPU" in text
    assert "epoch 3 512/938 Killed (rank 1)" in text
    assert "<details open>" in html


def test_it_says_when_it_was_recorded_and_how_to_get_the_run_back(completed):
    text = said(card(payload(*completed), bound_to="mnist_run"))
    assert "recorded on 23 Nov 2026, 06:41 UTC" in text
    assert 'mnist_run = mltrain.run("brave-otter-7")' in text
    assert "connecting" not in text.lower()


def test_the_last_value_and_the_best_one_stand_with_the_chart(completed):
    text = said(card(payload(*completed)))
    assert "val_accuracy max 0.989 at step 1,100 0.9835" in text
    assert "loss min 0.04145 at step 1,100 0.07972" in text
    assert "test_accuracy 0.9786" in text  # a single value needs no chart


def test_what_it_used_is_among_the_details(completed):
    assert "Used memory 2.0 GB, CPU 93 s" in said(card(payload(*completed)))


def test_without_a_service_the_last_values_still_show(completed):
    state, _ = completed
    html = card(payload(state, None))
    assert "<svg" not in html
    assert "val_accuracy 0.9835" in said(html)


def test_everything_a_user_names_is_text(completed):
    evil = "</style><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&amp;"
    state, connection = completed
    state |= {
        "display_name": evil,
        "experiment": evil,
        "target": evil,
        "notes": evil,
        "notices": [evil],
        "arguments": [evil],
    }
    state |= {"tags": {evil: evil}, "git": {evil: evil}, "models": [{"name": evil, "version": 1}]}
    state["failure"] = {"title": evil, "evidence": [evil], "traceback": evil, "mend": evil}
    state["stages"][0]["note"] = evil
    state["metrics"][0]["name"] = evil
    connection.series[evil] = connection.series.pop("val_accuracy")
    connection.log = evil.encode()
    seen = outline(card(payload(state, connection)))
    assert set(seen.tags) <= {"style", "div", "span", "b", "i", "small", "svg", "line", "text", "path", "title", "details",
                              "summary", "pre", "dl", "dt", "dd", "code"}  # fmt: skip
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name in {"href", "src"}]
    assert "<script>alert(1)</script>" in "".join(seen.text)


def test_it_needs_nothing_from_anywhere(completed):
    html = card(payload(*completed))
    assert not re.search(r"https?:|url\(|@import|<script", html)
    assert len(html) < 40_000


def test_a_state_with_nothing_but_its_status_shows(completed):
    state, _ = completed
    least = {k: state[k] for k in ("id", "experiment", "status", "recorded")}
    assert "Completed" in said(card(payload(least, None)))


@pytest.mark.parametrize(
    ("tracking", "words"),
    [
        ({"state": "synced"}, "Finalizing 0.6 s · MLflow synced"),
        ({"state": "pending", "pending": 1200}, "Finalizing 0.6 s · MLflow: 1,200 to send"),
        ({"state": "pending", "pending": 0}, "Finalizing 0.6 s · MLflow: sending"),
        ({"state": "error", "message": "refused"}, "MLflow: refused. The run's own record is complete."),
        ({"state": "off"}, "Finalizing 0.6 s test_accuracy"),
    ],
)
def test_the_published_copy_is_a_state_of_its_own(completed, tracking, words):
    state, connection = completed
    assert words in said(card(payload(state | {"tracking": tracking}, connection)))


@pytest.mark.parametrize(
    "values",
    [[5.0], [2.0, 2.0], [0.0, 0.0], [math.nan, math.inf], [-1.7e308, 1.7e308], [1e-310, 2e-310], []],
    ids=["one", "constant", "zeros", "no finite", "huge", "denormal", "none"],
)
def test_a_chart_has_no_broken_geometry(values):
    svg = chart_svg("x", [Line(0, [float(i) for i in range(len(values))], values)], 0, "")
    assert not re.search(r'="[^"]*(?:nan|inf)[^"]*"', svg)
    outline(svg)


def test_values_that_are_no_numbers_are_marked_where_they_fell():
    svg = chart_svg("loss", [Line(0, [0, 1, 2, 3], [1.0, math.nan, math.inf, 2.0])], 0, "2")
    assert re.findall(r"<title>(.*?)</title>", svg) == ["NaN at step 1", "∞ at step 2"]
    assert svg.count('class="mlt-line"') == 1
    assert re.search(r'class="mlt-line"[^>]* d="M[^L]*M', svg)  # the pen is lifted


@pytest.mark.parametrize("power", range(-12, 13))
def test_ticks_are_round_and_cover_the_range(power):
    ticks = nice_ticks(1.3 * 10.0**power, 7.7 * 10.0**power)
    assert ticks[0] <= 1.3 * 10.0**power
    assert ticks[-1] >= 7.7 * 10.0**power
    assert 2 <= len(ticks) < 10


def test_showing_a_run_loads_nothing_heavy():
    code = (
        "import sys, jupyter_mltrain.widgets.output;"
        "heavy = {'numpy', 'plotly', 'pydantic', 'httpx', 'IPython', 'ipywidgets', 'traitlets'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_several_ranks_are_told_with_the_one_that_failed_first_on_top(ranked, failed):
    html = card(payload(*ranked))
    words = said(html)
    assert "ValueError: no such batch on rank 2 First to fail: ▲ Rank 2 · worker 2 · gpu-box-1 signal 9" in words
    assert "Ranks 1 failed, 2 ended, 1 lost 481 examples/s in all" in words
    assert re.findall(r"Rank (\d)", words)[1:] == ["2", "0", "1", "3"]
    assert "&lt;no word&gt;" in html
    assert "Ranks" not in said(card(payload(*failed)))


def test_why_there_is_no_efficiency_is_said(ranked):
    state, connection = ranked
    scaling = state["ranks"]["scaling"]
    for changes, why in [
        ({"efficiency": None, "examples": None}, "efficiency: once every rank has counted"),
        ({"efficiency": None, "baseline": None}, "no efficiency: no run of one process to compare with"),
        (
            {"efficiency": None, "baseline": {"run_id": "r_1", "name": "", "examples": None}},
            "no efficiency: r_1 counted no examples",
        ),
    ]:
        state["ranks"]["scaling"] = scaling | changes
        assert f"481 examples/s in all · {why}" in said(card(payload(state, connection)))
    state["ranks"] |= {"examples": None, "scaling": None}
    assert "examples/s" not in said(card(payload(state, connection)))
