from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe.policies import FastAutoAugment
from pipeline.shards.dataset import Dataset
from tune.policy import fast
from tune.policy.child import WEIGHTS
from tune.policy.propose import Candidate
from tune.policy.space import Space

OPTIONS = FastAutoAugment(kind="fast", folds=2, candidates=6, keep=2, sub_policies=2, operations=2, samples=8)
CROP: dict[str, Any] = {"CenterCrop": {"height": 16, "width": 16}}


def nothing(done: int, total: int, metrics: dict[str, float]) -> None:
    """Hears what is said."""


def test_a_fold_goes_on_where_it_was_and_ends_the_same(images: Dataset, make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image", **{"train.duration": "1ep"})
    heard: list[dict[str, float]] = []
    (tmp_path / "whole").mkdir()
    found = fast.search_fold(recipe, images, OPTIONS, 0, tmp_path / "whole", lambda *points: heard.append(points[2]))
    assert [one.number for one in found] == list(range(6))
    assert heard[-1]["policy/best"] == max(one.top1 for one in found)

    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / WEIGHTS).write_bytes((tmp_path / "whole" / WEIGHTS).read_bytes())
    trained = (cut / WEIGHTS).stat().st_mtime_ns
    lines = (tmp_path / "whole" / fast.CANDIDATES).read_text().splitlines(keepends=True)
    (cut / fast.CANDIDATES).write_text("".join(lines[:3]))
    assert fast.search_fold(recipe, images, OPTIONS, 0, cut, nothing) == found
    assert (cut / WEIGHTS).stat().st_mtime_ns == trained
    assert (cut / fast.CANDIDATES).read_text() == "".join(lines)

    (tmp_path / "other").mkdir()
    assert fast.search_fold(recipe, images, OPTIONS, 1, tmp_path / "other", nothing) != found


@pytest.mark.parametrize(("score", "samples"), [("held_out", 11), ("val", 7)])
def test_what_a_fold_trains_and_scores_on(
    images: Dataset, make_recipe: Any, tmp_path: Path, score: Any, samples: int
) -> None:
    options = OPTIONS.model_copy(update={"score": score})
    fold = fast.fold_of(make_recipe("image"), images, options, 0, tmp_path)
    assert {name: split.samples for name, split in fold.splits.items()} == {"train": 15, "val": samples}


def test_a_fold_s_model_sees_no_augmentation(make_recipe: Any) -> None:
    changes = {"augment.train": [CROP, {"AutoAugment": {"policy": "svhn"}}], "mixing": {"kind": "mixup"}}
    plain = fast.without_augmentation(make_recipe("image", **changes))
    assert plain.augment.train == [CROP]
    assert plain.mixing.kind == "none"


def test_the_union_of_what_folds_keep() -> None:
    space = Space(2, 2)

    def candidate(number: int, top1: float, loss: float) -> Candidate:
        return Candidate(number, space.encode(space.random("union", number)), top1, loss)

    folds = [
        [candidate(0, 0.9, 1.0), candidate(1, 0.2, 1.0), candidate(2, 0.5, 1.0)],
        [candidate(3, 0.9, 0.5), candidate(4, 0.6, 1.0), candidate(5, 0.55, 1.0)],
    ]
    expected = [sub for number in (3, 0, 4, 2) for sub in space.random("union", number)]
    assert fast.unite(folds, OPTIONS) == expected


def test_a_fold_that_is_too_small(images: Dataset, make_recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match="15 training samples are left to a fold, fewer than"):
        fast.fold_of(make_recipe("image", **{"train.batch_size": 16}), images, OPTIONS, 0, tmp_path)
