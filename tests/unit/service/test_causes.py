"""The words of Horovod 0.28 and TensorFlow 2.12 and 2.21, as they are."""

from __future__ import annotations

import pytest

from jupyter_mltrain.service.causes import cause_of, words

FAILED = "tensorflow.python.framework.errors_impl.FailedPreconditionError: "
EAGER = (
    FAILED
    + "{{function_node __wrapped__HorovodAllreduce_device_/job:localhost/replica:0/task:0/device:CPU:0}} Mismatched ALLREDUCE"
    " tensor shapes: One rank sent a tensor of shape [2], but another rank sent a tensor of shape [3]. [Op:HorovodAllreduce]"
    " name: gradients/dense/kernel"
)
GATHER = (
    FAILED
    + "Mismatched ALLGATHER tensor shapes: One rank sent a tensor with dimension 1 equal to 3, but another rank sent a"
    " tensor with dimension 1 equal to 2. [Op:HorovodAllgather] name: w"
)
TYPES = (
    FAILED
    + "Mismatched data types: One rank had type float32, but another rank had type float64. [Op:HorovodAllreduce]"
)
GRAPH = (
    FAILED
    + """Graph execution error:

Detected at node DistributedSGD_Allreduce/cond_2/HorovodAllreduce_grads_2_0 defined at (most recent call last):
  File "train.py", line 11, in <module>

Mismatched ALLREDUCE tensor shapes: One rank sent a tensor of shape [4, 1], but another rank sent a tensor of shape [5, 1].
\t [[{{node DistributedSGD_Allreduce/cond_2/HorovodAllreduce_grads_2_0}}]] [Op:__inference_train_function_604]
"""
)
COLLECTIVE = """tensorflow.python.framework.errors_impl.InvalidArgumentError: Graph execution error:

Detected at node CollectiveReduceV2 defined at (most recent call last):
  File "train.py", line 12, in <module>

Collective ops is aborted by: Shape mismatch in the collective instance 100. Op at device /job:worker/replica:0/task:1/device:\
CPU:0 expected shape [3] but another member in the group expected shape [2]. This is likely due to different input shapes.
Additional GRPC error information from remote target /job:worker/replica:0/task:0 while calling /tensorflow.WorkerService:
The error could be from a previous operation. Restart your program to reset.
\t [[{{node CollectiveReduceV2}}]] [Op:__inference_step_31]
"""


@pytest.mark.parametrize(
    ("said", "ranks", "title"),
    [
        (
            EAGER,
            2,
            "Ranks 0 and 1 disagree on the shape of a tensor 'gradients/dense/kernel' (allreduce), told by rank 1: one has [2], the other [3].",
        ),
        (
            GRAPH,
            4,
            (
                "The 4 ranks disagree on the shape of a tensor 'DistributedSGD_Allreduce/cond_2/HorovodAllreduce_grads_2_0' (allreduce),"
                " told by rank 1: one has [4, 1], another [5, 1]."
            ),
        ),
        (
            GATHER,
            2,
            (
                "Ranks 0 and 1 disagree on the shape of a tensor 'w' (allgather), told by rank 1: one sent a tensor with dimension 1"
                " equal to 3, the other sent a tensor with dimension 1 equal to 2."
            ),
        ),
        (
            TYPES,
            3,
            "The 3 ranks disagree on the data types of a tensor, told by rank 1: one had type float32, another had type float64.",
        ),
        (
            COLLECTIVE,
            2,
            (
                "Ranks 0 and 1 disagree on the shape of a tensor 'CollectiveReduceV2' (collective 100, told by rank 1): worker 1 has [3],"
                " the other rank [2]."
            ),
        ),
        (
            "RuntimeError: Wait timeout after 5 seconds for key(s): 1. You may want to increase",
            2,
            "Rank 1 gave up waiting for the others after 5 s, its HOROVOD_GLOO_TIMEOUT_SECONDS.",
        ),
        (
            "tensorflow.python.framework.errors_impl.UnknownError: Could not start gRPC server",
            2,
            "Rank 1 could not listen at its address of TF_CONFIG: somebody else took the port.",
        ),
    ],
)
def test_what_they_mean(said: str, ranks: int, title: str) -> None:
    cause = cause_of(said, 1, ranks)
    assert cause is not None
    assert cause.title == title
    assert cause.mend


def test_what_speaks_for_itself_is_left_alone() -> None:
    assert cause_of("ValueError: no such batch", 1, 2) is None
    assert words("ValueError: no such batch\nmore") == "ValueError: no such batch"


def test_an_exception_of_a_graph_is_what_it_says_at_its_end() -> None:
    assert words(GRAPH).startswith(FAILED + "Mismatched ALLREDUCE tensor shapes: One rank")
    assert words("E: Graph execution error:") == "E: Graph execution error:"
