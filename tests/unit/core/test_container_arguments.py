"""What an environment may ask of its container, and what it may not."""

import pytest

from jupyter_mltrain.core.container_arguments import ContainerArguments, read
from jupyter_mltrain.errors import UsageError


@pytest.mark.parametrize(
    "given",
    [
        ["--shm-size", "2g", "--memory", "512m", "-e", "A=b c", "--ulimit", "memlock=-1:-1"],
        ["--shm-size=2g", "--memory=512m", "--env=A=b c", "--ulimit=memlock=-1"],
        ["--shm-size 2gb", "-m 512MiB", "--env A=b c", "--ulimit memlock=-1", "--init", "--rm"],
    ],
)
def test_the_forms_of_docker_run_mean_the_same(given):
    asked = read(given)
    assert asked == ContainerArguments(
        shm_bytes=2 << 30, memory_bytes=512 << 20, ulimits=(("memlock", -1, -1),), variables={"A": "b c"}
    )


def test_nothing_asks_for_nothing():
    assert read([]) == ContainerArguments()


def test_what_keeps_a_container_in_more_tightly_is_allowed():
    asked = read(["--network", "none", "--ipc", "private", "--pids-limit", "100", "--cpus", "1.5", "--hostname", "box"])
    assert (asked.network, asked.ipc, asked.pids, asked.cpus, asked.hostname) == ("none", "private", 100, 1.5, "box")


@pytest.mark.parametrize(
    "given",
    [
        "--privileged",
        "--privileged=true",
        "--cap-add SYS_ADMIN",
        "--cap-add=ALL",
        "-v /:/host",
        "-v/:/host",
        "--volume=/var/run/docker.sock:/var/run/docker.sock",
        "--mount type=bind,source=/,target=/host",
        "--device /dev/kmsg",
        "--security-opt seccomp=unconfined",
        "--pid host",
        "--pid=host",
        "--userns=host",
        "--uts=host",
        "--cgroupns=host",
        "--cgroup-parent=/",
        "--volumes-from other",
        "--env-file /etc/passwd",
        "--group-add 0",
        "--user 0:0",
        "-u0",
        "--entrypoint sh",
        "--gpus all",
        "--runtime=runc",
        "--name other",
        "--label org.jupyter-mltrain.kind=run",
        "--publish 80:80",
        "--add-host a:1.2.3.4",
        "--restart=always",
        "--oom-kill-disable",
        "--shm",
        "--mem 1g",
        "image",
        "-it",
        "-",
        "--",
    ],
)
def test_everything_else_is_refused_by_name(given):
    with pytest.raises(UsageError) as told:
        read([given])
    assert given.split()[0].split("=")[0][:2] in told.value.message
    assert told.value.mend


@pytest.mark.parametrize(
    "given",
    [
        *(
            "--ipc=host",
            "--ipc=container:other",
            "--network=host",
            "--net=container:x",
            "--shm-size=lots",
            "--memory=-1",
        ),
        *(
            "--ulimit=memlock",
            "--env=HOME",
            "--hostname=a/b",
            "--cpus=0",
            "--cpus=nan",
            "--pids-limit=-1",
            "--shm-size",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(given):
    with pytest.raises(UsageError, match=r"^docker\.arguments"):
        read([given])
