"""One state dict against a model's: the tensors that cannot be weights, and the words."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.weights.match import match

OWN = nn.Linear(2, 3).state_dict()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: torch.ones(3, 2, device="meta"), "weight has no values (it was saved from the device `meta`)"),
        (lambda: torch.ones(3, 2).to_sparse(), "weight is sparse or nested: save it as to_dense()"),
        (lambda: torch.ones(3, 2).to_sparse_csr(), "weight is sparse or nested: save it as to_dense()"),
        (
            lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(1)]),
            "weight is sparse or nested: save it as to_dense()",
        ),
        (
            lambda: torch.quantize_per_tensor(torch.ones(3, 2), 0.1, 0, torch.qint8),
            "weight is quantised: save it as dequantize()",
        ),
        (lambda: torch.ones(3, 2, dtype=torch.complex64), "weight is of complex64, the model's of float32"),
        (lambda: torch.ones(3, 2, dtype=torch.int8), "weight holds whole numbers (int8), the model's are of float32"),
        (lambda: torch.ones(3, 2, dtype=torch.bool), "weight holds whole numbers (bool), the model's are of float32"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Sparse CSR:UserWarning", "ignore:The PyTorch API of nested:UserWarning", "ignore:torch.quantize:UserWarning"
)
def test_tensors_that_cannot_be_weights(make: Callable[[], Tensor], says: str) -> None:
    assert match(OWN, {"weight": make(), "bias": torch.ones(3)}, "w.pth").problem == f"w.pth cannot be loaded: {says}"


def test_what_fits() -> None:
    state = {"weight": torch.ones(3, 2).double(), "bias": torch.ones(3).half()}
    found = match(OWN, state, "w.pth")
    assert found.problem == ""
    assert found.origins == {"weight": "weight", "bias": "bias"}
    assert found.new["weight"] is state["weight"]
    assert match(OWN, dict(state), "v.pth").sources == found.sources
    assert match(OWN, {**state, "bias": torch.ones(3)}, "v.pth").sources != found.sources


def test_a_missing_name_has_a_nearest() -> None:
    found = match(OWN, {"weights": torch.ones(3, 2), "bias": torch.ones(3)}, "w.pth")
    assert found.problem == (
        "w.pth: these weights are not this model's: 1 missing: weight; 1 that the model does not have: weights; "
        "the nearest to weight is weights. Build the model with the options that the weights were trained with"
    )
