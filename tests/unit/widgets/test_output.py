"""The mime bundle of a run."""

from __future__ import annotations

import json

from jupyter_mltrain.errors import RunNotFound, ServiceUnavailable
from jupyter_mltrain.widgets.output import MAX_SERIES, MIME, bundle


def test_a_run_shows_in_every_front_end(completed):
    shown = bundle(*completed)
    assert list(shown) == [MIME, "text/html", "text/plain"]
    assert shown["text/plain"] == (
        "Run(Experiment: tutorial-tf-mnist,\nId: tutorial-tf-mnist_1795416000_0a1b2c3d,\nType: mltrain.scriptrun,\n"
        "Status: Completed)"
    )


def test_the_saved_payload_is_the_one_the_front_end_is_tested_with(running, completed, failed, ranked, saved):
    made = {
        "run-running": bundle(*running),
        "run-completed": bundle(*completed),
        "run-failed": bundle(*failed),
        "run-ranks": bundle(*ranked),
    }
    assert {name: shown[MIME] for name, shown in made.items()} == saved


def test_of_several_ranks_the_first_is_drawn_and_the_log_is_of_the_one_that_failed_first(ranked):
    state, connection = ranked
    shown = bundle(state, connection)
    assert [(one["name"], one["rank"]) for one in shown[MIME]["series"]] == [("loss", 0)]
    assert shown[MIME]["log"] == {"name": "user_logs/std_log_2.txt", "tail": "ValueError: no such batch"}
    assert connection.asked[-1][1]["name"] == "user_logs/std_log_2.txt"
    assert shown["text/plain"].splitlines()[3:] == [
        "Status: Failed)",
        "Ranks: 1 failed, 2 ended, 1 lost; rank 2 failed first",
        "481 examples/s in all · 92 % of 4 times calm-wren-1, one process",
        "  Rank 2 · worker 2 · gpu-box-1 · failed · step 38 · exit code 1",
        "  Rank 0 · worker 0 · gpu-box-0 · ended · step 40 · SIGTERM, ended for rank 2",
        "  Rank 1 · worker 1 · gpu-box-0 · ended · step 39 · SIGTERM, ended for rank 2",
        "  Rank 3 · worker 3 · gpu-box-1 · lost · <no word>",
    ]


def test_hundreds_of_ranks_are_a_few_lines(ranked):
    state, connection = ranked
    one = state["ranks"]["ranks"][0]
    state["processes"] = 1000
    state["ranks"]["ranks"] = [one | {"rank": number} for number in range(900)]
    shown = bundle(state, connection)
    assert len(shown["text/plain"].splitlines()) < 24
    assert "900 ended, 100 more" in shown["text/plain"]
    assert len(shown[MIME]["state"]["ranks"]["ranks"]) == 50
    assert shown["text/html"].count("<li>") == 16


def test_it_is_strict_json_also_with_nan(failed):
    text = json.dumps(bundle(*failed)[MIME], allow_nan=False)
    assert '"NaN"' in text


def test_it_is_bounded(completed):
    state, connection = completed
    state["metrics"] = [state["metrics"][0] | {"name": f"m{i}"} for i in range(200)]
    connection.series = {f"m{i}": [float(j) for j in range(10_000)] for i in range(200)}
    shown = bundle(state, connection)[MIME]
    assert len(shown["series"]) == MAX_SERIES
    assert all(len(one["values"]) <= 400 for one in shown["series"])
    assert all(one["total"] == 10_000 for one in shown["series"])
    assert len(json.dumps(shown)) < 400_000


def test_what_was_started_again_from_it_is_kept_below_it(completed):
    state, connection = completed
    again = {**state, "status": "Failed", "reruns": []}
    runs = {
        f"/v1/runs/r{number}": {**again, "id": f"r{number}", "display_name": f"again-{number}"} for number in range(7)
    }
    del runs["/v1/runs/r3"]
    series = connection.get

    def get(path, /, **params):
        if params:
            return series(path, **params)
        if path not in runs:
            raise RunNotFound("removed since")
        return runs[path]

    connection.get = get
    state["reruns"] = [f"r{number}" for number in range(7)]
    shown = bundle(state, connection)
    assert [one["run"] for one in shown[MIME]["reruns"]] == ["r2", "r4", "r5", "r6"]
    assert all("reruns" not in one and one["state"]["status"] == "Failed" for one in shown[MIME]["reruns"])
    assert shown["text/html"].count('class="mlt-card"') == 5
    assert shown["text/html"].count("<style>") == 1
    assert shown["text/html"].index(state["display_name"]) < shown["text/html"].index("again-2")


def test_a_service_that_is_gone_costs_the_charts_and_not_the_output(completed):
    class Gone:
        def get(self, path, /, **params):
            raise ServiceUnavailable("gone")

        bytes = get

    state, _ = completed
    shown = bundle(state, Gone())[MIME]
    assert shown["series"] == []
    assert shown["log"] is None
    assert shown["state"]["status"] == "Completed"


def test_no_path_of_the_machine_is_in_an_output(failed):
    state, connection = failed
    connection.log = b'Traceback:\n  File "/home/ann/.cache/x/site-packages/keras/y.py", line 3\n'
    text = json.dumps(bundle(state, connection), ensure_ascii=False)
    assert "/home/ann" not in text
    assert "…/keras/y.py" in text
