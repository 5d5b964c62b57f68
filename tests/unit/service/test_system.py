"""What a run used of its nodes: taken in beside its metrics, never among them."""

from __future__ import annotations

import json

import pytest

from jupyter_mltrain.core.compute import Frame
from jupyter_mltrain.service.ingest import Ingest
from jupyter_mltrain.service.metrics import metric_values
from jupyter_mltrain.service.system import system_usage, system_window, used_words


@pytest.fixture
def run(tmp_path):
    (tmp_path / "streams").mkdir()
    return tmp_path


def write(run, *records, name="r0.system"):
    with (run / "streams" / name).open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


GIVEN = {"k": "given", "t": 1.0, "cpus": 4, "memory_limit": 8 * 10**9, "memory_total": 64 * 10**9, "gpus": 1}


async def test_samples_are_no_metrics(run):
    write(run, ["loss", 0, 1.0, 0.5], name="r0-7.metrics")
    write(run, GIVEN, ["cpu_percent", None, 1.0, 50.0], ["memory_bytes", None, 1.0, 10**9])
    ingest = Ingest(run)
    await ingest.absorb(flush=True)
    series, points, _ = await ingest.summary()
    assert ([one["name"] for one in series], points) == (["loss"], 1)
    assert metric_values(run / "streams") == {"loss": 0.5}
    usage = await system_usage(ingest)
    assert [one["name"] for one in usage["series"]] == ["cpu_percent", "memory_bytes"]
    assert usage["nodes"] == [
        {
            "rank": 0,
            "cpus": 4,
            "memory_limit": 8 * 10**9,
            "memory_total": 64 * 10**9,
            "gpus_given": 1,
            "gpus": [],
            "problem": "",
        }
    ]


async def test_the_mean_weighs_each_sample_by_the_time_it_stands_for(run):
    # A second at 100, two at 70, sixty-four at 10.
    write(run, *[["cpu_percent", None, at, value] for at, value in ((1.0, 100), (3.0, 70), (67.0, 10))])
    [cpu] = (await system_usage(Ingest(run)))["series"]
    assert cpu["mean"] == pytest.approx((100 + 2 * 70 + 64 * 10) / 67)
    assert (cpu["peak"], cpu["last"], cpu["count"], cpu["unit"]) == (100, 10, 3, "%")


async def test_it_grows_and_another_service_takes_it_up(run):
    write(run, ["memory_bytes", None, 1.0, 5])
    ingest = Ingest(run)
    await system_usage(ingest)
    write(run, ["memory_bytes", None, 3.0, 9])
    window = await system_window(ingest, (0, "memory_bytes"), axis="time", start=2.0, pixels=100)
    assert window.points["value"].tolist() == [9]
    await system_usage(ingest)
    write(run, ["memory_bytes", None, 5.0, 7])
    [memory] = (await system_usage(Ingest(run)))["series"]
    assert (memory["count"], memory["peak"], memory["last"]) == (3, 9, 7)


async def test_each_gpu_of_each_rank_has_its_place(run):
    told = {"k": "gpus", "t": 1.0, "gpus": [{"name": "10", "model": "H", "memory": 80}]}
    problem = {"k": "gpu_problem", "t": 1.0, "text": "no driver"}
    names = ["gpu10_memory_bytes", "gpu10_percent", "gpu2_percent", "cpu_percent"]
    write(run, told, *[[name, None, 1.0, 1] for name in names])
    write(run, problem, ["cpu_percent", None, 1.0, 1], name="r1.system")
    usage = await system_usage(Ingest(run))
    assert [(one["rank"], one["measure"], one["gpu"]) for one in usage["series"]] == [
        (0, "cpu", None),
        (0, "gpu", "2"),
        (0, "gpu", "10"),
        (0, "gpu_memory", "10"),
        (1, "cpu", None),
    ]
    assert [(node["gpus"], node["problem"]) for node in usage["nodes"]] == [
        ([{"name": "10", "model": "H", "memory": 80}], ""),
        ([], "no driver"),
    ]


async def test_what_a_script_writes_there_breaks_nothing(run):
    write(
        run,
        {"k": "given", "cpus": "many", "memory_limit": [], "t": 1.0},
        {"k": "gpus", "gpus": [7, {"name": {}}], "t": 1.0},
        ["<script>", None, 1.0, 1],
        ["cpu_percent", None, 1.0, float("nan")],
    )
    usage = await system_usage(Ingest(run))
    assert [one["name"] for one in usage["series"]] == ["cpu_percent"]
    assert (usage["nodes"][0]["cpus"], usage["nodes"][0]["memory_limit"]) == (1, None)


async def test_a_sample_alone_wakes_nobody_who_watches_the_run(run):
    news = []
    ingest = Ingest(run, lambda: news.append(1))

    class Engine:
        class capabilities:  # noqa: N801 - as an attribute
            shared_files = False

        async def stream(self, handle, offsets):
            line = b'["cpu_percent", null, 1.0, 5]\n'
            for number in range(3):
                yield Frame("r0.system", number * len(line), line)

    await ingest.follow(Engine(), {})
    assert news == []
    [cpu] = (await system_usage(ingest))["series"]
    assert cpu["count"] == 3


async def test_what_was_used_in_words_is_of_all_ranks(run):
    assert await used_words(Ingest(run)) == {}
    write(run, GIVEN, *[["cpu_percent", None, at, value] for at, value in ((1.0, 100), (11.0, 50))])
    write(run, ["memory_bytes", None, 1.0, 3 * 10**9], ["memory_bytes", None, 11.0, 10**9])
    write(run, {**GIVEN, "cpus": 1}, ["cpu_percent", None, 1.0, 100], ["memory_bytes", None, 1.0, 5], name="r1.system")
    assert await used_words(Ingest(run)) == {"memory": "3.0 GB", "CPU": "25 s"}  # 4 + 20, and 1
    write(run, *[[f"gpu{gpu}_percent", None, 1.0, 30.0 + gpu] for gpu in (0, 1)], ["gpu0_memory_bytes", None, 1.0, 8e8])
    assert (await used_words(Ingest(run))) | {"CPU": ""} == {
        "memory": "3.0 GB",
        "CPU": "",
        "GPU": "30 %",
        "GPU memory": "800 MB",
    }
