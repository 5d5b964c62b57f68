"""What tests of every folder can ask for."""

from tests.hosts.fixtures import docker_engine

__all__ = ["docker_engine"]
