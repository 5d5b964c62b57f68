"""The engine `docker`: runs in containers, on this machine's engine or another host's (also Podman's, by its socket).

One mechanism for all of them: nothing is assumed to be shared with the service but the engine's API. The Docker SDK is
loaded here and nowhere else.
"""

from __future__ import annotations

from jupyter_mltrain.computes.docker.engine import DockerCompute
from jupyter_mltrain.computes.docker.hosts import DockerHosts, compute

__all__ = ["DockerCompute", "DockerHosts", "compute"]
