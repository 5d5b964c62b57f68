"""What an environment stands on that names no image, on an engine that has none yet."""

from __future__ import annotations

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.core.compute import EnvironmentOrder
from jupyter_mltrain.core.environment import DEFAULT_GPU_IMAGE


async def first_step(order: EnvironmentOrder, monkeypatch: pytest.MonkeyPatch, **settings: str) -> str:
    monkeypatch.setattr(images, "find", lambda *_: None)
    return (await DockerCompute(url="unix:///nobody/listens", **settings).foresee(order)).steps[0]


@pytest.mark.parametrize(
    ("asked", "settings", "base"),
    [
        ({}, {}, "python:3.11-slim-bookworm"),
        ({"python": "3.13"}, {}, "python:3.13-slim-bookworm"),
        ({"gpu": True}, {}, DEFAULT_GPU_IMAGE),
        ({"gpu": True, "image": "mine:1"}, {}, "mine:1"),
        ({"gpu": True}, {"base_image": "ours:2"}, "ours:2"),
        ({"image": "mine:1"}, {"base_image": "ours:2"}, "mine:1"),
    ],
)
async def test_gpus_bring_cuda_where_nobody_says_otherwise(asked, settings, base, monkeypatch):
    order = EnvironmentOrder(**{"name": "e", "version": 1, "key": "k", "python": "3.11", "lock": "", **asked})
    assert await first_step(order, monkeypatch, **settings) == f"pull the image {base}"


async def test_a_registry_is_asked_first(monkeypatch):
    order = EnvironmentOrder("e", 1, "k", "3.11", "", dockerfile="FROM x\n")
    tag = images.tag("base", "FROM x\n")
    step = await first_step(order, monkeypatch, registry="images.lab:5000/team")
    assert step == f"pull images.lab:5000/team/{tag.replace('/', '-')}, or build the image of the Dockerfile"
