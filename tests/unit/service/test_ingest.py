"""Taking a run's records in: one at a time for a run, whatever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest

from jupyter_mltrain.core.compute import Frame
from jupyter_mltrain.service.ingest import Ingest, _followed, rest


@pytest.fixture
def run(tmp_path):
    (tmp_path / "streams").mkdir()
    return tmp_path


def write(run, first, last, name="r0-1.metrics"):
    with (run / "streams" / name).open("a") as file:
        file.writelines(f'["loss",{i},{float(i)},{i / 7}]\n' for i in range(first, last))


async def test_a_cancelled_reader_does_not_let_another_in_before_its_thread_is_done(run, monkeypatch):
    write(run, 0, 100)
    ingest = Ingest(run)
    inside, most, gate = 0, 0, threading.Event()
    absorb = ingest._absorb

    def slowly(flush):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate.wait(5)
        try:
            return absorb(flush)
        finally:
            inside -= 1

    monkeypatch.setattr(ingest, "_absorb", slowly)
    first = asyncio.create_task(ingest.absorb())
    await asyncio.sleep(0.02)
    first.cancel()
    second = asyncio.create_task(ingest.absorb(flush=True))
    await asyncio.sleep(0.02)
    gate.set()
    with suppress(asyncio.CancelledError):
        await first
    await second
    assert most == 1
    series, points, _ = await ingest.summary()
    assert (points, series[0]["last"]) == (100, 99 / 7)


async def test_what_another_life_took_in_is_not_taken_twice(run):
    write(run, 0, 50)
    await Ingest(run).absorb(flush=True)
    write(run, 50, 60)
    with (run / "streams" / "r0-1.metrics").open("a") as file:
        file.write('["loss",60,60.0,')  # torn: its end is still to come
    again = Ingest(run)
    await again.absorb(flush=True)
    assert (await again.summary())[1] == 60
    with (run / "streams" / "r0-1.metrics").open("a") as file:
        file.write("1.5]\n")
    await again.absorb(flush=True)
    window = await again.window((0, "loss"))
    assert window.points["step"].tolist() == list(range(61))
    assert window.points["value"][-1] == 1.5


async def test_what_comes_is_told_once(run):
    class Engine:
        capabilities = SimpleNamespace(shared_files=True)

        async def stream(self, handle, offsets):
            write(run, 0, 1)
            yield Frame("r0-9.metrics", 0, b"")
            await asyncio.sleep(0.03)

    told = []
    await Ingest(run, lambda: told.append("changed")).follow(Engine(), {})  # type: ignore[arg-type]
    # A second word of the same would make every view look again.
    assert told == ["changed"]


async def test_news_and_progress_are_told(run):
    told = []
    ingest = Ingest(run, lambda: told.append("changed"))
    ingest.news = lambda: told.append("news")
    await ingest.absorb()
    assert told == []
    write(run, 0, 1)
    with (run / "streams" / "r0-9.metrics").open("a") as file:
        file.write('{"k":"progress","label":"epoch","value":1,"total":4,"t":1.0}\n{"k":"invented"}\nno record\n')
    with (run / "streams" / "r1-8.metrics").open("a") as file:
        file.write('{"k":"progress","label":"other","value":3,"total":5,"t":2.0}\n')
    await ingest.absorb()
    assert told == ["changed", "news"]
    _, _, extra = await ingest.summary()
    assert extra["progress"]["total"] == 4, "the progress is that of the first rank"
    assert extra["unreadable"] == 1


async def test_a_look_that_waited_for_a_busy_machine_is_not_rested_from(run, monkeypatch):
    """What counts is the processor time that reading took from the training, not how long it lasted."""

    class Engine:
        capabilities = SimpleNamespace(shared_files=True)

        async def stream(self, handle, offsets):
            write(run, 0, 1)
            yield Frame("r0-9.metrics", 0, b"")
            await asyncio.sleep(0.3)

    ingest, rests = Ingest(run), []
    take_in = ingest._take_in

    def held_up(columns):
        time.sleep(0.04)  # as where every core is the training's
        return take_in(columns)

    def spy(took):
        rests.append(took)
        return 0.0

    await ingest.absorb()  # what is loaded is loaded
    monkeypatch.setattr(ingest, "_take_in", held_up)
    monkeypatch.setattr("jupyter_mltrain.service.ingest.rest", spy)
    await ingest.follow(Engine(), {})  # type: ignore[arg-type]
    assert rests
    assert max(rests) < 0.03


def test_the_rest_keeps_all_runs_to_their_share():
    _followed.update({object(), object()})  # type: ignore[arg-type]
    try:
        assert [rest(0.0), rest(0.005), rest(5.0)] == pytest.approx([0.1, 0.2, 1.0])
    finally:
        _followed.clear()
