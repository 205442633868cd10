"""Multi-head self-attention (Vaswani et al. 2017) and the rest of a vision transformer's block, with timm's names."""

from torch import Tensor, nn
from torch.nn import functional

from models.linear import Linear, LinearGELU


class Attention(nn.Module):
    """Self-attention of `heads` heads: [G, L, D] -> [G, L, D]; the G sequences do not see each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [G, L, D] -> [G, L, D], through the fused kernels: no matrix of weights [L, L] is kept in memory."""
        query, key, value = self._heads(x)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """Map [G, L, D] -> [G, heads, L, L]: how much of each token (last axis) every token takes; rows sum to 1."""
        query, key, _ = self._heads(x)
        return (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries, keys and values [G, heads, L, D/heads], all views of one product."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value


class Mlp(nn.Module):
    """Two linear layers with a GELU between, four times as wide inside: [..., D] -> [..., D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = LinearGELU(width, 4 * width)
        self.fc2 = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] -> [..., D]."""
        return self.fc2(self.fc1(x))
