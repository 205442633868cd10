"""A trained model as it predicts fastest. Its answers stay, up to rounding.

A batch norm is folded into the convolution before it, and a GELU into the linear layer before it, which saves a pass
over their maps; channels lie last; and for a CPU weights lie as oneDNN computes with them, where PyTorch would lay them
out at every call. In mixed precision weights are cast once.
"""

import math
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.linear import Linear, LinearGELU
from models.memory_format import channels_last
from models.norms import FrozenBatchNorm2d

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
NORMS = (_BatchNorm, FrozenBatchNorm2d)
LINEARS = (nn.Linear, Linear, LinearGELU)
CAST = (*CONVOLUTIONS, *LINEARS)
"""Modules whose weights autocast casts."""
LAID_OUT: dict[int, Callable[..., Tensor]] = {
    4: torch._C._nn.mkldnn_reorder_conv2d_weight,
    5: torch._C._nn.mkldnn_reorder_conv3d_weight,
}
"""By the number of a kernel's axes."""


@dataclass
class Seen:
    """What a forward pass told: the shape that each layer takes, and the norm that alone takes a convolution's output.

    `called` are convolutions and linear layers; what a model calls only to make objects of its outputs is none.
    """

    called: set[str] = field(default_factory=set)
    shapes: dict[str, list[int]] = field(default_factory=dict)
    norms: dict[str, str] = field(default_factory=dict)


def prepare_at_first_call(model: nn.Module, twin: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> None:
    """Do what `prepare` does when a model is first called, for inputs of the size that it takes then."""

    def first(module: nn.Module, taken: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        hook.remove()
        inputs = {name: _on_meta(x) for name, x in named.items()}
        prepare(module, twin(), *map(_on_meta, taken), dtype=dtype, **inputs)

    hook = model.register_forward_pre_hook(first, with_kwargs=True)


def _on_meta(x: Tensor) -> Tensor:
    """Return a batch of one in the shape of `x`."""
    return torch.empty(1, *x.shape[1:], dtype=x.dtype, device="meta")


def prepare(
    model: nn.Module, twin: nn.Module, *inputs: Tensor, dtype: torch.dtype = torch.float32, **named: Tensor
) -> None:
    """Bring a model of `models` in float32 into the form in which it predicts fastest, in place, for good.

    Not a user's own: it may read a convolution's weights itself, which have another form then, or ask for values that
    the meta device does not have.

    twin:   the same model on the meta device, where nothing is computed; `inputs` and `named` are one of its batches
    dtype:  what it computes in; other than float32, the model is to be called with autocast of that type
    """
    seen = look(twin.eval(), *inputs, **named)
    modules = dict(model.named_modules())
    for name, norm in seen.norms.items():
        modules[name] = fuse_conv_bn_eval(modules[name], modules[norm])
        model.set_submodule(name, modules[name])
        model.set_submodule(norm, nn.Identity())
    channels_last(model)
    if dtype != torch.float32:
        for name in seen.called:
            modules[name].to(dtype)  # once, where autocast would at every call
    for name, shape in seen.shapes.items():
        if can_be_packed(module := modules[name]):
            packed = PackedLinear if isinstance(module, nn.Linear) else Packed
            model.set_submodule(name, packed(module, shape))


@torch.no_grad()
def look(model: nn.Module, *inputs: Tensor, **named: Tensor) -> Seen:
    """Follow one forward pass of a model in evaluation.

    A pair is a convolution and a norm that always follow each other, where nothing else reads what is between them.
    """
    made: dict[int, tuple[str, Tensor]] = {}  # what convolutions gave, kept, so that no other has its id
    takers: dict[str, list[str]] = {}
    given: dict[str, list[str]] = {}
    seen, uses = Seen(), _Uses(made)
    hooks = []

    def gave(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, taken: tuple[Tensor, ...], result: Tensor) -> None:
            made[id(result)] = name, result

        return hook

    def takes(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, taken: tuple[Tensor, ...]) -> None:
            source, _ = made.get(id(taken[0]), ("", None))
            given.setdefault(name, []).append(source)
            takers.setdefault(source, []).append(name)

        return hook

    def called(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, taken: tuple[Tensor, ...], result: Tensor) -> None:
            seen.called.add(name)
            if names[id(module)] == 1:
                seen.shapes[name] = list(taken[0].shape)

        return hook

    names = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    for name, module in model.named_modules():
        if type(module) in CAST:
            hooks.append(module.register_forward_hook(called(name)))
        if names[id(module)] > 1:  # which would be replaced under one of its names alone
            continue
        if type(module) in CONVOLUTIONS:
            hooks.append(module.register_forward_hook(gave(name)))
        elif isinstance(module, NORMS) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(takes(name)))
    with uses:
        model(*inputs, **named)
    for hook in hooks:
        hook.remove()
    calls = Counter(name for name, _ in made.values())
    shared = {name for key, (name, _) in made.items() if uses.counts[key] != 1}
    for name, norms in takers.items():
        alone = len(norms) == calls[name] and len(set(norms)) == 1 and set(given[norms[0]]) == {name}
        if name and alone and name not in shared:
            seen.norms[name] = norms[0]
    return seen


class _Uses(TorchDispatchMode):
    """Counts the operations that read each of some tensors, by their ids."""

    def __init__(self, of: Container[int]) -> None:
        super().__init__()
        self.of, self.counts = of, Counter[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts.update({id(each) for each in tree_leaves((args, kwargs)) if id(each) in self.of})
        return func(*args, **(kwargs or {}))


def can_be_packed(module: nn.Module) -> bool:
    """Tell whether it is a layer that oneDNN computes here with weights that lie as it wants them."""
    if isinstance(module, nn.Conv2d | nn.Conv3d) and (
        module.padding_mode != "zeros" or isinstance(module.padding, str)
    ):
        return False
    return (
        type(module) in CAST
        and torch.backends.mkldnn.is_available()
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
    )


class Packed(nn.Module):
    """A convolution in float32 whose weights lie as oneDNN wants them for inputs of `shape`; it takes others, too."""

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, shape: list[int]) -> None:
        super().__init__()
        self.stride = conv.stride  # which patch embeddings are asked for
        self.how = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        weight = conv.weight.detach()
        self.weight = LAID_OUT[weight.ndim](weight.to_mkldnn(), *self.how, shape)
        self.bias = None if conv.bias is None else conv.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, (T,) H, W] as the convolution does."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, "none", [], "")
        return out


class PackedLinear(nn.Module):
    """A linear layer in float32 whose weights lie as oneDNN wants them, and the GELU behind it if there is one."""

    def __init__(self, linear: nn.Linear, shape: list[int]) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features  # which models ask for
        rows = math.prod(shape[:-1])
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), rows)
        self.bias = None if linear.bias is None else linear.bias.detach()
        self.gelu = isinstance(linear, LinearGELU)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., C] -> [..., out_features]."""
        attr = "gelu" if self.gelu else "none"
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, attr, [], "none")
        return out
