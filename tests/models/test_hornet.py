"""HorNet against the official release's names and counts, and against a transcription in the usual layout."""

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import models
from benchmarks import direct_hornet
from models.complexity import complexity
from models.hornet import Block, HorNet, HorNetMaps
from pipeline.base.errors import ZoetropeError

DESIGN: dict[str, Any] = {
    "depths": (2, 3, 18, 2),
    "orders": (2, 3, 4, 5),
    "kernel": 7,
    "scale": 1 / 3,
    "size_px": 224,
    "patch_px": 4,
    "drop_path": 0.0,
    "gradient_checkpointing": False,
}


def tiny(name: str = "hornet_tiny_gf", **options: Any) -> Any:
    """A narrow HorNet for 64 px, with layer scales that do not hide the branches."""
    torch.manual_seed(0)
    model = models.build(
        name, 5, **{"width": 8, "depths": (1, 1, 2, 1), "size_px": 64, "drop_path": 0.0, **options}
    ).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.add_(0.1 * torch.randn_like(p))
            if "gamma" in key:
                p.add_(1)
    return model


def digest(module: nn.Module) -> tuple[int, str]:
    lines = [f"{key} {tuple(value.shape)}" for key, value in module.state_dict().items()]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hornet_tiny_7x7", (560, "ae61af36b949389a")),
        ("hornet_tiny_gf", (640, "77240f2f21d3049d")),
        ("hornet_small_7x7", (560, "94d817dbbcfbf454")),
        ("hornet_small_gf", (640, "9d81b731b8fa5d0b")),
    ],
)
def test_state_dict_is_the_releases(name: str, expected: tuple[int, str]) -> None:
    with torch.device("meta"):
        assert digest(models.build(name, 1000)) == expected


def test_blocks_state_dict_is_the_releases() -> None:
    assert digest(Block(32, 2, None, 0.0)) == (18, "c8317aebcef45216")


@pytest.mark.parametrize(
    ("name", "parameters", "giga"),
    [
        ("hornet_tiny_7x7", 22_409_512, 3.968),
        ("hornet_tiny_gf", 22_991_848, 3.889),
        ("hornet_small_7x7", 49_528_264, 8.814),
        ("hornet_small_gf", 50_401_768, 8.694),
        ("hornet_base_7x7", 87_256_680, 15.6),
        ("hornet_base_gf", 88_421_352, 15.4),
        ("hornet_large_7x7", 194_542_504, 34.8),
        ("hornet_large_gf", 196_289_512, 34.6),
    ],
)
def test_parameters_and_multiply_adds(name: str, parameters: int, giga: float) -> None:
    """The last four figures of multiply-adds are ours; the papers' README has 15.6, 15.5, 34.8, 34.7 with the FFTs."""
    cost = complexity(name, 1000)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=0.0005 if giga < 10 else 0.05)


@pytest.mark.parametrize(("name", "parameters"), [("hornet_base_gf", 92_099_560), ("hornet_large_gf", 201_806_824)])
def test_parameters_at_384_px(name: str, parameters: int) -> None:
    assert complexity(name, 1000, size_px=384).parameters == parameters


@pytest.mark.parametrize(
    ("width", "size_px", "global_filter", "parameters"),
    [
        (64, 224, False, 21_897_408),
        (64, 384, True, 24_318_848),
        (96, 224, False, 48_760_608),
        (96, 384, True, 52_392_768),
        (128, 384, True, 91_076_352),
        (192, 224, False, 193_008_192),
        (192, 384, True, 200_272_512),
    ],
)
def test_parameters_of_backbones_for_dense_tasks(
    width: int, size_px: int, global_filter: bool, parameters: int
) -> None:
    with torch.device("meta"):
        maps = HorNetMaps(**{**DESIGN, "width": width, "size_px": size_px, "global_filter": global_filter})
    assert sum(p.numel() for p in maps.parameters()) == parameters


@pytest.mark.parametrize("name", ["hornet_tiny_7x7", "hornet_tiny_gf"])
@pytest.mark.parametrize("size_px", [(64, 64), (71, 45)])
def test_equals_the_transcription_that_benchmarks_run(name: str, size_px: tuple[int, int]) -> None:
    model, x = tiny(name), torch.randn(2, 3, *size_px)
    with torch.no_grad():
        ours = model(x)
        torch.testing.assert_close(direct_hornet.make_direct(model)(x), ours, rtol=1e-3, atol=1e-4)


def test_orders_kernel_and_scale_are_options() -> None:
    """Of order 1, a block multiplies by its surroundings once."""
    model = tiny("hornet_tiny_7x7", orders=(1, 1, 2, 3), kernel=3, scale=0.5)
    gnconvs = [stage[0].gnconv for stage in model.stages]
    assert [gnconv.widths for gnconv in gnconvs] == [[8], [16], [16, 32], [16, 32, 64]]
    assert {gnconv.dwconv.kernel_size for gnconv in gnconvs} == {(3, 3)}
    x, first = torch.randn(1, 8, 5, 6), gnconvs[0]
    with torch.no_grad():
        value, around = first.proj_in(x).chunk(2, 1)
        torch.testing.assert_close(first(x), first.proj_out(value * 0.5 * first.dwconv(around)))
    with pytest.raises(ZoetropeError, match=r"order 6 halves its channels 5 times, .* multiple of 32; got 8"):
        tiny(orders=(6, 3, 4, 5))


def test_start() -> None:
    torch.manual_seed(0)
    model: Any = models.build("hornet_tiny_gf", 10, depths=(1, 1, 1, 1))
    assert model.stages[0][0].gamma1.unique().tolist() == pytest.approx([1e-6])
    for module in (model.stages[2][0].pwconv1, model.stages[3][0].gnconv.proj_in, model.downsample_layers[3][1]):
        assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not module.bias.any()
    assert model.stages[2][0].gnconv.dwconv.complex_weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert isinstance(model.stages[1][0].gnconv.dwconv, nn.Conv2d)


def test_maps_for_dense_tasks() -> None:
    """They take the classifier's weights, and give its stages' maps, each behind a norm of its own."""
    classifier = tiny()
    design = {"width": 8, "depths": (1, 1, 2, 1), "size_px": 64, "global_filter": True}
    dense: Any = HorNetMaps(**{**DESIGN, **design}).eval()
    missing, unexpected = dense.load_state_dict(classifier.state_dict(), strict=False)
    assert sorted(missing) == sorted(f"norm{i}.{name}" for i in range(4) for name in ("weight", "bias"))
    assert unexpected == ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        maps = dense.maps(x)
        assert (dense.channels, dense.strides) == ([8, 16, 32, 64], [4, 8, 16, 32])
        assert [tuple(y.shape[1:]) for y in maps] == [(8, 24, 16), (16, 12, 8), (32, 6, 4), (64, 3, 2)]
        for i, (y, raw) in enumerate(zip(maps, classifier.stage_maps(x), strict=True)):
            torch.testing.assert_close(y, dense.get_submodule(f"norm{i}")(raw))


def test_maps_stay_channels_last_from_the_stem_on() -> None:
    model, seen = tiny(), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, y: seen.append(y))
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    assert len(seen) > 20
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)


def test_drop_path_leaves_branches_out() -> None:
    """Rate r drops a sample's branch: over many samples, a share r of them pass the last block's branches by."""
    torch.manual_seed(0)
    block, x = Block(8, 2, None, 0.5).train(), torch.randn(1, 8, 4, 4).expand(400, -1, -1, -1)
    with torch.no_grad():
        block.gamma1.fill_(1)
        untouched = ((block(x) - x).abs().amax((1, 2, 3)) < 1e-4).float().mean().item()
        assert untouched == pytest.approx(0.5, abs=0.08)
        assert torch.equal(block.eval()(x)[0], block(x)[1])


def test_gradient_checkpointing_changes_memory_alone() -> None:
    x, grads, kept = torch.randn(2, 3, 64, 64), [], [0, 0]

    def keep(value: Tensor) -> Tensor:
        kept[on] += value.numel()
        return value

    for on in (False, True):
        model = tiny(gradient_checkpointing=on, drop_path=0.5).train()
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            loss = model(x).square().sum()
        loss.backward()
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(grads[0], grads[1])
    assert kept[1] < kept[0] / 3


def test_too_small_images_are_refused_in_words() -> None:
    with pytest.raises(ZoetropeError, match=r"at least 32 x 32 px, got the shape \(1, 3, 31, 64\); a smaller patch_px"):
        tiny()(torch.zeros(1, 3, 31, 64))
    with pytest.raises(ZoetropeError, match=r"takes images \[B, C, H, W\]"):
        tiny()(torch.zeros(1, 3, 2, 64, 64))
    small = HorNet(
        num_classes=3, **{**DESIGN, "depths": (1, 1, 1, 1), "width": 4, "patch_px": 1, "global_filter": False}
    )
    assert small(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
