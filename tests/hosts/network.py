"""A network of its own for a host: a namespace, and a cable to this machine that can be cut."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import subprocess
from pathlib import Path

from tests.hosts.programs import call, program

_RANGE = ipaddress.ip_network("198.18.0.0/15")
"""Set aside for tests of networks: no host of anyone's is there."""


class Network:
    """`address`: of the host. Its containers reach what this machine reaches, by address translation."""

    def __init__(self, name: str, here: str, address: str) -> None:
        self.name = name
        self.here = here
        self.address = address

    @classmethod
    def make(cls, name: str, note: Path) -> Network:
        """`name`: at most 13 characters. What is made is noted first, so that `found` can take it away."""
        taken = call(program("ip"), "-json", "route")
        free = [net for net in random.sample(range(1 << 15), 32) if str(_RANGE[net * 4]) not in taken]
        made = cls(name, str(_RANGE[free[0] * 4 + 1]), str(_RANGE[free[0] * 4 + 2]))
        note.write_text(json.dumps([made.name, made.here, made.address]))
        made._build()
        return made

    @classmethod
    def found(cls, note: Path) -> Network | None:
        try:
            return cls(*json.loads(note.read_text()))
        except FileNotFoundError:
            return None

    @property
    def enter(self) -> list[str]:
        """What to begin a command line with that runs in the namespace. (`ip netns exec` would hide the cgroups.)"""
        return [program("nsenter"), f"--net=/run/netns/{self.name}"]

    def cut(self) -> None:
        """From now on packets vanish, in both directions, and nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            call(*self.enter, program("iptables"), "-I", chain, "1", "!", *self._lo(chain), "-j", "DROP")

    def mend(self) -> None:
        """Packets pass again. Also where nothing was cut."""
        for chain in ("INPUT", "OUTPUT"):
            while self._there("filter", chain, ["!", *self._lo(chain), "-j", "DROP"], inside=True):
                call(*self.enter, program("iptables"), "-D", chain, "!", *self._lo(chain), "-j", "DROP")

    def end(self) -> None:
        """Take it all away; processes in the namespace must have ended. Also where only a part was made."""
        for table, chain, rule in self._rules():
            while self._there(table, chain, rule):
                call(program("iptables"), "-t", table, "-D", chain, *rule)
        for command in (["link", "delete", f"{self.name}-h"], ["netns", "delete", self.name]):
            with contextlib.suppress(RuntimeError):
                call(program("ip"), *command)
        assert not Path(f"/run/netns/{self.name}").exists(), f"the network namespace {self.name} is left"

    def _build(self) -> None:
        ip, here, there = program("ip"), f"{self.name}-h", f"{self.name}-r"
        call(ip, "netns", "add", self.name)
        call(ip, "link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        call(ip, "address", "add", f"{self.here}/30", "dev", here)
        call(ip, "link", "set", here, "up")
        for command in (
            ["address", "add", f"{self.address}/30", "dev", there],
            ["link", "set", there, "up"],
            ["link", "set", "lo", "up"],
            ["route", "add", "default", "via", self.here],
        ):
            call(ip, "-netns", self.name, *command)
        # As every dockerd does.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for table, chain, rule in self._rules():
            call(program("iptables"), "-t", table, "-I", chain, "1", *rule)

    def _rules(self) -> list[tuple[str, str, list[str]]]:
        cable = f"{self.name}-h"
        return [
            ("nat", "POSTROUTING", ["-s", f"{self.address}/32", "!", "-o", cable, "-j", "MASQUERADE"]),
            ("filter", "FORWARD", ["-i", cable, "-j", "ACCEPT"]),
            ("filter", "FORWARD", ["-o", cable, "-j", "ACCEPT"]),
        ]

    def _there(self, table: str, chain: str, rule: list[str], *, inside: bool = False) -> bool:
        command = [*(self.enter if inside else []), program("iptables"), "-t", table, "-C", chain, *rule]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @staticmethod
    def _lo(chain: str) -> list[str]:
        return ["-i" if chain == "INPUT" else "-o", "lo"]
