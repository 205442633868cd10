"""Swin against torchvision's names, shapes, counts and costs, and its windows by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import models
from models.complexity import complexity
from models.swin import MASKED, PatchMerging, SwinMaps, WindowAttention, relative_positions, shift_mask
from models.weights import load_weights
from pipeline.base.errors import ZoetropeError
from tests.models.exported import assert_onnx_agrees
from tests.models.small import small
from tests.models.test_resnet import count, on_meta
from tests.models.weights.test_layouts import Rules, State, digest, renamed

# From our names to theirs, written the other way than the code has them.
TORCHVISION: Rules = [
    (r"^downsample_layers\.0\.0\.", "features.0.0."),
    (r"^downsample_layers\.0\.1\.", "features.0.2."),
    (r"^downsample_layers\.(\d)\.", lambda found: f"features.{2 * int(found[1])}."),
    (r"^stages\.(\d)\.", lambda found: f"features.{2 * int(found[1]) + 1}."),
    (r"\.fc1\.", ".0."),
    (r"\.fc2\.", ".3."),
]
MICROSOFT: Rules = [
    (r"^downsample_layers\.0\.0\.", "patch_embed.proj."),
    (r"^downsample_layers\.0\.1\.", "patch_embed.norm."),
    (r"^downsample_layers\.(\d)\.", lambda found: f"layers.{int(found[1]) - 1}.downsample."),
    (r"^stages\.(\d)\.", r"layers.\1.blocks."),
]


def with_indices(state: State, shape: tuple[int, ...]) -> State:
    """The tables of places that files hold beside weights."""
    tables = [name.replace("bias_table", "index") for name in state if name.endswith("bias_table")]
    return state | {name: torch.zeros(shape, dtype=torch.int64) for name in tables}


def tiny(**options: Any) -> Any:
    torch.manual_seed(0)
    model = models.build("swin_t", 5, **{**small("swin_t"), **options}).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


@pytest.mark.parametrize(
    ("name", "parameters", "giga"),
    [("swin_t", 28_288_354, 4.491), ("swin_s", 49_606_258, 8.741), ("swin_b", 87_768_224, 15.431)],
)
def test_parameters_and_multiply_adds(name: str, parameters: int, giga: float) -> None:
    cost = complexity(name, 1000)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("swin_t", (185, "22f48105728f6dc4")),
        ("swin_s", (353, "eaf43af4e705f113")),
        ("swin_b", (353, "ad6975b13eefb065")),
    ],
)
def test_names_and_shapes_are_torchvisions(name: str, known: tuple[int, str]) -> None:
    assert digest(with_indices(renamed(on_meta(name, 1000).state_dict(), TORCHVISION), (2401,))) == known


@pytest.mark.parametrize(("rules", "shape"), [(TORCHVISION, (2401,)), (MICROSOFT, (49, 49))])
def test_released_layouts_load_without_a_rest(rules: Rules, shape: tuple[int, ...]) -> None:
    own, other = tiny(), models.build("swin_t", 5, **small("swin_t")).eval()
    state = with_indices(renamed(own.state_dict(), rules), shape)
    state |= {} if rules is TORCHVISION else {"layers.0.blocks.1.attn_mask": torch.zeros(9, 49, 49)}
    report = load_weights(other, state)
    assert len(report.loaded) == len(own.state_dict())
    assert (report.family, report.missing, report.unexpected, report.resized) == ("Swin", (), (), {})
    x = torch.randn(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


@pytest.mark.parametrize(
    ("width", "heads", "depths", "parameters"),
    [
        (96, 3, (2, 2, 6, 2), 27_520_698),
        (96, 3, (2, 2, 18, 2), 48_838_602),
        (128, 4, (2, 2, 18, 2), 86_745_016),
    ],
)
def test_parameters_for_dense_tasks(width: int, heads: int, depths: tuple[int, ...], parameters: int) -> None:
    design: Any = {"width": width, "heads": heads, "depths": depths}
    with torch.device("meta"):
        maps = SwinMaps(**design, patch_px=4, drop_path=0.0, gradient_checkpointing=False)
    assert count(maps) == parameters


def test_which_bias_a_pair_has() -> None:
    """Windows of 2: distances of -1, 0, 1 are 0, 1, 2; rows count threefold. Those of 7 are torchvision's."""
    assert relative_positions(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    seven = relative_positions(7)
    assert (seven[0, 0], seven[0, 48], seven[48, 0]) == (84, 0, 168)


def test_which_pairs_are_masked() -> None:
    """8 x 8 places, windows of 4, shifted by 2: nothing is cut apart, two are in two, and the last one in four."""
    mask = shift_mask((8, 8), [2, 2], 4, torch.zeros(()))
    assert mask.shape == (4, 16, 16)
    assert mask.unique().tolist() == [MASKED, 0]
    assert [len(window.unique(dim=0)) for window in mask] == [1, 2, 2, 4]
    rows, columns = mask[2].reshape(4, 4, 4, 4)[0, 0], mask[1].reshape(4, 4, 4, 4)[0, 0]
    assert rows[:, 0].tolist() == columns[0].tolist() == [0, 0, MASKED, MASKED]
    # An axis that one window spans is not shifted.
    assert [len(window.unique(dim=0)) for window in shift_mask((4, 8), [0, 2], 4, torch.zeros(()))] == [1, 2]


@pytest.mark.parametrize(("shift", "seen"), [(0, [0, 6]), (3, [4, 10])])
def test_what_a_place_attends_to(shift: int, seen: list[int]) -> None:
    """Of 21 x 21 places the windows are 0 to 6, ... or, shifted by 3, 3 to 9 and so on, of which row 5 is in one."""
    torch.manual_seed(0)
    attention = WindowAttention(6, 3, shift)
    x = torch.randn(1, 21, 21, 6, requires_grad=True)
    row = 5 + (shift > 0) * 2
    gradient = torch.autograd.grad(attention(x)[0, row, row].sum(), x)[0]
    rows = sorted(set(gradient.abs().sum((0, 3)).gt(1e-9).nonzero()[:, 0].tolist()))
    assert (rows[0], rows[-1]) == ((0, 6) if shift == 0 else (3, 9))
    corner = torch.autograd.grad(attention(x)[0, 0, 0].sum(), x)[0].abs().sum((0, 3)).gt(1e-9).nonzero()
    assert corner.max().item() == (6 if shift == 0 else 2)


def test_neighbours_merge_down_a_column_first() -> None:
    merging: Any = PatchMerging(1)
    merging.norm = nn.Identity()
    merging.reduction = nn.Identity()
    x = torch.arange(6.0).reshape(1, 1, 2, 3)  # one column is added
    assert merging(x)[0, :, 0].T.tolist() == [[0, 3, 1, 4], [2, 5, 0, 0]]


def test_start() -> None:
    torch.manual_seed(0)
    model: Any = models.build("swin_t", 10, depths=(1, 1, 1, 1))
    attention = model.stages[2][0].attn
    for weight in (attention.qkv.weight, model.head.weight, model.downsample_layers[3].reduction.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert attention.relative_position_bias_table.std().item() == pytest.approx(0.02, rel=0.05)
    assert not attention.proj.bias.any()
    rates = [block.drop_path.rate for stage in on_meta("swin_t", 10).stages for block in stage]  # type: ignore[union-attr]
    assert rates == pytest.approx([0.2 * i / 11 for i in range(12)])


def test_maps_for_dense_tasks_take_the_classifiers_weights() -> None:
    classifier = tiny()
    design: Any = {**small("swin_t"), "gradient_checkpointing": True}
    dense: Any = SwinMaps(**design)
    missing, unexpected = dense.load_state_dict(classifier.state_dict(), strict=False)
    assert sorted(missing) == sorted(f"norm{i}.{name}" for i in range(4) for name in ("weight", "bias"))
    assert unexpected == ["norm.weight", "norm.bias", "head.weight", "head.bias"]
    x = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        maps = dense.maps(x)
        assert [tuple(y.shape[1:]) for y in maps] == [(6, 16, 23), (12, 8, 12), (24, 4, 6), (48, 2, 3)]
        for i, (y, raw) in enumerate(zip(maps, classifier.stage_maps(x), strict=True)):
            torch.testing.assert_close(y, dense.get_submodule(f"norm{i}")(raw))


def test_heads_share_the_channels() -> None:
    with pytest.raises(ZoetropeError, match="3 heads of Swin share 10 channels: make width a multiple of heads"):
        models.build("swin_t", 5, width=10)


@pytest.mark.slow
def test_onnx(tmp_path: Path) -> None:
    assert_onnx_agrees("swin_t", tmp_path)
