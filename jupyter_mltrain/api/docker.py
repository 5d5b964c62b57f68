"""Containers as a compute target: on this machine's engine, or on another host's.

ComputeTarget.attach(ws, "gpu-box", DockerCompute.attach_configuration("ssh://me@host"))
ComputeTarget.attach(ws, "boxes", DockerCompute.attach_configuration(hosts=["ssh://me@a", "ssh://me@b"]))
run = experiment.submit(ScriptRunConfig(".", "train.py", compute_target="gpu-box", environment="tensorflow"))
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_mltrain.api.pool import nodes, whole
from jupyter_mltrain.api.target import AttachConfiguration, ComputeTarget, path
from jupyter_mltrain.core.target import DOCKER


class DockerCompute(ComputeTarget, kind=DOCKER):
    """A Docker engine, or one that speaks its language: a container for each run."""

    @staticmethod
    def attach_configuration(
        url: str = "",
        *,
        hosts: Sequence[str | Mapping[str, Any]] = (),
        context: str = "",
        base_image: str = "",
        user: str = "",
        max_nodes: int | str | None = None,
        tls_ca: str = "",
        tls_cert: str = "",
        tls_key: str = "",
        image: str = "",
        registry: str = "",
    ) -> AttachConfiguration:
        """An engine to attach, or several as one target.

        `url`: `ssh://user@host[:port]`, `tcp://host:port` with TLS, `unix:///path`; default: the engine that the docker
        command would talk to, or the docker `context` of that name. `base_image`: what containers are made from where
        an environment names none. `user`: `uid[:gid]` or name inside the container (default: 1000:1000).
        `max_nodes`: how many containers at once (default: half the host's CPUs). `tls_ca`, `tls_cert`, `tls_key`: paths of
        PEM files for `tcp://`; keys stay where they are. `image="build"`: every environment becomes an image of its own.
        `registry`: `host[:port][/prefix]`, where an image that is built is pushed to, and pulled from by whoever needs it
        next; who may do so is said by `docker login` on this machine.

        `hosts`: further engines, each by its url or by a dict of `url` or `context`, `tls_…`, `base_image`, `user`,
        `max_nodes` (how many containers at once there), `name` and `address`. A run is on one of them, the one with most
        room; one of several nodes is on several where no host has room for all. Then its containers use the networks of
        their hosts, which reach each other by `address` (default: the host of the url; for this machine's engine the address
        that it has towards the others). `max_nodes` is for all hosts together (default: the sum), and `tls_…` for those by
        `tcp://` that have none.

        Raises `ComputeTargetException` for a number that cannot be. The engine itself is tested by `ComputeTarget.attach`.
        """
        given: dict[str, Any] = {
            "url": url,
            "context": context,
            "base_image": base_image,
            "user": user,
            "tls_ca": tls_ca,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "image": image,
            "registry": registry,
        }
        settings: dict[str, Any] = {name: str(value) for name, value in given.items() if value}
        if max_nodes is not None:
            settings["max_nodes"] = whole(max_nodes, "max_nodes")
        if hosts:
            settings["hosts"] = [one if isinstance(one, str) else _host(one) for one in hosts]
        return AttachConfiguration(DOCKER, settings)

    @property
    def url(self) -> str:
        """Where the engine is (of several, the first); empty for the one that the docker command would talk to."""
        return str(self._asked.get("settings", {}).get("url", ""))

    @property
    def hosts(self) -> builtins.list[str]:
        """The names of the target's hosts, where it has several; empty where it has one."""
        return [host["name"] for host in self._state["hosts"]]

    def list_nodes(self) -> builtins.list[dict[str, Any]]:
        """Where runs are and where the next would be, under the SDK's keys; `host`: on which of several hosts."""
        self.refresh_state()
        return nodes(self._state)

    def leftovers(self) -> builtins.list[dict[str, Any]]:
        """What of ours lies on the engine and no live run needs, each with its kind, name, bytes and why it may go."""
        return self._prune(dry_run=True)

    def prune(self) -> builtins.list[dict[str, Any]]:
        """Remove `leftovers()`, and nothing that does not carry our label; returns what was removed."""
        return self._prune(dry_run=False)

    def _prune(self, *, dry_run: bool) -> builtins.list[dict[str, Any]]:
        answer = self.workspace.connection.post(f"{path(self.name)}/prune", {"dry_run": dry_run}, timeout=600)
        return builtins.list(answer["leftovers"])


def _host(given: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {name: str(value) for name, value in given.items() if value and name != "max_nodes"}
    if given.get("max_nodes") is not None:
        settings["max_nodes"] = whole(given["max_nodes"], "max_nodes")
    return settings
