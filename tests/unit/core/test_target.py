from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.computes import sizes
from jupyter_mltrain.core.compute import Capacity
from jupyter_mltrain.core.target import LEAST_NODE_GB, Size, TargetDefinition, check_target_name
from jupyter_mltrain.errors import ComputeTargetException, UsageError

LAPTOP = Capacity(slots=1, cpus=2, memory_gb=25.273)
NC6 = Size("STANDARD_NC6", 6, 56, 1, "Tesla K80")


def test_a_legacy_size_is_given_what_the_machine_has_and_says_so() -> None:
    assert NC6.on(LAPTOP, 4) == Size("STANDARD_NC6", 2, 6.3, 0)
    instead = NC6.substitution(LAPTOP, 4)
    assert instead is not None
    assert (instead.kind, instead.asked) == ("compute", "STANDARD_NC6 (6 CPUs, 56 GB, 1 GPU (Tesla K80))")
    assert instead.given == "2 CPUs, 6.3 GB, no GPU"
    assert instead.reason == "this machine has 2 CPUs, 25.3 GB of memory and no GPU; 4 nodes share its memory"


def test_a_machine_that_has_it_all_gives_it_all() -> None:
    server = Capacity(slots=32, cpus=64, memory_gb=256.0, gpus=("H100",))
    assert NC6.on(server, 4) == Size("STANDARD_NC6", 6, 56, 1)
    assert NC6.substitution(server, 4) is None
    fewer = Size("STANDARD_NC12", 12, 112, 2).substitution(server, 2)
    assert fewer is not None
    assert fewer.given == "12 CPUs, 112 GB, 1 GPU"
    assert "1 GPU (H100)" in fewer.reason


@given(
    st.integers(1, 128),
    st.floats(0.1, 1000),
    st.integers(0, 8),
    st.integers(1, 64),
    st.floats(0.5, 500),
    st.integers(1, 50),
)
def test_all_nodes_fit_at_once_down_to_what_a_node_needs(
    cpus: int, memory: float, gpus: int, has_cpus: int, has: float, nodes: int
) -> None:
    machine = Capacity(1, has_cpus, has, ("G",) * 2)
    share = Size("S", cpus, memory, gpus).on(machine, nodes)
    assert 0 < share.memory_gb <= min(memory, has)
    assert share.cpus <= has_cpus
    assert share.gpus <= 2
    assert share.memory_gb * nodes <= has * (1 + 1e-9) or share.memory_gb <= LEAST_NODE_GB


def test_the_table_can_be_read() -> None:
    table = sizes.load()
    assert table["STANDARD_NC6"] == NC6
    assert all(name == name.upper() == size.name for name, size in table.items())
    # A size with a GPU says which it was: that is what a run's record tells.
    assert all(bool(size.gpus) == bool(size.gpu) for size in table.values())


@pytest.mark.parametrize(
    "entry",
    [
        "cpus = 0\nmemory_gb = 1",
        "cpus = 1",
        "cpus = 1\nmemory_gb = 0",
        "cpus = true\nmemory_gb = 1",
        "cpus = 1\nmemory_gb = 1\ngpus = -1",
        "cpus = 1\nmemory_gb = 1\nram = 2",
        "cpus = 1\nmemory_gb = '1'",
    ],
)
def test_an_entry_that_is_no_size_is_named(tmp_path, entry: str) -> None:
    own = tmp_path / "sizes.toml"
    own.write_text(f"[mine]\n{entry}\n")
    with pytest.raises(UsageError, match=r"sizes\.toml: \[MINE\] is no size"):
        sizes.load(own)
    own.write_text("[mine\n")
    with pytest.raises(UsageError, match=r"sizes\.toml: "):
        sizes.load(own)


def test_a_definition_comes_back_as_it_was_written() -> None:
    made = TargetDefinition(
        "a", size="STANDARD_D2_V2", tags={"k": "v"}, capacity=Capacity(1, 2, 3.0, ("G",)), created=1.5
    )
    raw = json.loads(json.dumps(made.to_json()))
    assert TargetDefinition.from_json({**raw, "of a newer version": 1}) == made
    assert made.same_as(TargetDefinition.from_json({**raw, "created": 9.0}))
    assert not made.same_as(TargetDefinition.from_json({**raw, "max_nodes": 9}))


@pytest.mark.parametrize("changes", [{"max_nodes": 0}, {"max_nodes": "two"}, {"capacity": {}}, {"capacity": 3}])
def test_a_file_that_is_no_definition_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ComputeTargetException):
        TargetDefinition.from_json({"name": "a", **changes})
    with pytest.raises(ComputeTargetException):
        TargetDefinition.from_json({})


@pytest.mark.parametrize("name", ["a", "gpu-cluster", "A1", "a" * 24])
def test_names_that_are_allowed(name: str) -> None:
    assert check_target_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a-", "a" * 25, "a_b", "a.b", "a/b", "..", "ü", "a\n", "LOCAL", "notebook"])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(ComputeTargetException):
        check_target_name(name)
