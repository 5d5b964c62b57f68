"""What the processes of a run did, one by one and together, and what they used of their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mltrain.api.scaling import Scaling

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace
    from jupyter_mltrain.core.wire_ranks import RankState, RunRanks
    from jupyter_mltrain.core.wire_system import SystemUsage


class RunProcesses:
    """The part of `Run` that knows its processes."""

    id: str
    workspace: Workspace

    if TYPE_CHECKING:

        @property
        def display_name(self) -> str: ...

    def get_ranks(self) -> list[RankState]:
        """Each process of the run as it was last seen: `rank`, `role`, `node`, `host`, `status`, `step`, `behind` (seconds
        behind the fastest), `gpus`, `cpu` (percent), `memory` (bytes), `examples` (per second, lately), `exit`. What is not
        known is None."""
        return self._ranks()["ranks"]

    def scaling(self, baseline: Run | str | None = None) -> Scaling:
        """Examples per second, in all and by rank, and how well that grew with the processes (`api.scaling.Scaling`).

        `baseline`: the run of one process to compare with, or its name. By default the latest completed one of the same
        experiment, script, arguments, target and environment; where there is none the efficiency is None, and `note` says
        so. Raises `UsageError` for a baseline of several processes, `RunNotFound` for none.
        """
        key = baseline if baseline is None or isinstance(baseline, str) else baseline.id
        return Scaling.of(self.display_name, self._ranks(baseline=key))

    def _ranks(self, baseline: str | None = None) -> RunRanks:
        return self.workspace.connection.get(f"/v1/runs/{self.id}/ranks", baseline=baseline, timeout=60)

    def usage(self) -> SystemUsage:
        """What the run was given of its nodes and what it used of that: CPUs, memory, GPUs; peak and mean of each."""
        return self.workspace.connection.get(f"/v1/runs/{self.id}/system")

    def system(self, *, rank: int = 0) -> dict[str, dict[str, list[float]]]:
        """What was sampled of a rank's node: name → `times` (seconds since the epoch) and `values`, equally long.

        `cpu_percent` (of the CPUs given; 100: all of them) and `gpu<n>_percent` are means since the time before,
        `memory_bytes` and `gpu<n>_memory_bytes` (of all that use the device) the most since then. The longer a run, the
        farther apart. Empty for a run of a moment.
        """
        names = [one["name"] for one in self.usage()["series"] if one["rank"] == rank]
        path, get = f"/v1/runs/{self.id}/system/series", self.workspace.connection.get
        windows = {name: get(path, name=name, rank=rank, points=100_000) for name in names}
        return {name: {"times": one["times"], "values": one["values"]} for name, one in windows.items()}
