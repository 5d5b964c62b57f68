"""When the service asks for what: rounds, pauses, errors. The MLflow process is a double that answers by script."""

import asyncio
import subprocess
import sys

import pytest

from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.errors import InvalidName, TrackingError
from jupyter_mltrain.tracking import publisher
from jupyter_mltrain.tracking.cursor import Cursor
from jupyter_mltrain.tracking.publisher import Tracking, recorded


class FakeChild:
    """Answers `publish` with the next of `answers` (a number pending, or an error), then with 0."""

    def __init__(self, root, uri):
        self.asked = []
        self.answers = []
        self.running = False
        self.about = {}

    async def request(self, operation, timeout, **arguments):
        self.running = True
        self.asked.append((operation, arguments))
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else 0
        if isinstance(answer, Exception):
            raise answer
        return {"pending": answer, "points": 0} if operation == "publish" else [operation, arguments]

    async def close(self):
        self.running = False


@pytest.fixture
async def tracking(tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "Child", FakeChild)
    monkeypatch.setattr(publisher, "_RETRY_FIRST", 0.001)
    said = []
    made = Tracking(
        tmp_path, changed=lambda run, state: said.append((run, state["state"], state["pending"])), interval=0.01
    )
    made.said, made.child = said, made._child
    await made.start()
    yield made
    await made.close()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_slices_go_on_until_all_is_there(tracking, tmp_path):
    tracking.child.answers = [300, 20]
    assert await tracking.publish("r", tmp_path, {"status": "Running"}) == {
        "state": "synced",
        "pending": 0,
        "message": "",
    }
    assert len(tracking.child.asked) == 3
    assert tracking.said == [("r", "pending", 300), ("r", "pending", 20), ("r", "synced", 0)]


async def test_a_run_that_logs_faster_than_it_is_published_does_not_hold_the_caller(tracking, tmp_path):
    tracking.child.answers = [10, 20, 30, 40, 50, 60, 70]
    assert (await tracking.publish("r", tmp_path, {}))["state"] == "pending"
    assert len(tracking.child.asked) == 4


async def test_an_error_is_a_state_with_what_is_left(tracking, tmp_path):
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "r0-1.metrics").write_text('["a",1,1.0,1]\n["a",2,1.0,1]\n["a",3')
    tracking.child.answers = [TrackingError("the server is down")]
    assert await tracking.publish("r", tmp_path, {}) == {
        "state": "error",
        "pending": 2,
        "message": "the server is down",
    }
    assert tracking.state("r")["state"] == "error"


async def test_only_the_header_of_a_state_is_sent(tracking, tmp_path):
    await tracking.publish("r", tmp_path, {"status": "Running", "stages": ["x"] * 100, "tags": {"a": "b"}})
    assert tracking.child.asked[0][1]["state"] == {"status": "Running", "tags": {"a": "b"}}


async def test_notices_of_a_live_run_are_gathered(tracking, tmp_path):
    for n in range(50):
        tracking.notify("r", tmp_path, {"status": "Running", "notes": str(n)})
    await until(lambda: tracking.state("r")["state"] == "synced")
    assert [asked[1]["state"]["notes"] for asked in tracking.child.asked] == ["49"]


async def test_the_last_points_of_a_live_run_are_not_chased(tracking, tmp_path):
    tracking._interval = 1000.0
    tracking.child.answers = [5000, 20, 15, 10]
    tracking.notify("r", tmp_path, {"status": "Running"})
    tracking._jobs["r"].due = 0.0
    await until(lambda: tracking.state("r")["pending"] == 20)
    await asyncio.sleep(0.01)
    assert len(tracking.child.asked) == 2
    tracking.notify("r", tmp_path, {"status": "Completed"})
    await until(lambda: tracking.state("r")["state"] == "synced")


async def test_the_end_of_a_run_is_published_at_once(tracking, tmp_path):
    tracking._interval = 1000.0
    tracking.notify("r", tmp_path, {"status": "Running"})
    tracking.notify("r", tmp_path, {"status": "Completed"})
    await until(lambda: tracking.child.asked)
    assert tracking.child.asked[0][1]["state"] == {"status": "Completed"}


async def test_a_failure_is_tried_again_until_it_is_synced(tracking, tmp_path):
    tracking.child.answers = [TrackingError("down"), TrackingError("down"), TrackingError("down")]
    tracking.notify("r", tmp_path, {"status": "Completed"})
    await until(lambda: tracking.state("r")["state"] == "synced")
    assert len(tracking.child.asked) == 4
    assert [state for _, state, _ in tracking.said] == ["error", "error", "error", "synced"]


async def test_pauses_between_tries_grow(tracking, tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "_RETRY_FIRST", 2.0)
    now = 1000.0
    monkeypatch.setattr(publisher.time, "monotonic", lambda: now)
    tracking._task.cancel()
    tracking.child.answers = [TrackingError("down")] * 12
    tracking.notify("r", tmp_path, {"status": "Completed"})
    pauses = []
    for _ in range(12):
        await tracking._advance("r")
        pauses.append(tracking._jobs["r"].due - now)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]


async def test_one_long_run_does_not_keep_others_waiting(tracking, tmp_path, monkeypatch):
    monkeypatch.setattr(publisher, "_TURN", 0.0)
    tracking.child.answers = list(range(1000, 0, -1))
    tracking.notify("long", tmp_path, {"status": "Completed"})
    await until(lambda: len(tracking.child.asked) > 5)
    before = len(tracking.child.asked)
    tracking.notify("short", tmp_path, {"status": "Completed"})
    runs = lambda: [asked[1]["run_id"] for asked in tracking.child.asked]  # noqa: E731
    await until(lambda: "short" in runs())
    assert runs().index("short") <= before + 2


async def test_news_during_a_publication_is_published_too(tracking, tmp_path):
    tracking.child.answers = [5]
    tracking.notify("r", tmp_path, {"status": "Completed", "notes": "a"})
    await until(lambda: tracking.child.asked)
    tracking.notify("r", tmp_path, {"status": "Completed", "notes": "b"})
    await until(lambda: not tracking._jobs)
    assert tracking.child.asked[-1][1]["state"]["notes"] == "b"


async def test_an_idle_process_is_ended(tracking, tmp_path):
    tracking._idle = 0.01
    await tracking.publish("r", tmp_path, {})
    tracking._wake.set()
    await until(lambda: not tracking.child.running)


async def test_a_bad_name_never_reaches_mlflow(tracking, tmp_path):
    with pytest.raises(InvalidName):
        await tracking.register("r", tmp_path, Registration("<script>", "outputs/model"))
    assert tracking.child.asked == []


async def test_a_start_knows_what_is_left_from_the_record(tmp_path):
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "r0-1.metrics").write_text('["a",1,1.0,1]\n')
    (tmp_path / "streams" / "r0.log").write_text("text\n")
    assert recorded(tmp_path) == {"state": "pending", "pending": 1, "message": ""}
    Cursor("u", offsets={"r0-1.metrics": 14}, status="RUNNING").save(tmp_path)
    assert recorded(tmp_path)["state"] == "pending"
    Cursor("u", offsets={"r0-1.metrics": 14}, status="FINISHED").save(tmp_path)
    assert recorded(tmp_path) == {"state": "synced", "pending": 0, "message": ""}


def test_the_service_never_imports_mlflow():
    script = "import sys, jupyter_mltrain.tracking.publisher; print({'mlflow', 'sqlalchemy', 'google.protobuf'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


async def test_who_names_a_run_again_is_answered_though_nothing_is_new(tracking, tmp_path):
    for _ in range(3):
        tracking.said.clear()
        tracking.notify("r", tmp_path, {"status": "Completed"})
        await until(lambda: tracking.said and not tracking._jobs)
        assert tracking.said[-1] == ("r", "synced", 0)
