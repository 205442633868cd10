import numpy as np
import torch

from pipeline.training.distributed import Process
from pipeline.training.rows import counted, in_order


def test_rows_come_in_the_order_of_samples_without_those_that_do_not_count() -> None:
    batches = [
        counted({"score": torch.tensor([[0.5], [0.25]])}, {"weight": np.array([1.0, 1.0]), "sample": np.array([4, 1])}),
        counted({"score": torch.tensor([[1.0], [9.0]])}, {"weight": np.array([1.0, 0.0]), "sample": np.array([2, 4])}),
    ]
    assert {name: column.tolist() for name, column in in_order(batches, Process()).items()} == {
        "score": [[0.25], [1.0], [0.5]]
    }
