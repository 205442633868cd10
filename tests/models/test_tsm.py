"""TSM against the official release's names, counts and placement; it sees the order of frames, at no parameter."""

import copy
import hashlib
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.shift import TemporalShift


def on_meta(name: str, num_classes: int, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return models.build(name, num_classes, **options)


def shifted(model: nn.Module) -> list[str]:
    return [
        name.removeprefix("base_model.") for name, module in model.named_modules() if isinstance(module, TemporalShift)
    ]


@pytest.mark.parametrize(
    ("name", "num_classes", "params"),
    [
        ("tsm_resnet50", 400, 24_327_632),
        ("tsm_resnet50", 174, 23_864_558),
        ("tsm_resnet50", 27, 23_563_355),
        ("tsm_resnet101", 400, 43_319_760),
    ],
)
def test_parameters_equal_the_papers_and_tsns(name: str, num_classes: int, params: int) -> None:
    assert sum(p.numel() for p in on_meta(name, num_classes).parameters()) == params
    assert sum(p.numel() for p in on_meta(name.replace("tsm", "tsn"), num_classes).parameters()) == params


@pytest.mark.parametrize(
    ("name", "place", "entries", "digest"),
    [
        ("tsm_resnet50", "blockres", 320, "f9caec1c110d1869"),
        ("tsm_resnet50", "block", 320, "221fb69308c1d90c"),
        ("tsm_resnet101", "blockres", 626, "cc907417129c428c"),
    ],
)
def test_state_dict_is_the_releases(name: str, place: str, entries: int, digest: str) -> None:
    lines = [f"{key} {tuple(value.shape)}" for key, value in on_meta(name, 400, place=place).state_dict().items()]
    conv1 = {"blockres": "base_model.layer1.0.conv1.net.weight", "block": "base_model.layer1.0.net.conv1.weight"}
    assert f"{conv1[place]} (64, 64, 1, 1)" in lines
    assert len(lines) == entries
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize(
    ("name", "place", "shifts"),
    [
        ("tsm_resnet18", "blockres", 8),
        ("tsm_resnet34", "blockres", 16),
        ("tsm_resnet50", "blockres", 16),
        ("tsm_resnet50", "block", 16),
        ("tsm_resnet101", "blockres", 18),
        ("tsm_resnet101", "block", 33),
        ("tsm_mobilenetv2", "blockres", 10),
        ("tsm_mobilenetv2", "block", 10),
    ],
)
def test_number_of_shifts(name: str, place: str, shifts: int) -> None:
    assert len(shifted(on_meta(name, 4, place=place))) == shifts


def test_resnet101_shifts_every_other_block() -> None:
    in_layer3 = [name for name in shifted(on_meta("tsm_resnet101", 4)) if name.startswith("layer3")]
    assert in_layer3 == [f"layer3.{i}.conv1" for i in range(0, 23, 2)]


def test_mobilenetv2_shifts_where_there_is_an_identity_path() -> None:
    blocks = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
    for place, module in (("blockres", ".conv.0"), ("block", "")):
        model = on_meta("tsm_mobilenetv2", 4, place=place)
        assert shifted(model) == [f"features.{i}{module}" for i in blocks]


def test_flow_has_the_releases_count() -> None:
    assert sum(p.numel() for p in on_meta("tsm_resnet50", 400, in_channels=10).parameters()) == 24_349_584


def pair(place: str, shift: int = 8) -> tuple[Any, Any]:
    """A TSM and the TSN that has its weights."""
    torch.manual_seed(0)
    tsm = models.build("tsm_resnet18", 4, width=8, shift=shift, place=place).eval()
    tsn = models.build("tsn_resnet18", 4, width=8).eval()
    tsn.load_state_dict({key.replace(".net.", "."): value for key, value in tsm.state_dict().items()})
    return tsm, tsn


@pytest.mark.parametrize("place", ["blockres", "block"])
def test_order_of_frames_matters(place: str) -> None:
    (tsm, tsn), clips = pair(place), torch.randn(2, 3, 4, 32, 32)
    reordered = clips[:, :, [3, 2, 1, 0]]
    with torch.no_grad():
        assert (tsm.features(clips) - tsm.features(reordered)).abs().max() > 1e-2
        torch.testing.assert_close(tsn.features(clips), tsn.features(reordered))


@pytest.mark.parametrize("place", ["blockres", "block"])
def test_no_channel_to_shift_is_tsn(place: str) -> None:
    (tsm, tsn), clips = pair(place, shift=1000), torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(tsm(clips), tsn(clips))


def test_placements_differ() -> None:
    residual, whole = pair("blockres")[0], pair("block")[0]
    clips = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        assert (residual.features(clips) - whole.features(clips)).abs().max() > 1e-2


@pytest.mark.parametrize("place", ["blockres", "block"])
@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2"])
def test_channels_last_is_the_same_model(name: str, place: str) -> None:
    """Where the frames lie decides whether they are copied or read in place, for inference and for training."""
    torch.manual_seed(0)
    narrow = {"width_mult": 0.25} if name == "mobilenetv2" else {"width": 16}
    model: Any = models.build(f"tsm_{name}", 4, place=place, dropout=0.0, **narrow).double()
    clips = torch.randn(2, 3, 3, 32, 32, dtype=torch.float64)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        # Every layout has its own copy, for training moves the statistics of batch norms.
        own = copy.deepcopy(model).to(memory_format=layout)
        features = own.train().frame_features(clips)
        features.square().sum().backward()
        with torch.no_grad():
            results += [[features, own.eval().frame_features(clips), *(p.grad for p in own.base_model.parameters())]]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("place", ["blockres", "block"])
def test_one_block_against_the_definition(place: str) -> None:
    """The first block alone: frame t of the residual branch sees channel 0 of frame t+1 and channel 1 of frame t-1."""
    tsm, tsn = pair(place)
    clips = torch.randn(1, 3, 3, 32, 32)
    captured: dict[str, torch.Tensor] = {}
    # A block of "blockres" is not called as a module, so its first convolution tells what the block before gave.
    second = tsm.base_model.layer1[1] if place == "block" else tsm.base_model.layer1[1].conv1
    second.register_forward_pre_hook(lambda _, inputs: captured.update(x=inputs[0]))
    with torch.no_grad():
        tsm(clips)
        x = tsn.base_model.stem(clips.transpose(1, 2).flatten(0, 1))
        moved = x.clone()
        moved[:, 0], moved[:, 1] = 0, 0
        moved[:-1, 0], moved[1:, 1] = x[1:, 0], x[:-1, 1]
        block = tsn.base_model.layer1[0]
        expected = block(moved) if place == "block" else block.after_conv1(x, block.conv1(moved))
    torch.testing.assert_close(captured["x"], expected)
