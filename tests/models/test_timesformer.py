"""TimeSformer against the official release's names, counts and start, and against attention with dense masks."""

import hashlib
from itertools import product
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

import models
from benchmarks import direct_timesformer
from models.complexity import complexity
from models.timesformer import SCHEMES, AttentionKind, Block, resize_positions, resize_times
from pipeline.base.errors import ZoetropeError

KINDS = get_args(AttentionKind)
SMALL = {"width": 96, "depth": 3, "heads": 4, "size_px": 64}


def tiny(attention: str, **options: Any) -> Any:
    """Two blocks of 12 channels on 4 x 4 patches and 3 frames, with noise on all that starts at zero."""
    torch.manual_seed(0)
    small = {"width": 12, "depth": 2, "heads": 3, "patch_px": 8, "size_px": 32, "frames": 3, "drop_path": 0.0}
    model = models.build("timesformer_base", 5, attention=attention, **{**small, **options}).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def on_meta(num_classes: int, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.build("timesformer_base", num_classes, **options)


@pytest.mark.parametrize(
    ("num_classes", "options", "entries", "digest"),
    [
        (400, {}, 249, "96c06f2379fb195c"),
        (11, {**SMALL, "attention": "divided_space_time"}, 69, "03c959a7e1f43184"),
        (11, {**SMALL, "attention": "joint_space_time"}, 45, "39cf7c61834cbac7"),
        (11, {**SMALL, "attention": "space_only"}, 44, "284c196f34797b8a"),
        (11, {**SMALL, "depth": 2}, 49, "9be6681ce6942107"),
    ],
)
def test_state_dict_is_the_releases(num_classes: int, options: dict[str, Any], entries: int, digest: str) -> None:
    lines = [f"{key} {tuple(value.shape)}" for key, value in on_meta(num_classes, **options).state_dict().items()]
    assert len(lines) == entries
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize(
    ("name", "num_classes", "options", "parameters"),
    [
        ("timesformer_base", 400, {"attention": "space_only"}, 86_106_256),
        ("timesformer_base", 400, {"attention": "joint_space_time"}, 86_112_400),
        ("timesformer_base", 400, {}, 121_566_352),
        ("timesformer_base", 400, {"attention": "divided_space_time_cls"}, 121_566_352),
        ("timesformer_base", 400, {"attention": "local_global"}, 121_566_352),
        ("timesformer_base", 400, {"attention": "axial"}, 157_020_304),
        ("timesformer_base", 174, {"attention": "space_only"}, 85_932_462),
        ("timesformer_base", 174, {"attention": "joint_space_time"}, 85_938_606),
        ("timesformer_base", 174, {}, 121_392_558),
        ("timesformer_base", 174, {"attention": "axial"}, 156_846_510),
        ("timesformer_hr", 400, {}, 122_024_080),
        ("timesformer_l", 400, {}, 121_633_936),
        ("timesformer_l", 174, {"frames": 64}, 121_435_566),
    ],
)
def test_parameters(name: str, num_classes: int, options: dict[str, Any], parameters: int) -> None:
    assert complexity(name, num_classes, **options).parameters == parameters


@pytest.mark.parametrize(
    ("name", "options", "tera"),
    [
        ("timesformer_base", {}, 0.1958),
        ("timesformer_hr", {}, 1.7027),
        ("timesformer_l", {}, 2.3799),
        ("timesformer_base", {"attention": "joint_space_time"}, 0.1796),
        ("timesformer_base", {"attention": "space_only"}, 0.1405),
    ],
)
def test_multiply_adds_are_the_releases(name: str, options: dict[str, Any], tera: float) -> None:
    assert complexity(name, 400, **options).multiply_adds / 1e12 == pytest.approx(tera, abs=0.00005)


def masks(attention: str, size: tuple[int, int, int]) -> list[tuple[str, Tensor]]:
    """For each step its prefix and which patches meet, bool [N, N] over (h, w, t); written from the definitions."""
    height, width, _ = size
    h, w, t = torch.tensor(list(product(*(range(n) for n in size)))).T

    def same(*keys: Tensor) -> Tensor:
        return torch.stack([key[:, None] == key for key in keys]).all(0)

    return {
        "joint_space_time": [("", torch.ones(len(h), len(h), dtype=torch.bool))],
        "space_only": [("", same(t))],
        "divided_space_time": [("temporal_", same(h, w)), ("", same(t))],
        "divided_space_time_cls": [("temporal_", same(h, w)), ("", same(t))],
        "local_global": [
            ("local_", same(h >= height // 2, w >= width // 2)),
            ("", same(h % 2, w % 2, t % 2)),
        ],
        "axial": [("temporal_", same(h, w)), ("width_", same(h, t)), ("", same(w, t))],
    }[attention]


def dense(attention: Any, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over all tokens of [B, L, D] where `mask` [L, L] is true: what is taken, and weights [B, heads, L, L]."""
    query, key, value = (
        part.unflatten(2, (attention.heads, -1)).transpose(1, 2) for part in attention.qkv(x).chunk(3, dim=-1)
    )
    scores = query @ key.mT / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return attention.proj((weights @ value).transpose(1, 2).flatten(2)), weights


def with_cls(mask: Tensor, group: Tensor) -> Tensor:
    """A mask [N, N] of patches and one group of it, bool [N] -> [1 + N, 1 + N]: all see CLS, CLS sees the group."""
    full = torch.ones(1 + len(mask), 1 + len(mask), dtype=torch.bool)
    full[1:, 1:], full[0, 1:] = mask, group
    return full


def dense_block(block: Any, attention: str, tokens: Tensor, size: tuple[int, int, int]) -> Tensor:
    """A block by dense attention with masks, the release's treatment of CLS included, or the paper's."""
    *first, (_, last) = masks(attention, size)
    for prefix, mask in first:
        norm, attn, fc = (block.get_submodule(prefix + name) for name in ("norm1", "attn", "fc"))
        patches = tokens[:, 1:]
        if attention.endswith("_cls"):
            added = dense(attn, norm(tokens), with_cls(mask, mask[0]))[0][:, 1:]
        else:
            added = dense(attn, norm(patches), mask)[0]
        tokens = torch.cat([tokens[:, :1], patches + fc(added)], dim=1)
    groups = last.unique(dim=0)
    normed = block.norm1(tokens)
    taken = [dense(block.attn, normed, with_cls(last, group))[0] for group in groups]
    cls = torch.stack([each[:, :1] for each in taken]).mean(0)
    tokens = tokens + torch.cat([cls, taken[0][:, 1:]], dim=1)
    return tokens + block.mlp(block.norm2(tokens))


@pytest.mark.parametrize("attention", [kind for kind in KINDS if kind != "space_only"])
@pytest.mark.parametrize("size", [(4, 4, 4), (3, 5, 3), (2, 3, 1), (1, 1, 2)])
def test_block_equals_dense_attention_with_masks(attention: AttentionKind, size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    block, tokens = Block(12, 3, 0.0, SCHEMES[attention]), torch.randn(2, 1 + size[0] * size[1] * size[2], 12)
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.2 * torch.randn_like(p))
        expected = dense_block(block, attention, tokens, size)
        assert (block(tokens, size) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("attention", KINDS)
def test_logits_equal_dense_attention_with_masks(attention: str) -> None:
    """The whole model, at the size that it was made for: embeddings, blocks, norm, head."""
    model, x = tiny(attention), torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        patches = nn.functional.conv2d(
            x.transpose(1, 2).flatten(0, 1), model.patch_embed.proj.weight, model.patch_embed.proj.bias, stride=8
        )
        patches = patches.unflatten(0, (2, 3)).permute(0, 3, 4, 1, 2) + model.pos_embed[0, 1:].reshape(4, 4, 1, 12)
        if attention != "space_only":
            patches = patches + model.time_embed[0]
        cls = (model.cls_token + model.pos_embed[:, :1]).expand(2, -1, -1)
        if attention == "space_only":
            frames = [torch.cat([cls, patches[..., t, :].flatten(1, 2)], dim=1) for t in range(3)]
            for block in model.blocks:
                frames = [dense_block(block, attention, tokens, (4, 4, 1)) for tokens in frames]
            tokens = torch.stack(frames).mean(0)
        else:
            tokens = torch.cat([cls, patches.flatten(1, 3)], dim=1)
            for block in model.blocks:
                tokens = dense_block(block, attention, tokens, (4, 4, 3))
        torch.testing.assert_close(model(x), model.head(model.norm(tokens)[:, 0]), rtol=1e-4, atol=1e-5)


def test_divided_equals_the_direct_transcription_that_benchmarks_run() -> None:
    model, x = tiny("divided_space_time"), torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        ours = model(x)
        torch.testing.assert_close(direct_timesformer.make_direct(model)(x), ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["divided_space_time", "divided_space_time_cls", "local_global", "axial"])
def test_added_attention_starts_as_nothing_in_every_block(attention: str) -> None:
    torch.manual_seed(0)
    options: Any = {"width": 24, "depth": 3, "heads": 4, "patch_px": 8, "size_px": 32, "frames": 3, "drop_path": 0.0}
    model: Any = models.build("timesformer_base", 5, attention=attention, **options).eval()
    added = [module for name, module in model.named_modules() if name.endswith("_fc")]
    assert len(added) == 3 * len(SCHEMES[model.attention].first)
    assert not any(module.weight.any() or module.bias.any() for module in added)
    # What they are given does not matter then.
    x = torch.randn(1, 3, 3, 32, 32)
    with torch.no_grad():
        expected = model(x)
        for name, p in model.named_parameters():
            if any(f".{step}_attn." in name for step in SCHEMES[model.attention].first):
                p.normal_()
        assert torch.equal(model(x), expected)


def test_start() -> None:
    torch.manual_seed(0)
    model: Any = models.build("timesformer_base", 400, depth=1)
    assert not model.time_embed.any()
    for p in (model.pos_embed, model.cls_token, model.head.weight, model.blocks[0].temporal_attn.qkv.weight):
        assert p.std().item() == pytest.approx(0.02, rel=0.1)
    assert not any(p.any() for name, p in model.blocks.named_parameters() if name.endswith("bias"))


def test_embeddings_resize_to_the_nearest() -> None:
    positions = torch.arange(5.0).reshape(1, 5, 1)
    assert resize_positions(positions, (2, 2)) is positions
    wide = resize_positions(positions, (2, 4)).flatten().tolist()
    assert wide == [0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert resize_positions(positions, (4, 1)).flatten().tolist() == [0, 1, 1, 3, 3]
    times = torch.arange(4.0).reshape(1, 4, 1)
    assert resize_times(times, 4) is times
    assert resize_times(times, 2).flatten().tolist() == [0, 2]
    assert resize_times(times, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resize_times(times, 1).flatten().tolist() == [0]


@pytest.mark.parametrize("attention", KINDS)
def test_other_sizes_equal_a_model_made_for_them(attention: str) -> None:
    """Resized on the way or before: the same."""
    model, x = tiny(attention), torch.randn(1, 3, 5, 48, 48)
    larger = tiny(attention, size_px=48, frames=5)
    weights = dict(model.state_dict())
    weights["pos_embed"] = resize_positions(model.pos_embed, (6, 6))
    if attention != "space_only":
        weights["time_embed"] = resize_times(model.time_embed, 5)
    larger.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(model(x), larger(x))


@pytest.mark.parametrize("attention", KINDS)
def test_order_of_frames_matters_but_to_space_only(attention: str) -> None:
    model, x = tiny(attention), torch.randn(1, 3, 3, 32, 32)
    with torch.no_grad():
        same = torch.allclose(model(x), model(x[:, :, [2, 0, 1]]), atol=1e-5)
    assert same == (attention == "space_only")


def test_gradient_checkpointing_changes_memory_alone() -> None:
    """Drop path draws the same rows when a block is computed again."""
    x, grads, kept = torch.randn(2, 3, 3, 32, 32), [], [0, 0]

    def keep(value: Tensor) -> Tensor:
        kept[on] += value.numel()
        return value

    for on in (False, True):
        model = tiny("divided_space_time", gradient_checkpointing=on, drop_path=0.5).train()
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            loss = model(x).square().sum()
        loss.backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])
    assert kept[1] < kept[0] / 3


def test_wrong_input_and_design_are_refused_in_words() -> None:
    with pytest.raises(
        ZoetropeError, match=r"takes clips \[B, 3, T, H, W\] of at least 8 x 8 px, got .*\(2, 3, 32, 32\)"
    ):
        tiny("axial")(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ZoetropeError, match="at least 8 x 8 px"):
        tiny("axial")(torch.zeros(1, 3, 2, 7, 32))
    with pytest.raises(ZoetropeError, match="width=100 must be a multiple of its heads=12"):
        models.build("timesformer_base", 5, width=100)
    with pytest.raises(ZoetropeError, match="size_px=8 must hold at least one patch of patch_px=16"):
        models.build("timesformer_base", 5, size_px=8)
