"""ViT against torchvision's names, shapes, counts, costs and start, and against torch's own transformer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import on_meta
from tests.models.weights.test_layouts import Rules, digest, renamed

# From our names to theirs.
TIMM: Rules = [(r"^pos_embedding$", "pos_embed")]
TORCHVISION: Rules = [
    (r"^cls_token$", "class_token"),
    (r"^pos_embedding$", "encoder.pos_embedding"),
    (r"^patch_embed\.proj\.", "conv_proj."),
    (r"^blocks\.", "encoder.layers.encoder_layer_"),
    (r"\.norm(\d)\.", r".ln_\1."),
    (r"^norm\.", "encoder.ln."),
    (r"\.attn\.qkv\.", ".self_attention.in_proj_"),
    (r"\.attn\.proj\.", ".self_attention.out_proj."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^head\.", "heads.head."),
]


def tiny(**options: Any) -> Any:
    torch.manual_seed(0)
    model = models.build("vit_b_16", 5, **{**small("vit_b_16"), **options}).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


@pytest.mark.parametrize(
    ("name", "size_px", "parameters", "giga"),
    [
        ("vit_b_16", 224, 86_567_656, 17.564),
        ("vit_b_16", 384, 86_859_496, 55.484),
        ("vit_l_16", 224, 304_326_632, 61.555),
        ("vit_l_16", 512, 305_174_504, 361.986),
    ],
)
def test_parameters_and_multiply_adds(name: str, size_px: int, parameters: int, giga: float) -> None:
    cost = complexity(name, 1000, size_px=size_px)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "known"), [("vit_b_16", (152, "2c2360f6707280a8")), ("vit_l_16", (296, "bf0dacece57186c9"))]
)
def test_names_and_shapes_are_torchvisions(name: str, known: tuple[int, str]) -> None:
    assert digest(renamed(on_meta(name, 1000).state_dict(), TORCHVISION)) == known


@pytest.mark.parametrize("rules", [TORCHVISION, TIMM], ids=["torchvision", "timm"])
def test_released_layouts_load_without_a_rest(rules: Rules) -> None:
    own, other = tiny(), models.build("vit_b_16", 5, **small("vit_b_16")).eval()
    report = load_weights(other, renamed(own.state_dict(), rules))
    assert len(report.loaded) == len(own.state_dict())
    assert (report.family, report.missing, report.unexpected, report.resized) == ("ViT", (), (), {})
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


def test_it_is_torchs_own_transformer_on_patches() -> None:
    model, x = tiny(), torch.randn(2, 3, 32, 32)
    layer = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(12, eps=1e-6), enable_nested_tensor=False).eval()
    rules: Rules = [
        (r"^blocks\.", "layers."),
        (r"\.attn\.qkv\.", ".self_attn.in_proj_"),
        (r"\.attn\.proj\.", ".self_attn.out_proj."),
        (r"\.mlp\.fc", ".linear"),
    ]
    state = {name: value for name, value in model.state_dict().items() if name.startswith(("blocks.", "norm."))}
    encoder.load_state_dict(renamed(state, rules))
    # Patches row by row, each as a vector of (channel, row, column).
    patches = x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    with torch.no_grad():
        tokens = patches @ model.patch_embed.proj.weight.flatten(1).T + model.patch_embed.proj.bias
        tokens = torch.cat([model.cls_token.expand(2, -1, -1), tokens], 1) + model.pos_embedding
        torch.testing.assert_close(model(x), model.head(encoder(tokens)[:, 0]), rtol=1e-4, atol=1e-5)


def test_positions_between_those_that_are_there() -> None:
    """Of 4 x 4 places, 7 x 7: every second is one of the old, whether a loader or the model resizes them."""
    own = tiny()
    other: Any = models.build("vit_b_16", 5, **{**small("vit_b_16"), "size_px": 56}).eval()
    report = load_weights(other, own.state_dict())
    assert report.resized == {"pos_embedding": ((1, 17, 12), (1, 50, 12))}
    old, new = own.pos_embedding[0], other.pos_embedding[0]
    assert torch.equal(old[0], new[0])
    every_second = new[1:].unflatten(0, (7, 7))[::2, ::2].flatten(0, 1)
    torch.testing.assert_close(every_second, old[1:], rtol=1e-5, atol=1e-5)
    between = new[1:].unflatten(0, (7, 7))[0, 1]
    assert (between - old[1]).abs().min() > 1e-4  # not the nearest
    x = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(own(x), other(x))


def test_start() -> None:
    torch.manual_seed(0)
    model: Any = models.build("vit_b_16", 10, width=96, depth=1)
    assert not model.head.weight.any()
    assert model.pos_embedding.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.patch_embed.proj.weight.std().item() == pytest.approx(768**-0.5, rel=0.05)
    assert model.blocks[0].attn.qkv.weight.abs().max().item() == pytest.approx((6 / (4 * 96)) ** 0.5, rel=0.01)
    assert model.blocks[0].mlp.fc1.weight.abs().max().item() == pytest.approx((6 / (5 * 96)) ** 0.5, rel=0.01)
    assert model.blocks[0].mlp.fc1.bias.std().item() == pytest.approx(1e-6, rel=0.2)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ZoetropeError, match="ViT's width=10 must be a multiple of its heads=3"):
        tiny(width=10)
    with pytest.raises(ZoetropeError, match=r"ViT takes images \[B, C, H, W\] of at least 8 x 8 px, got the shape"):
        tiny()(torch.zeros(1, 3, 7, 32))


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("vit_b_16", tmp_path)
