from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.shards.dataset import Dataset
from tune.trial import TrialProgress, measure_trial


def test_what_no_trial_can_train_is_said(make_recipe: Any, images: Dataset) -> None:
    progress = TrialProgress("val/loss")
    measure_trial(make_recipe("image"), images, progress)
    assert (progress.steps_per_epoch, progress.total) == (3, 6)
    small = [{"Resize": {"height": 32, "width": 32}}]
    lone = {"model": {"kind": "resnet18", "width": 4}, "augment": {"train": small, "eval": small}}
    for changes, said in (
        ({"train.batch_size": 27}, "a batch of 27 samples cannot be made of 26"),
        ({"train.batch_size": 9, "train.micro_batch": 4, **lone}, "leaves one sample after parts of 4"),
    ):
        with pytest.raises(ZoetropeError, match=said):
            measure_trial(make_recipe("image", **changes), images, progress)


def test_a_metric_that_the_data_have_not_is_said() -> None:
    with pytest.raises(ZoetropeError, match=r"tune.metric: unknown metric 'val/top5'; did you mean 'val/top1'"):
        TrialProgress("val/top5").of(1, {"val/loss": 0.5, "val/top1": 0.5})
