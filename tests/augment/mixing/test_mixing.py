"""One contract for all ways of mixing; and what each does, written out."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from augment.mixing.base import Draw, Mixing, draw_partner, draw_shifts, mix_targets, soft_targets
from augment.mixing.batch import apply, draw_batch
from augment.mixing.choose import Choose
from augment.mixing.cutmix import CutMix, cutmix_box, cutmix_patches
from augment.mixing.mixup import Mixup, SamplePairing, mixup
from augment.mixing.mosaic import Mosaic, corner_patch
from augment.mixing.patches import Patch, partners, paste
from augment.mixing.ricap import Ricap, ricap_regions
from pipeline.base.keyed import generator

WAYS: dict[str, Mixing] = {
    "mixup": Mixup(alpha=1.0),
    "sample pairing": SamplePairing(),
    "cutmix": CutMix(),
    "ricap": Ricap(),
    "choose": Choose(((Mixup(), 0.3), (CutMix(), 0.3), (Ricap(), 0.3))),
}
WEIGHTLESS = ("sample pairing",)


def samples(n: int, *shape: int) -> Tensor:
    """Sample i is i everywhere, so a mixed pixel says where it came from."""
    return torch.arange(n, dtype=torch.float32).reshape(n, *[1] * len(shape)).expand(n, *shape).clone()


@dataclass(frozen=True)
class Mixed:
    """A batch after mixing, and whose it is."""

    pixels: Tensor
    index: Tensor
    weights: Tensor


def mix(x: Tensor, way: Mixing, group_size: int, *key: int | str, first_group: int = 0) -> Mixed:
    """A batch after mixing."""
    drawn = draw_batch(way, len(x), group_size, *x.shape[-2:], *key, first_group=first_group)
    return Mixed(drawn.apply(x), drawn.index, drawn.weights)


@pytest.mark.parametrize("shape", [(3, 9, 12), (3, 4, 9, 12)], ids=["images", "clips"])
@pytest.mark.parametrize("name", WAYS)
def test_contract(name: str, shape: tuple[int, ...]) -> None:
    x = samples(8, *shape)
    different = set()
    for draw in range(12):
        group = WAYS[name].draw(generator(name, draw), 8, 9, 12)
        assert group == WAYS[name].draw(generator(name, draw), 8, 9, 12)
        assert len(group.patches) in (0, len(group.shifts))
        pixels = apply(x, group)
        assert pixels.shape == x.shape
        assert pixels.dtype == x.dtype
        assert sum(group.weights) == pytest.approx(1)
        assert min(group.weights) >= 0
        assert torch.equal(x, samples(8, *shape)), "the input was changed"
        if len(shape) == 4:
            assert (pixels == pixels[:, :, :1]).all(), "frames are mixed differently"
        if name not in WEIGHTLESS:
            # The mean pixel is the same sum of sample numbers as the target
            expected = [
                sum(w * ((i + s) % 8) for s, w in zip(group.shifts, group.weights, strict=True)) for i in range(8)
            ]
            assert pixels.flatten(1).mean(1).tolist() == pytest.approx(expected, abs=1e-4)
        different.add(pixels.numpy().tobytes())
    assert len(different) > 6


@pytest.mark.parametrize("way", [Mixup(0.0), CutMix(0.0), Ricap(0.0)], ids=["mixup", "cutmix", "ricap"])
def test_strength_0_mixes_nothing(way: Mixing) -> None:
    x = samples(8, 3, 9, 12)
    for draw in range(12):
        group = way.draw(generator(draw), 8, 9, 12)
        assert torch.equal(apply(x, group), x)
        assert group == Draw((0,), (1.0,), (), None)


@pytest.mark.parametrize("name", WAYS)
def test_channels_last_stays(name: str) -> None:
    x = samples(8, 3, 9, 12).contiguous(memory_format=torch.channels_last)
    for draw in range(6):
        mixed = mix(x, WAYS[name], 4, draw).pixels
        assert mixed.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(mixed, mix(x.contiguous(), WAYS[name], 4, draw).pixels)


@pytest.mark.parametrize("name", WAYS)
def test_a_single_sample_keeps_its_target(name: str) -> None:
    mixed = mix(torch.rand(1, 3, 5, 5), WAYS[name], 8, "key")
    target = soft_targets(torch.tensor([2]), mixed.index, mixed.weights, 4)
    assert target.tolist() == [[0, 0, pytest.approx(1), 0]]


@pytest.mark.parametrize("name", WAYS)
def test_ranks_and_micro_batches_mix_as_one_process_does(name: str) -> None:
    x = torch.rand(22, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(22)
    whole = mix(x, WAYS[name], 4, 1, "mix", 0, 5)
    target = soft_targets(labels, whole.index, whole.weights, 22)
    for cuts in ([0, 3, 6], [0, 1, 2, 3, 4, 5, 6]):  # in groups; the last one has two samples
        parts = [
            (labels[4 * a : 4 * b], mix(x[4 * a : 4 * b], WAYS[name], 4, 1, "mix", 0, 5, first_group=a))
            for a, b in pairwise(cuts)
        ]
        assert torch.equal(torch.cat([part.pixels for _, part in parts]), whole.pixels)
        targets = [soft_targets(own, part.index, part.weights, 22) for own, part in parts]
        assert torch.equal(torch.cat(targets), target)
    assert not torch.equal(mix(x, WAYS[name], 4, 1, "mix", 0, 6).pixels, whole.pixels)


def test_nothing_crosses_a_group() -> None:
    mixed = mix(samples(10, 1, 6, 6), WAYS["choose"], 4, 0)
    assert (mixed.index // 4 == torch.arange(10)[:, None] // 4).all()
    for start, stop in ((0, 4), (4, 8), (8, 10)):
        part = mixed.pixels[start:stop]
        assert part.min() >= start
        assert part.max() <= stop - 1


def test_groups_draw_apart() -> None:
    mixed = mix(samples(8, 1, 16, 16).fmod(4), Mixup(1.0), 4, 0)
    assert not torch.equal(mixed.pixels[:4], mixed.pixels[4:])


def test_mixup_known_answer() -> None:
    x = torch.tensor([0.0, 10.0, 100.0]).reshape(3, 1, 1, 1)
    assert mixup(x, 1, 0.75).flatten().tolist() == [2.5, 32.5, 75]
    assert mixup(x, 2, 1.0).flatten().tolist() == [0, 10, 100]


def test_sample_pairing_keeps_the_target_and_most_of_the_picture() -> None:
    for draw in range(50):
        group = SamplePairing(0.4).draw(generator(draw), 2, 2, 2)
        assert (group.shifts, group.weights) == ((0,), (1.0,))
        pixels = apply(samples(2, 1, 2, 2), group)
        assert pixels[0].max() <= 0.4 + 1e-6
        assert pixels[1].min() >= 0.6 - 1e-6


def test_cutmix_known_answers() -> None:
    assert cutmix_box(5, 5, 0.25, 10, 20) == (3, 0, 8, 10)
    assert cutmix_box(0, 19, 0.25, 10, 20) == (0, 14, 3, 20)
    assert cutmix_box(5, 5, 0.0, 10, 20) == (5, 5, 5, 5)
    assert cutmix_box(5, 10, 1.0, 10, 20) == (0, 0, 10, 20)
    mixed = paste(samples(3, 1, 3, 4), (0, 1), cutmix_patches((1, 0, 3, 2), 3, 4))
    assert mixed[0, 0].tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert mixed[2, 0].tolist() == [[2, 2, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2]]


def ricap(x: Tensor, point: tuple[int, int], origins: tuple[tuple[int, int], ...]) -> Tensor:
    """Four neighbours around a boundary point, each cut out at its origin."""
    regions = zip(ricap_regions(x.shape[-2], x.shape[-1], *point), origins, strict=True)
    return paste(x, (0, 1, 2, 3), [Patch(*region, *origin) for region, origin in regions])


def test_ricap_known_answer() -> None:
    columns = torch.arange(4.0).expand(4, 1, 3, 4) + 10 * torch.arange(3.0)[:, None]
    x = columns + 100 * torch.arange(4.0).reshape(4, 1, 1, 1)  # value: sample, row, column
    mixed = ricap(x, (1, 3), ((2, 1), (0, 0), (1, 1), (0, 3)))
    assert mixed[0, 0].tolist() == [[21, 22, 23, 100], [211, 212, 213, 303], [221, 222, 223, 313]]
    assert mixed[1, 0].tolist() == [[121, 122, 123, 200], [311, 312, 313, 3], [321, 322, 323, 13]]


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("way", [CutMix(), Ricap(1.0)], ids=["cutmix", "ricap"])
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7), st.integers())
def test_a_pasted_map_says_where_each_pixel_came_from(
    way: Mixing, scale: int, n: int, height: int, width: int, key: int
) -> None:
    drawn = draw_batch(way, n, 4, height, width, key)
    # Of a picture `scale` times the size, each pixel's place as its label, and as its colour
    places = torch.arange(n * height * width * scale**2).reshape(n, scale * height, scale * width)
    labels = torch.cat([paste(places[group], draw.shifts, draw.patches, scale) for group, draw in drawn.groups])
    colours = torch.stack([places + 0.25, -places.float()], 1)
    # Folded into channels such a picture has the size that was drawn for
    seen = functional.pixel_shuffle(drawn.apply(functional.pixel_unshuffle(colours, scale)), scale)
    assert torch.equal(seen, torch.stack([labels + 0.25, -labels.float()], 1))
    samples_seen = functional.one_hot(labels // places[0].numel(), n).float().mean((1, 2))
    assert torch.allclose(samples_seen, soft_targets(torch.arange(n), drawn.index, drawn.weights, n), atol=1e-6)


def test_what_is_drawn_stays() -> None:
    whole = Patch(slice(0, 9), slice(0, 12), 0, 0)
    above, below, left, right = slice(0, 6), slice(6, 9), slice(0, 3), slice(3, 12)
    four = Patch(above, left, 1, 8), Patch(above, right, 3, 1), Patch(below, left, 2, 5), Patch(below, right, 2, 1)
    ways: dict[Mixing, Draw] = {
        Mixup(1.0): Draw((0, 7), (0.7534187, 0.2465813), (), (7, 0.7534187)),
        SamplePairing(): Draw((0,), (1.0,), (), (7, 0.8917910)),
        CutMix(): Draw((0, 7), (88 / 108, 20 / 108), (whole, Patch(slice(2, 6), slice(5, 10), 2, 5))),
        Ricap(1.0): Draw((3, 7, 4, 2), (18 / 108, 54 / 108, 9 / 108, 27 / 108), four),
    }
    for way, expected in ways.items():
        draw = way.draw(generator("pinned"), 8, 9, 12)
        assert (draw.shifts, draw.patches) == (expected.shifts, expected.patches)
        assert draw.weights == pytest.approx(expected.weights, abs=1e-6)
        assert draw.blend == pytest.approx(expected.blend, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_ricap_regions_tile_the_picture(height: int, width: int, data: st.DataObject) -> None:
    y, x = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
    seen = np.zeros((height, width), int)
    for rows, columns in ricap_regions(height, width, y, x):
        seen[rows, columns] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(("point", "seen"), [((0, 0), {3}), ((6, 6), {0}), ((0, 4), {2, 3}), ((4, 6), {0, 2})])
def test_empty_ricap_patches(point: tuple[int, int], seen: set[int]) -> None:
    sizes = [(r.stop - r.start, c.stop - c.start) for r, c in ricap_regions(6, 6, *point)]
    origins = tuple((6 - tall, 6 - wide) for tall, wide in sizes)
    mixed = ricap(samples(4, 1, 6, 6), point, origins)
    assert set(mixed[0].flatten().tolist()) == seen


def test_ricap_has_empty_patches_as_often_as_its_paper_implies() -> None:
    empty, whole = 0, 0
    for draw in range(3000):
        weights = Ricap(0.3).draw(generator(draw), 4, 32, 32).weights
        empty += min(weights) == 0
        whole += max(weights) == 1
    assert empty / 3000 == pytest.approx(0.54, abs=0.04)
    assert whole / 3000 == pytest.approx(0.10, abs=0.03)


def test_corner_patches_by_hand() -> None:
    """Pictures of 4 x 6 px around the point (3, 5) of a view of 10 x 8: rows 3 to 6 below it, columns 5 to 7 on its
    right, where two of its six are beyond the view.
    """
    seen = [corner_patch((3, 5), (4, 6), (10, 8), corner) for corner in range(4)]
    assert seen == [
        Patch(slice(0, 3), slice(0, 5), 1, 1),
        Patch(slice(0, 3), slice(5, 8), 1, 0),
        Patch(slice(3, 7), slice(0, 5), 0, 1),
        Patch(slice(3, 7), slice(5, 8), 0, 0),
    ]
    outside = corner_patch((-2, 5), (4, 6), (10, 8), 1)
    assert outside.rows == slice(0, 0)


def test_mosaics_show_four_pictures_and_leave_the_rest_at_0() -> None:
    x = 1 + samples(8, 3, 24, 32)
    zooms = set()
    for draw in range(12):
        group = Mosaic().draw(generator(draw), 8, 24, 32)
        assert group == Mosaic().draw(generator(draw), 8, 24, 32)
        assert group.zoom is not None
        zooms.add(group.zoom)
        assert all(0.45 < side < 1.55 for side in group.zoom)
        assert len(set(group.shifts)) == 4
        seen = apply(x, group)
        assert seen.shape == x.shape
        covered = sum((p.rows.stop - p.rows.start) * (p.columns.stop - p.columns.start) for p in group.patches)
        assert (seen[:, 0] != 0).sum((1, 2)).tolist() == [covered] * 8
        for i in range(8):
            shares = [(seen[i, 0].round() == 1 + (i + shift) % 8).sum().item() / covered for shift in group.shifts]
            assert shares == pytest.approx(group.weights)
    assert len(zooms) > 6
    # Scaled by nothing they are whole pictures, cut off by the view alone.
    still = Mosaic(0.0).draw(generator(0), 8, 24, 32)
    assert still.zoom == (1.0, 1.0)


def test_mosaics_are_those_of_one_process() -> None:
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    whole = mix(x, Mosaic(), 4, 1)
    parts = [mix(x[4 * a : 4 * a + 4], Mosaic(), 4, 1, first_group=a).pixels for a in (0, 1)]
    assert torch.equal(torch.cat(parts), whole.pixels)
    assert whole.pixels.is_contiguous(memory_format=torch.channels_last)


def test_choose() -> None:
    counts = {"mixup": 0, "ricap": 0, "none": 0}
    for draw in range(2000):
        group = Choose(((Mixup(1.0), 0.2), (Ricap(), 0.5))).draw(generator(draw), 8, 4, 4)
        counts[{1: "none", 2: "mixup", 4: "ricap"}[len(group.shifts)]] += 1
    assert [counts[name] / 2000 for name in ("mixup", "ricap", "none")] == pytest.approx([0.2, 0.5, 0.3], abs=0.05)
    with pytest.raises(ValueError, match="sum to more than 1"):
        Choose(((Mixup(), 0.7), (CutMix(), 0.7)))
    with pytest.raises(ValueError, match="not be negative"):
        Choose(((Mixup(), -0.1),))


@given(st.integers(1, 20), st.integers())
def test_partners_are_others(size: int, seed: int) -> None:
    shift = draw_partner(generator(seed), size)
    index = partners(torch.arange(size), shift)
    assert index.tolist() == [(i + shift) % size for i in range(size)]
    assert size == 1 or (index != torch.arange(size)).all()
    shifts = draw_shifts(generator(seed), size, 4)
    assert len(set(shifts)) == min(size, 4)


def test_the_target_of_labels_and_of_soft_targets_is_the_same() -> None:
    labels = torch.tensor([0, 2, 2, 1, 0, 1])
    mixed = mix(torch.rand(6, 3, 8, 8), Ricap(1.0), 6, 3)
    target = soft_targets(labels, mixed.index, mixed.weights, 3)
    assert torch.allclose(target, mix_targets(functional.one_hot(labels, 3).float(), mixed.index, mixed.weights))
    assert torch.allclose(target.sum(1), torch.ones(6))


def test_the_loss_of_the_soft_target_is_the_weighted_sum_of_losses() -> None:
    labels, logits = torch.tensor([0, 2, 2, 1]), torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    mixed = mix(torch.rand(4, 3, 8, 8), Mixup(1.0), 4, 3)
    soft = functional.cross_entropy(logits, soft_targets(labels, mixed.index, mixed.weights, 3), reduction="none")
    each = [functional.cross_entropy(logits, labels[mixed.index[:, m]], reduction="none") for m in range(2)]
    assert torch.allclose(soft, mixed.weights[:, 0] * each[0] + mixed.weights[:, 1] * each[1])
