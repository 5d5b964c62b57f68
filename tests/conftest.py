"""What tests of every folder can ask for."""

from hypothesis import settings

from tests.hosts.fixtures import (
    docker_engine,
    image_registry,
    podman_engine,
    pytest_collection_finish,
    remote_host,
    remote_host_of_session,
)

__all__ = [
    "docker_engine",
    "image_registry",
    "podman_engine",
    "pytest_collection_finish",
    "remote_host",
    "remote_host_of_session",
]

# How long an example takes says how busy the machine is, not whether it is right.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
