import numpy as np
import pytest
import torch

from pipeline.tasks.segmentation import restore
from pipeline.tasks.segmentation.restore import restored


def scores_of(mask: np.ndarray, classes: int) -> torch.Tensor:
    """Probabilities [1, K, H, W] that leave no doubt."""
    return torch.nn.functional.one_hot(torch.from_numpy(mask).long(), classes).permute(2, 0, 1)[None].float()


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (12, 17)).astype(np.uint8)


def test_what_was_seen_as_it_is_stays(mask: np.ndarray) -> None:
    frame = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    made = restored(scores_of(mask, 4), frame, (12, 17))
    assert made.dtype == torch.uint8
    assert np.array_equal(made[0].numpy(), mask)


def test_a_mirrored_and_a_turned_view_come_back(mask: np.ndarray) -> None:
    mirrored = torch.tensor([[-1.0, 0, 17], [0, 1, 0]])
    made = restored(scores_of(np.ascontiguousarray(mask[:, ::-1]), 4), mirrored, (12, 17))
    assert np.array_equal(made[0].numpy(), mask)
    transposed = torch.tensor([[0.0, 1, 0], [1, 0, 0]])
    made = restored(scores_of(np.ascontiguousarray(mask.T), 4), transposed, (12, 17))
    assert np.array_equal(made[0].numpy(), mask)


def test_a_smaller_view_is_enlarged_and_what_lies_beside_a_crop_is_ignored(mask: np.ndarray) -> None:
    large = mask.repeat(3, 0).repeat(3, 1)
    halves = torch.tensor([[1 / 3, 0, 0], [0, 1 / 3, 0]])
    made = restored(scores_of(mask, 4), halves, large.shape)[0].numpy()
    assert np.array_equal(made[1::3, 1::3], mask)  # in the middle of each of the view's pixels there is no doubt
    crop = torch.tensor([[1.0, 0, -5], [0, 1, -2]])
    made = restored(scores_of(np.ascontiguousarray(mask[2:9, 5:11]), 4), crop, (12, 17))[0].numpy()
    assert np.array_equal(made[2:9, 5:11], mask[2:9, 5:11])
    outside = np.ones((12, 17), bool)
    outside[2:9, 5:11] = False
    assert (made[outside] == 255).all()


def test_strips_change_nothing(mask: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.rand(1, 4, 12, 17, generator=torch.Generator().manual_seed(1))
    frame = torch.tensor([[0.4, 0.02, 0.3], [-0.03, 0.5, 0.7]])
    whole = restored(scores, frame, (23, 40))
    monkeypatch.setattr(restore, "STRIP_BYTES", 4 * 4 * 40 * 5)
    assert torch.equal(restored(scores, frame, (23, 40)), whole)
