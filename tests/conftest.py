"""What tests of every folder can ask for."""

from tests.hosts.fixtures import docker_engine, pytest_collection_finish, remote_host, remote_host_of_session

__all__ = ["docker_engine", "pytest_collection_finish", "remote_host", "remote_host_of_session"]
