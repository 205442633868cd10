"""Attention through fused kernels against its equation; linear layers and stochastic depth that blocks share."""

import pytest
import torch
from torch import Tensor, nn

from models.attention import Attention
from models.drop_path import DropPath, drop_path_rates
from models.linear import Linear


def test_attention_is_its_equation() -> None:
    torch.manual_seed(0)
    attention, x = Attention(12, heads=3), torch.randn(2, 5, 12)
    query, key, value = attention.qkv(x).chunk(3, dim=-1)
    heads, weights = [], []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        scores = query[..., part] @ key[..., part].mT / 2
        weights.append(scores.exp() / scores.exp().sum(-1, keepdim=True))
        heads.append(weights[-1] @ value[..., part])
    torch.testing.assert_close(attention(x), attention.proj(torch.cat(heads, dim=-1)))
    torch.testing.assert_close(attention.weights(x), torch.stack(weights, dim=1))


def test_attention_keeps_no_matrix_of_weights() -> None:
    attention, x = Attention(8, heads=2), torch.randn(1, 300, 8)
    kept: list[torch.Size] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(value.shape)
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        attention(x)
    assert kept
    assert not any(shape.count(300) > 1 for shape in kept)


@pytest.mark.parametrize("shape", [(3, 6), (3, 4, 6), (2, 3, 4, 6), (2, 2, 3, 2, 6)])
def test_linear_equals_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, theirs, x = Linear(6, 5), nn.Linear(6, 5), torch.randn(shape, requires_grad=True)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    grads = [torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()]) for layer in (ours, theirs)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-5)
    # The result lies in memory as torch's would, so that what follows needs no copy.
    assert ours(x).is_contiguous()


def test_drop_path_drops_whole_rows_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, branch = DropPath(0.25), torch.ones(4000, 2, 3)
    dropped = drop(branch)
    rows = dropped[:, 0, 0]
    assert torch.equal(dropped, rows[:, None, None].expand_as(branch))
    assert rows.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert drop.eval()(branch) is branch
    assert DropPath(0.0)(branch) is branch


def test_drop_path_rates() -> None:
    assert drop_path_rates(0.1, 1) == [0.0]
    assert drop_path_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    with torch.device("meta"):
        assert drop_path_rates(0.2, 3) == pytest.approx([0, 0.1, 0.2])
