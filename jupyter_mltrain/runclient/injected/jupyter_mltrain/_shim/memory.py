"""A run's memory limit: a cgroup of its own where one can be made (version 1 or 2), and the kernel's OOM counters.

Where none can be made, the shim watches the tree's memory itself (`supervise.py`). RLIMIT_AS is no way: it counts
address space, of which TensorFlow reserves far more than it uses.
"""

from __future__ import annotations

import contextlib
import os

_ROUNDED = 1 << 16
"""Bytes by which the kernel may round a limit: to its pages."""


class Group:
    """The cgroup that a run's processes are in: its own with a limit, or else the one that the shim is in."""

    def __init__(self, folder: str, version: int, limit: int | None) -> None:
        self.folder = folder
        self.limit = limit
        self._version = version
        self._kills_before = self._kills()

    def add(self, pid: int) -> None:
        with open(os.path.join(self.folder, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))

    def oom_kills(self) -> int:
        """How often the kernel's OOM killer struck here since this object was made."""
        return self._kills() - self._kills_before

    def peak(self) -> int:
        """The most bytes the group ever held, page cache included; 0 if the kernel does not say."""
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        text = read(os.path.join(self.folder, name))
        return int(text) if text.isdigit() else 0

    def is_for(self, limit: int | None) -> bool:
        """Whether the group holds one run alone: it was made for it, or it is that of a container with the run's limit."""
        name = "memory.max" if self._version == 2 else "memory.limit_in_bytes"
        allowed = read(os.path.join(self.folder, name))
        near = limit is not None and allowed.isdigit() and abs(int(allowed) - limit) < _ROUNDED
        return self.limit is not None or near

    def used(self) -> int:
        """The bytes that the group holds now, without what of the page cache the kernel would give back; 0 if it does not
        say."""
        name, cache = (
            ("memory.current", "inactive_file")
            if self._version == 2
            else ("memory.usage_in_bytes", "total_inactive_file")
        )
        text = read(os.path.join(self.folder, name))
        if not text.isdigit():
            return 0
        for line in read(os.path.join(self.folder, "memory.stat")).splitlines():
            key, _, value = line.partition(" ")
            if key == cache:
                return max(0, int(text) - int(value))
        return int(text)

    def remove(self) -> None:
        """Delete the group if it was made for the run; what is still in it goes on in the parent's."""
        if self.limit is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)

    def _kills(self) -> int:
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        for line in read(os.path.join(self.folder, name)).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0


def group(name: str, limit: int | None) -> Group | None:
    """A cgroup `name` with `limit` bytes below the present one; without a limit, or where none can be made, the present
    one (its `limit` is None); None where there are no cgroups."""
    found = present("memory", ("memory.oom_control", "memory.events"))
    if found is None:
        return None
    folder, version = found
    if limit is not None:
        made = _make_v1(folder, name, limit) if version == 1 else _make_v2(folder, name, limit)
        if made is not None:
            return Group(made, version, limit)
    return Group(folder, version, None)


def present(controller: str, probes: tuple[str, str]) -> tuple[str, int] | None:
    """The folder of this process's cgroup of that controller, and the version of its hierarchy. `probes`: a file that it
    has, by version."""
    mounts: list[list[str]] = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        version = 1 if controller in controllers.split(",") else 2 if not controllers else 0
        if not version:
            continue
        for fields in mounts:
            kind = fields[fields.index("-") + 1]
            options = fields[-1].split(",")
            if (version == 1 and kind == "cgroup" and controller in options) or (version == 2 and kind == "cgroup2"):
                # The mount may show only a part of the hierarchy (containers): `fields[3]` is where it begins.
                relative = os.path.relpath(path, fields[3]) if path.startswith(fields[3]) else path.lstrip("/")
                folder = os.path.normpath(os.path.join(fields[4], relative))
                if os.path.exists(os.path.join(folder, probes[version - 1])):
                    return folder, version
    return None


def _make_v1(parent: str, name: str, limit: int) -> str | None:
    folder = os.path.join(parent, name)
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass  # left behind by a shim that was killed
    except OSError:
        return None
    try:
        _write(os.path.join(folder, "memory.limit_in_bytes"), str(limit))
    except OSError:
        os.rmdir(folder)
        return None
    with contextlib.suppress(OSError):  # counts swap too; not in every kernel
        _write(os.path.join(folder, "memory.memsw.limit_in_bytes"), str(limit))
    return folder


def _make_v2(parent: str, name: str, limit: int) -> str | None:
    # A group that has children with controllers may hold no processes itself, so the shim moves into a leaf of its
    # own first. That works only where the shim is alone in its group: in a scope that was made for it.
    folder = os.path.join(parent, name)
    leaf = os.path.join(parent, name + "-shim")
    try:
        if "memory" not in read(os.path.join(parent, "cgroup.subtree_control")).split():
            # Beside the shim at most the process that waits for it to start.
            present = {int(pid) for pid in read(os.path.join(parent, "cgroup.procs")).split()}
            if not present <= {os.getpid(), os.getppid()}:
                return None
            os.makedirs(leaf, exist_ok=True)
            for pid in present:
                _write(os.path.join(leaf, "cgroup.procs"), str(pid))
            _write(os.path.join(parent, "cgroup.subtree_control"), "+memory")
        os.makedirs(folder, exist_ok=True)
        _write(os.path.join(folder, "memory.max"), str(limit))
        with contextlib.suppress(OSError):
            _write(os.path.join(folder, "memory.swap.max"), "0")
            _write(os.path.join(folder, "memory.oom.group"), "1")
    except OSError:
        return None
    return folder


def read(path: str) -> str:
    """A small text file; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
