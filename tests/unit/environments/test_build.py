"""Resolve and build against an index on loopback: the real uv, packages of a few bytes."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.environments import EnvironmentDefinition, Environments
from jupyter_mltrain.environments.build import build_log, find_built, folder_of
from jupyter_mltrain.errors import BuildFailed, MLTrainError, PythonNotFound, ResolveError, Unreachable

WAIT = 120.0


def define(environments: Environments, *pip: str, name: str = "mine", **more) -> str:
    stored = environments.register(EnvironmentDefinition(name, pip=pip, **more), log=lambda _: None)
    return f"{stored.name}:{stored.version}"


def said_by(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def site_packages(python: str) -> Path:
    return next(Path(python).parents[1].glob("lib/python*/site-packages"))


def until(what) -> None:
    deadline = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_definition_becomes_an_interpreter_with_its_packages(index, environments):
    index.wheel("alpha", "1.2", requires=("beta>=1",))
    index.wheel("beta", "1.0")
    index.wheel("beta", "2.0")
    log: list[str] = []
    ready = environments.prepare(define(environments, "alpha"), log=log.append)
    assert ready.packages == ("alpha==1.2", "beta==2.0")
    assert not ready.cached
    assert said_by(ready.prepared.python, "import alpha, beta; print(alpha.version, beta.version)") == "1.2 2.0"
    assert "--hash=sha256:" in ready.lock
    assert any(line.startswith("Ready: 2 packages") for line in log)
    assert build_log(ready.prepared.key).read_text().splitlines() == log


def test_a_ready_environment_asks_nobody_and_takes_no_time(index, environments, tmp_path):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    first = environments.prepare(reference, log=lambda _: None)
    index.requests.clear()
    index.close()
    again = Environments(tmp_path / "workspace" / "environments").prepare(reference, log=pytest.fail)
    assert again.cached
    assert again.prepared == first.prepared
    assert again.lock == first.lock
    assert index.requests == []


def test_a_version_keeps_its_packages_until_it_is_renewed(index, environments):
    index.wheel("alpha", "1.0")
    reference = define(environments, "alpha")
    index.wheel("alpha", "2.0")
    assert environments.prepare(reference, log=lambda _: None).packages == ("alpha==1.0",)
    definition = EnvironmentDefinition("mine", pip=("alpha",))
    assert environments.register(definition, log=lambda _: None).version == 1
    assert environments.register(definition, log=lambda _: None, renew=True).version == 2
    assert environments.prepare("mine", log=lambda _: None).packages == ("alpha==2.0",)
    assert environments.prepare("mine:1", log=lambda _: None).packages == ("alpha==1.0",)


def test_editing_one_environment_changes_no_other(index, environments):
    index.wheel("shared", "1.0")
    index.wheel("one", "1.0")
    index.wheel("two", "1.0")
    index.wheel("three", "1.0")
    first = environments.prepare(define(environments, "shared", "one", name="one"), log=lambda _: None)
    second = environments.prepare(define(environments, "shared", "two", name="two"), log=lambda _: None)
    edited = site_packages(first.prepared.python) / "shared.py"
    with edited.open("r+") as file:  # in place: a hard link would show it elsewhere
        file.write("version = 'edited'\n")
    third = environments.prepare(define(environments, "shared", "three", name="three"), log=lambda _: None)
    question = "import shared; print(shared.version)"
    assert said_by(first.prepared.python, question) == "edited"
    assert said_by(second.prepared.python, question) == "1.0"
    assert said_by(third.prepared.python, question) == "1.0"
    assert edited.stat().st_nlink == 1


def test_gpu_and_cpu_are_two_builds_of_one_version(index, environments):
    index.wheel("framework_cpu")
    index.wheel("framework_gpu")
    reference = define(environments, "framework-cpu", pip_gpu=("framework-gpu",))
    cpu = environments.prepare(reference, log=lambda _: None)
    gpu = environments.prepare(reference, log=lambda _: None, gpu=True)
    assert (cpu.packages, gpu.packages) == (("framework-cpu==1.0",), ("framework-gpu==1.0",))
    assert cpu.prepared.key != gpu.prepared.key
    assert cpu.prepared.version == gpu.prepared.version


def test_state_says_what_prepare_would_have_to_do(index, environments):
    index.wheel("alpha")
    environments.store.register(EnvironmentDefinition("mine", pip=("alpha",)))
    assert environments.state("mine").state == "to resolve"
    reference = define(environments, "alpha")
    assert environments.state(reference).state == "to build"
    ready = environments.prepare(reference, log=lambda _: None)
    state = environments.state(reference)
    assert (state.state, state.key, state.packages) == ("ready", ready.prepared.key, ready.packages)


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_resolver_failure_carries_the_resolvers_words(index, environments):
    index.wheel("alpha", "1.0")
    with pytest.raises(ResolveError) as caught:
        define(environments, "alpha==9")
    assert "there is no version of alpha==9" in caught.value.message
    assert "\n" not in caught.value.message
    assert "No solution found" in caught.value.details["output"]


def test_packages_that_contradict_each_other(index, environments):
    index.wheel("alpha", requires=("beta<2",))
    index.wheel("beta", "1.0")
    index.wheel("beta", "2.0")
    with pytest.raises(ResolveError, match=r"alpha.*beta"):
        define(environments, "alpha", "beta>=2")


def test_an_index_that_does_not_answer_is_named(environments, configure_pip):
    configure_pip(index_url="http://someone:hush-hush@127.0.0.1:9/simple")
    with pytest.raises(Unreachable) as caught:
        define(environments, "alpha")
    assert "127.0.0.1:9" in caught.value.message
    assert "index" in caught.value.mend
    assert "hush-hush" not in json.dumps(caught.value.to_wire())


def test_an_index_that_refuses_access(index, environments):
    index.login = "Basic nobody"
    index.wheel("alpha")
    with pytest.raises(MLTrainError) as caught:
        define(environments, "alpha")
    assert "401" in str(caught.value) or "credentials" in json.dumps(caught.value.to_wire())


def test_a_python_that_is_not_there(environments, index):
    with pytest.raises(PythonNotFound) as caught:
        define(environments, "alpha", python="3.2")
    assert "3.2" in caught.value.message
    assert ".".join(map(str, sys.version_info[:3])) in caught.value.message


def test_a_failed_build_is_not_used_again(index, environments):
    wheel = index.wheel("alpha")
    reference = define(environments, "alpha")
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-40] + b"0" * 40)
    log: list[str] = []
    with pytest.raises(BuildFailed) as caught:
        environments.prepare(reference, log=log.append)
    key = environments.state(reference).key
    assert environments.state(reference).state == "to build"
    assert not (folder_of(key) / "venv").exists()
    assert log[-1] == f"Build failed: {caught.value.message}"
    wheel.write_bytes(whole)
    ready = environments.prepare(reference, log=lambda _: None)
    assert not ready.cached
    assert said_by(ready.prepared.python, "import alpha; print(alpha.version)") == "1.0"


def test_bytes_that_are_not_the_locked_ones_are_refused(index, environments, tmp_path):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    index.wheel("alpha", files={"alpha.py": b"version = 'evil'\n"})  # same name and version, another content
    with pytest.raises(BuildFailed, match=r"(?i)hash"):
        environments.prepare(reference, log=lambda _: None)


def test_an_environment_that_cannot_import_what_it_is_for_has_failed(index, environments):
    index.wheel("alpha", files={"alpha.py": b"raise ImportError('needs a newer processor')\n"})
    reference = define(environments, "alpha", imports=("alpha",))
    with pytest.raises(BuildFailed, match="needs a newer processor"):
        environments.prepare(reference, log=lambda _: None)
    assert environments.state(reference).state == "to build"


def test_a_locked_environment_is_built_from_uvs_cache_when_the_index_is_gone(index, environments):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    key = environments.prepare(reference, log=lambda _: None).prepared.key
    (folder_of(key) / "ready.json").unlink()
    index.close()
    log: list[str] = []
    assert not environments.prepare(reference, log=log.append).cached
    assert "Everything was in uv's cache" in log


def test_credentials_reach_no_log_and_no_file(index, environments, configure_pip, tmp_path):
    index.wheel("alpha")
    index.login = "Basic " + "c29tZW9uZTpodXNoLWh1c2g="  # someone:hush-hush
    configure_pip(index_url=index.url.replace("http://", "http://someone:hush-hush@"))
    log: list[str] = []
    environments.prepare(define(environments, "alpha"), log=log.append)
    (index.folder / "beta-1.0-py3-none-any.whl").write_bytes(b"no zip")
    (index.folder / "beta-1.0-py3-none-any.hash").write_text("0" * 64)
    with pytest.raises(MLTrainError) as caught:
        environments.prepare(define(environments, "beta", name="other"), log=log.append)
    assert "hush-hush" not in "\n".join(log) + json.dumps(caught.value.to_wire())
    for folder in (tmp_path / "workspace", tmp_path / "cache"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if b"hush-hush" in path.read_bytes()]


# --- several at once, and the end of one ----------------------------------------------------------------------------


def test_threads_that_ask_at_once_share_one_build(index, environments):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    index.hold.clear()
    logs: list[list[str]] = [[] for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(environments.prepare, reference, log=log.append) for log in logs]
        until(lambda: sum(any("Someone else is building" in line for line in log) for log in logs) == 4)
        index.hold.set()
        ready = [future.result(WAIT) for future in asked]
    assert sorted(one.cached for one in ready) == [False, True, True, True, True]
    assert len({one.prepared.python for one in ready}) == 1
    assert all(any(line.startswith("Ready: ") for line in log) for log in logs), "those who wait see the log"


def test_those_who_waited_for_a_failed_build_get_its_error(index, environments):
    wheel = index.wheel("alpha")
    reference = define(environments, "alpha")
    wheel.write_bytes(b"no wheel at all")
    index.hold.clear()
    index.requests.clear()
    logs: list[list[str]] = [[] for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(environments.prepare, reference, log=log.append) for log in logs]
        until(lambda: sum(any("Someone else is building" in line for line in log) for log in logs) == 2)
        index.hold.set()
        errors = [future.exception(WAIT) for future in asked]
    assert all(isinstance(error, BuildFailed) for error in errors), errors
    assert len({str(error) for error in errors}) == 1
    assert index.wheels_sent() == 1, "each of them tried again"


BUILDER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from jupyter_mltrain.environments import Environments
    ready = Environments(Path(sys.argv[1])).prepare(sys.argv[2], log=lambda line: print(line, flush=True))
    print("DONE", ready.cached, ready.prepared.python, flush=True)
""")


def start_builder(environments: Environments, reference: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(environments.store.folder), reference],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_processes_that_ask_at_once_share_one_build(index, environments):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    index.hold.clear()
    builders = [start_builder(environments, reference) for _ in range(3)]
    assert index.asked_for_wheel.wait(WAIT)
    index.hold.set()
    ends = [builder.communicate(timeout=WAIT)[0].splitlines()[-1] for builder in builders]
    assert sorted(end.split()[:2] for end in ends) == [["DONE", "False"], ["DONE", "True"], ["DONE", "True"]]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["venv", "download", "checking"])
def test_a_killed_build_is_never_taken_for_a_finished_one(index, environments, moment):
    slow_import = b"import time, os\ntime.sleep(0 if os.environ.get('FAST') else 30)\nversion = '1.0'\n"
    index.wheel("alpha", files={"alpha.py": slow_import})
    reference = define(environments, "alpha", imports=("alpha",))
    key = environments.state(reference).key
    if moment == "download":
        index.hold.clear()
    builder = start_builder(environments, reference)
    if moment == "download":
        assert index.asked_for_wheel.wait(WAIT)
    else:
        wanted = "Building" if moment == "venv" else "Checking"
        until(lambda: build_log(key).exists() and wanted in build_log(key).read_text())
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    assert find_built(key) is None

    os.environ["FAST"] = "1"
    try:
        log: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            again = pool.submit(environments.prepare, reference, log=log.append)
            if moment == "download":
                # The killed builder's uv is still at it, and holds the lock; nobody may build beside it.
                until(lambda: bool(log))
                assert "Someone else is building" in log[0]
                assert not any(line.startswith("Building") for line in log[2:])
                index.hold.set()
            ready = again.result(WAIT)
    finally:
        del os.environ["FAST"]
    assert not ready.cached
    assert find_built(key) is not None
    assert (site_packages(ready.prepared.python) / "alpha.py").read_bytes() == slow_import


def test_a_stopped_build_ends_at_once_and_leaves_nothing(index, environments):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    key = environments.state(reference).key
    index.hold.clear()
    index.asked_for_wheel.clear()
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(environments.prepare, reference, log=lambda _: None, cancelled=cancelled)
        assert index.asked_for_wheel.wait(WAIT)
        cancelled.set()
        started = time.monotonic()
        with pytest.raises(Stopped):
            asked.result(WAIT)
    assert time.monotonic() - started < WAIT
    assert not (folder_of(key) / "venv").exists()
    index.hold.set()
    assert not environments.prepare(reference, log=lambda _: None).cached


def test_a_stop_ends_the_check_too(index, environments):
    index.wheel("alpha", files={"alpha.py": b"import time\ntime.sleep(600)\n"})
    reference = define(environments, "alpha", imports=("alpha",))
    cancelled = threading.Event()

    def log(line: str) -> None:
        if line.startswith("Checking"):
            cancelled.set()

    started = time.monotonic()
    with pytest.raises(Stopped):
        environments.prepare(reference, log=log, cancelled=cancelled)
    assert time.monotonic() - started < 300
    assert environments.state(reference).state == "to build"


def test_runs_that_come_first_at_once_resolve_once(index, environments):
    index.wheel("alpha")
    environments.store.register(EnvironmentDefinition("mine", pip=("alpha",)))
    with ThreadPoolExecutor(4) as pool:
        ready = list(pool.map(lambda _: environments.prepare("mine", log=lambda _: None), range(4)))
    assert index.requests.count("/simple/alpha/") <= 2, "one for the lock, one for the build"
    assert sum(not one.cached for one in ready) == 1


def test_one_who_waits_can_stop_waiting(index, environments):
    index.wheel("alpha")
    reference = define(environments, "alpha")
    index.hold.clear()
    cancelled = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        builder = pool.submit(environments.prepare, reference, log=lambda _: None)
        assert index.asked_for_wheel.wait(WAIT)
        log: list[str] = []
        waiter = pool.submit(environments.prepare, reference, log=log.append, cancelled=cancelled)
        until(lambda: any("Someone else" in line for line in log))
        cancelled.set()
        with pytest.raises(Stopped):
            waiter.result(WAIT)
        index.hold.set()
        assert not builder.result(WAIT).cached
