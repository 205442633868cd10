"""What a TimeSformer looks at: its attention's weights, taken out as arrays to be analysed, and drawn."""

from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.attention import Attention
from models.space_time import Grouping, Size
from models.timesformer import SCHEMES, AttentionKind, TimeSformer

STEP_COLOURS = ((220, 60, 50), (50, 160, 70), (200, 60, 200))
"""Red, green and purple, for a block's steps in their order."""
QUERY_COLOUR = (40, 90, 255)
# One block's weights: for each step by its name, for each piece of the step's grouping, [B, groups, heads, L, L].
Weights = dict[str, list[Tensor]]


@torch.no_grad()
def attention_weights(model: TimeSformer, x: Tensor) -> list[Weights]:
    """Map float [B, 3, T, H, W] -> every block's weights as they are in evaluation; each row of L sums to 1.

    Steps and groups are those of `models.timesformer.SCHEMES`; in the last step CLS is the first of the L places, and
    where the scheme has CLS among the keys in the others, too: what it would take there itself is not used.
    With space_only, frames are samples of their own: B is clips times frames.
    """
    samples = len(x) * (x.shape[2] if model.attention == "space_only" else 1)
    recorded: dict[nn.Module, list[Tensor]] = {}

    def record(taken: list[Tensor], module: Attention, inputs: tuple[Tensor]) -> None:
        taken.append(module.weights(inputs[0]).unflatten(0, (samples, -1)))

    modules = [module for module in model.modules() if isinstance(module, Attention)]
    hooks = [module.register_forward_pre_hook(partial(record, recorded.setdefault(module, []))) for module in modules]
    was_training = model.training
    try:
        model.eval().features(x)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    scheme = SCHEMES[model.attention]
    return [
        {step: recorded[block.get_submodule(f"{step}_attn")] for step in scheme.first}
        | {scheme.last[0]: recorded[block.get_submodule("attn")]}
        for block in model.blocks
    ]


def cls_attention(model: TimeSformer, x: Tensor) -> Tensor:
    """Map float [B, 3, T, H, W] -> [B, depth, heads, T, h, w]: what CLS takes from every patch in each block's last
    step.

    Where CLS looks at the groups one by one and takes the mean, so does the map. What is missing to 1 in the sum over
    the patches is what CLS takes from itself.
    """
    _, grouping = SCHEMES[model.attention].last
    size = _size(model, x)
    maps = []
    for weights in attention_weights(model, x):
        rows = [group[:, :, :, 0, 1:].transpose(2, 3) for group in _last(weights)]
        maps.append(_by_frame(grouping.merge(rows, size) / sum(row.shape[1] for row in rows), len(x)))
    # [B, depth, T, h, w, heads], the heads being the last axis of every map so far.
    return torch.stack(maps, dim=1).movedim(-1, 2)


def attention_rollout(model: TimeSformer, x: Tensor) -> Tensor:
    """Map float [B, 3, T, H, W] -> [B, T, h, w]: the share of every patch in what CLS knows at the end.

    Attention rollout (Abnar and Zuidema 2020, "Quantifying attention flow in transformers"): heads are averaged, a step
    passes on half of a token and half of what it attends to. CLS's share is followed from the last step to the first,
    so that no matrix of all tokens by all tokens is made. What is missing to 1 is CLS's own.
    """
    scheme, size = SCHEMES[model.attention], _size(model, x)
    blocks = attention_weights(model, x)
    samples = len(_last(blocks[0])[0])
    cls, patches = x.new_ones(samples, 1), x.new_zeros(samples, *size, 1)
    for weights in reversed(blocks):
        name, grouping = scheme.last
        groups = sum(group.shape[1] for group in weights[name])
        passed = []
        for shares, weight in zip(grouping.split(patches), weights[name], strict=True):
            # CLS takes the mean of the groups, so that its share goes to each of them in equal parts.
            from_cls = (cls / groups)[:, None, :, None].expand(-1, shares.shape[1], -1, -1)
            passed.append(_pass_on(torch.cat([from_cls, shares], dim=2), weight))
        cls = cls / 2 + sum(group[:, :, 0].sum(1) for group in passed) / 2
        patches = patches / 2 + grouping.merge([group[:, :, 1:] for group in passed], size) / 2
        for name, grouping in reversed(scheme.first.items()):
            given = grouping.split(patches)
            if scheme.cls_is_key:  # in front of each sequence, with nothing to pass on itself
                given = [nn.functional.pad(shares, (0, 0, 1, 0)) for shares in given]
            passed = [_pass_on(*pair) for pair in zip(given, weights[name], strict=True)]
            if scheme.cls_is_key:
                cls = cls + sum(group[:, :, 0].sum(1) for group in passed) / 2
                passed = [group[:, :, 1:] for group in passed]
            patches = patches / 2 + grouping.merge(passed, size) / 2
    return _by_frame(patches, len(x)).squeeze(-1)


def neighbourhoods(attention: AttentionKind, size: Size, query: Size) -> dict[str, Tensor]:
    """Return where the patch at `query` = (row, column, frame) finds its keys in each of a block's steps.

    Bool [h, w, T] of `size` = (h, w, T) by the step's name (the paper's figure 2). CLS, which has no place, is left
    out. Which frame is looked at makes no difference to what `space_only` has: the frame itself.
    """
    scheme = SCHEMES[attention]
    steps = scheme.first | dict([scheme.last])
    if attention == "space_only":  # its frames are samples of their own
        steps = {"space": Grouping("hw")}
    grid = torch.zeros(1, *size, 1)
    grid[0][query] = 1
    return {
        name: grouping.merge(
            [group.amax(2, keepdim=True).expand_as(group) for group in grouping.split(grid)], size
        ).bool()[0, ..., 0]
        for name, grouping in steps.items()
    }


def painted_steps(
    frames: npt.NDArray[np.uint8], steps: dict[str, Tensor], query: Size, patch_px: int
) -> npt.NDArray[np.uint8]:
    """Colour the patches of each step over grey frames uint8 [T, H, W, 3], and the query in blue.

    A patch that several steps look at has the mean of their colours.
    """
    grey = frames.mean(axis=3, keepdims=True)
    places = torch.stack(list(steps.values())).permute(0, 3, 1, 2).numpy()  # [steps, T, h, w]
    places = places.repeat(patch_px, axis=2).repeat(patch_px, axis=3)
    tints = np.tensordot(places.astype(np.float32), np.array(STEP_COLOURS[: len(steps)]), axes=(0, 0))
    count = places.sum(axis=0)[..., None]
    painted = np.repeat(grey, 3, axis=3)
    height, width = places.shape[2:]  # the grid may leave out a border
    seen = painted[:, :height, :width]
    seen[:] = np.where(count > 0, 0.5 * seen + 0.5 * tints / np.maximum(count, 1), seen)
    row, column = (slice(place * patch_px, (place + 1) * patch_px) for place in query[:2])
    painted[query[2], row, column] = QUERY_COLOUR
    return painted.round().astype(np.uint8)


def overlay(frames: npt.NDArray[np.uint8], maps: Tensor) -> npt.NDArray[np.uint8]:
    """Lay colours over the grey frames uint8 [T, H, W, 3], from blue at the least of `maps` [T, h, w] to red at the
    most.

    The scale is that of the whole clip, so that frames can be compared; a constant map is blue.
    """
    span = (maps.max() - maps.min()).clamp_min(torch.finfo(maps.dtype).tiny)
    shares = ((maps - maps.min()) / span * 255).round().to(torch.uint8).cpu().numpy()
    painted = []
    for frame, share in zip(frames, shares, strict=True):
        heat = cv2.resize(share, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)
        colours = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
        grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        painted.append(cv2.addWeighted(grey, 0.6, colours, 0.4, 0))
    return np.stack(painted).astype(np.uint8)


def _pass_on(shares: Tensor, weight: Tensor) -> Tensor:
    """Map shares [B, G, L, 1] of what a step gives -> shares of what it took, by weights [B, G, heads, L, L]."""
    return weight.mean(2).transpose(2, 3) @ shares


def _by_frame(grid: Tensor, clips: int) -> Tensor:
    """Map [B, h, w, T, ...] -> [clips, T, h, w, ...].

    A clip takes the mean of frames that were samples of their own.
    """
    return grid.movedim(3, 1).reshape(clips, -1, *grid.shape[1:3], *grid.shape[4:]) * (clips / len(grid))


def _last(weights: Weights) -> list[Tensor]:
    return list(weights.values())[-1]


def _size(model: TimeSformer, x: Tensor) -> Size:
    patch_px = model.patch_embed.proj.stride[0]
    frames = 1 if model.attention == "space_only" else x.shape[2]
    return x.shape[3] // patch_px, x.shape[4] // patch_px, frames
