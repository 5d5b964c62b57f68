"""The service's end of the child process, against a child that misbehaves on demand."""

import asyncio
import contextlib
import os
import sys
import textwrap

import pytest

from jupyter_mltrain.errors import PathNotFound, TrackingError
from jupyter_mltrain.tracking import process
from jupyter_mltrain.tracking.process import Child

FAKE = textwrap.dedent("""
    import json, os, signal, sys
    say = lambda reply: print(json.dumps(reply), flush=True)
    starts = open("starts", "a+"); starts.write("x"); starts.flush()
    if os.path.exists("broken"):
        say({"id": 0, "error": {"code": "tracking", "message": "no schema", "mend": "", "details": {}}}); sys.exit()
    say({"id": 0, "ok": {"pid": os.getpid(), "args": sys.argv[1:]}})
    for line in sys.stdin:
        request = json.loads(line); op = request["op"]; args = request["args"]
        if op == "die": os.kill(os.getpid(), signal.SIGKILL)
        if op == "hang": signal.pause()
        if op == "fail":
            say({"id": request["id"], "error": {"code": "not_found.path", "message": "m", "mend": "do", "details": {"a": 1}}})
        elif op == "environment": say({"id": request["id"], "ok": {k: os.environ.get(k) for k in args["names"]}})
        else: say({"id": request["id"], "ok": [op, args]})
    open("ended", "w").close()
""")


@pytest.fixture
async def child(tmp_path):
    made = Child(tmp_path, "http://team", (sys.executable, "-S", "-c", FAKE))
    yield made
    await made.close()


async def test_it_starts_with_the_first_request_and_stays(child, tmp_path):
    assert not child.running
    assert await child.request("a", 5, x=1) == ["a", {"x": 1}]
    assert await child.request("b", 5) == ["b", {}]
    assert child.about["args"] == ["--root", str(tmp_path), "--uri", "http://team"]
    assert (tmp_path / "starts").read_text() == "x"


async def test_requests_at_once_get_their_own_answers(child):
    answers = await asyncio.gather(*(child.request("a", 5, n=n) for n in range(20)))
    assert [answer[1]["n"] for answer in answers] == list(range(20))


async def test_an_error_keeps_its_class_and_the_child(child, tmp_path):
    with pytest.raises(PathNotFound) as error:
        await child.request("fail", 5)
    assert (error.value.message, error.value.mend, error.value.details) == ("m", "do", {"a": 1})
    assert await child.request("a", 5) == ["a", {}]
    assert (tmp_path / "starts").read_text() == "x"


async def test_a_child_that_died_is_told_and_replaced(child, tmp_path):
    with pytest.raises(TrackingError, match="signal 9") as error:
        await child.request("die", 5)
    assert error.value.details == {"transient": True}
    assert await child.request("a", 5) == ["a", {}]
    assert (tmp_path / "starts").read_text() == "xx"


async def test_a_child_that_was_killed_between_requests_is_replaced(child):
    await child.request("a", 5)
    os.kill(child.about["pid"], 9)
    # Whether its end is seen before or after the request is written is chance; one lost request is allowed.
    with contextlib.suppress(TrackingError):
        await child.request("a", 5)
    assert await child.request("a", 5) == ["a", {}]


async def test_a_child_that_hangs_is_ended_and_replaced(child):
    await child.request("a", 5)
    pid = child.about["pid"]
    with pytest.raises(TrackingError, match="did not answer"):
        await child.request("hang", 0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert await child.request("a", 5) == ["a", {}]


async def test_a_request_that_is_given_up_does_not_shift_the_answers(child):
    await child.request("a", 5)
    task = asyncio.create_task(child.request("hang", 5))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await child.request("b", 5) == ["b", {}]


async def test_a_child_that_cannot_start_says_why(child, tmp_path):
    (tmp_path / "broken").touch()
    with pytest.raises(TrackingError, match="no schema"):
        await child.request("a", 5)
    (tmp_path / "broken").unlink()
    assert await child.request("a", 5) == ["a", {}]


async def test_closing_lets_it_end_by_itself(child, tmp_path):
    await child.request("a", 5)
    await child.close()
    assert (tmp_path / "ended").exists()
    assert not child.running
    await child.close()


async def test_its_environment_leads_nowhere_else(child, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    names = ["MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_HTTP_REQUEST_TIMEOUT"]
    found = await child.request("environment", 5, names=names)
    assert found == {"MLFLOW_TRACKING_URI": None, "MLFLOW_DISABLE_TELEMETRY": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "7"}


async def test_its_log_stays_small(child, tmp_path):
    (tmp_path / process.LOG).write_bytes(b"x" * (2 << 20))
    await child.request("a", 5)
    assert (tmp_path / process.LOG).stat().st_size == 0
