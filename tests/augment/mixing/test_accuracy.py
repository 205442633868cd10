"""Accuracy against a mixed target."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from augment.mixing.accuracy import attainable, hits


def test_known_answers() -> None:
    target = torch.tensor([[0.7, 0.3, 0.0], [0.25, 0.25, 0.5], [0.0, 0.0, 1.0]])
    scores = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.5, 0.2, 0.3]])
    assert hits(scores, target, 1).tolist() == pytest.approx([0.3, 0.5, 0.0])
    assert hits(scores, target, 2).tolist() == pytest.approx([1.0, 0.75, 1.0])
    assert hits(scores, target, 5).tolist() == pytest.approx([1, 1, 1])
    assert attainable(target, 1).tolist() == pytest.approx([0.7, 0.5, 1])
    assert attainable(target, 2).tolist() == pytest.approx([1, 0.75, 1])


@given(st.integers(1, 6), st.integers(0, 1000))
def test_unmixed_it_is_top_k_accuracy(k: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    scores, labels = torch.rand(7, 5, generator=random), torch.randint(5, (7,), generator=random)
    target = functional.one_hot(labels, 5).float()
    expected = (scores.argsort(1, descending=True)[:, :k] == labels[:, None]).any(1)
    assert torch.equal(hits(scores, target, k), expected.float())
    assert torch.equal(attainable(target, k), torch.ones(7))


@given(st.integers(1, 5), st.integers(0, 1000))
def test_a_perfect_model_reaches_what_is_attainable(k: int, seed: int) -> None:
    target = torch.rand(6, 4, generator=torch.Generator().manual_seed(seed)).softmax(1)
    assert torch.allclose(hits(target, target, k), attainable(target, k))
    assert (hits(target.flip(1), target, k) <= attainable(target, k) + 1e-6).all()
