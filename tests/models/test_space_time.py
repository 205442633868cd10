"""Groupings of a clip's grid: every place in exactly one group, with the neighbours that the definition gives it."""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.space_time import Grouping, lattices, quarters

GROUPINGS = {
    "time": Grouping("t"),
    "space": Grouping("hw"),
    "row": Grouping("w"),
    "column": Grouping("h"),
    "all": Grouping("hwt"),
    "local": Grouping("hwt", quarters),
    "global": Grouping("hwt", lattices),
}


def together(name: str, a: tuple[int, ...], b: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """The definitions: whether the places `a` and `b`, each (h, w, t), are in one group."""
    half = [(place[0] >= size[0] // 2, place[1] >= size[1] // 2) for place in (a, b)]
    return {
        "time": a[:2] == b[:2],
        "space": a[2] == b[2],
        "row": (a[0], a[2]) == (b[0], b[2]),
        "column": a[1:] == b[1:],
        "all": True,
        "local": half[0] == half[1],
        "global": all(i % 2 == j % 2 for i, j in zip(a, b, strict=True)),
    }[name]


@pytest.mark.parametrize("name", GROUPINGS)
@pytest.mark.parametrize("size", [(4, 4, 2), (3, 5, 4), (2, 1, 3), (1, 1, 1)])
def test_groups_are_those_of_the_definition(name: str, size: tuple[int, int, int]) -> None:
    places = list(product(*(range(n) for n in size)))
    grid = torch.arange(len(places)).reshape(1, *size, 1)
    seen: dict[int, set[int]] = {}
    for piece in GROUPINGS[name].split(grid):
        for group in piece.squeeze(-1).flatten(0, 1).tolist():
            seen |= {place: set(group) for place in group}
    assert seen == {i: {j for j, b in enumerate(places) if together(name, a, b, size)} for i, a in enumerate(places)}


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(sorted(GROUPINGS)), st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 3))
def test_merge_undoes_split(name: str, size: tuple[int, int, int], samples: int) -> None:
    grid = torch.randn(samples, *size, 2)
    groups = GROUPINGS[name].split(grid)
    assert {group.shape[0] for group in groups} == {samples}
    assert sum(group[0, :, :, 0].numel() for group in groups) == grid[0, ..., 0].numel()
    assert torch.equal(GROUPINGS[name].merge(groups, size), grid)


def test_attention_over_time_reads_the_grid_where_it_lies() -> None:
    grid = torch.randn(2, 3, 4, 5, 6)
    assert Grouping("t").split(grid)[0].data_ptr() == grid.data_ptr()


@pytest.mark.parametrize("name", ["local", "global", "space"])
def test_gradients(name: str) -> None:
    def there_and_back(grid: Any) -> Any:
        size = (3, 2, 3)
        return GROUPINGS[name].merge([group.square() for group in GROUPINGS[name].split(grid)], size)

    assert torch.autograd.gradcheck(there_and_back, torch.randn(1, 3, 2, 3, 1, dtype=torch.double, requires_grad=True))


@pytest.mark.parametrize("size", [(4, 4, 2), (2, 6, 4), (5, 3, 3), (1, 2, 1)])
@pytest.mark.parametrize("name", ["local", "global"])
def test_an_exported_merge_is_the_same_and_writes_nothing_in_place(name: str, size: tuple[int, int, int]) -> None:
    class Split(torch.nn.Module):
        def forward(self, grid: torch.Tensor) -> list[torch.Tensor]:
            return GROUPINGS[name].split(grid)

    class SplitAndMerge(torch.nn.Module):
        def forward(self, grid: torch.Tensor) -> torch.Tensor:
            return GROUPINGS[name].merge(GROUPINGS[name].split(grid), size)

    grid = torch.randn(3, *size, 2)
    with torch.no_grad():
        program = torch.export.export(SplitAndMerge(), (grid,), strict=False)
        pieces = torch.export.export(Split(), (grid,), strict=False).module()(grid)
    expected = GROUPINGS[name].split(grid)
    if len(pieces) < len(expected):
        expected = [torch.cat(expected, dim=1)]
    assert all(torch.equal(piece, one) for piece, one in zip(pieces, expected, strict=True))
    assert torch.equal(program.module()(grid), grid)
    assert not any("copy_" in str(node.target) or "scatter" in str(node.target) for node in program.graph.nodes)
