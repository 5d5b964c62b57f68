"""Two runs side by side: differences first, charts over each other."""

from __future__ import annotations

import pytest

import jupyter_mltrain as mltrain
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import RunNotFound, UsageError

SCRIPT = """
import sys
from jupyter_mltrain import Run
run = Run.get_context()
rate = float(sys.argv[2])
for i in range(20):
    run.log("loss", rate / (i + 1), step=i)
run.log("odd", float("nan") if rate > 0.5 else 1.0, step=0)
run.log("odd", 2.0, step=1)
run.log("<script>", rate)
"""


@pytest.fixture
def pair(experiment: Experiment) -> tuple[Run, Run]:
    made = [
        experiment.submit(
            ScriptRunConfig(
                script="s.py", files={"s.py": SCRIPT}, arguments=["--rate", rate, "--same"], environment="current"
            )
        )
        for rate in (0.5, 1.0)
    ]
    for run in made:
        run.wait_for_completion(wait_post_processing=True)
    return made[0], made[1]


def test_what_differs_comes_first(pair: tuple[Run, Run]) -> None:
    comparison = mltrain.compare(*pair)
    differing = dict(comparison.differences())
    assert differing["argument --rate"] == ("0.5", "1.0")
    assert differing["loss (last)"] == (0.025, 0.05)
    rows = [what for what, _ in comparison.rows()]
    assert rows.index("argument --rate") < rows.index("argument --same")
    assert "code" not in differing
    html = comparison._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt; (last)" in html
    assert html.count('class="mlt-line"') == 4  # loss and odd, a line for each run
    assert pair[0].display_name in repr(comparison)


def test_figures_are_plotlys(pair: tuple[Run, Run]) -> None:
    figure = mltrain.compare(*pair).figure()
    assert [trace.name for trace in figure.data] == [pair[0].display_name, pair[1].display_name] * 2
    loss = figure.data[0]
    assert list(loss.x) == list(range(20))
    assert loss.y[0] == 0.5
    assert figure.data[3].y == (None, 2.0)
    alone = pair[0].figure()
    assert {annotation.text for annotation in alone.layout.annotations} == {"loss", "odd", "<script>"}


def test_as_a_verb(pair: tuple[Run, Run]) -> None:
    context = Context(folder=pair[0].workspace.root)
    shown = verbs.call(context, "compare", [pair[0].display_name, pair[1].display_name, "--with", "latest"])
    assert len(shown.runs) == 3
    with pytest.raises(RunNotFound):
        verbs.call(context, "compare", ["latest", "nobody"])
    with pytest.raises(UsageError):
        mltrain.compare(pair[0])
