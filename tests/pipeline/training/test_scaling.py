import pytest

from pipeline.training.scaling import scaled_lr


@pytest.mark.parametrize(("batch", "lr"), [(32, 0.0125), (256, 0.1), (512, 0.2), (8192, 3.2)])
def test_grows_with_the_global_batch(batch: int, lr: float) -> None:
    assert scaled_lr(0.1, batch, 256) == pytest.approx(lr)


@pytest.mark.parametrize(("batch", "lr"), [(64, 0.05), (256, 0.1), (1024, 0.2)])
def test_grows_with_its_root_by_choice(batch: int, lr: float) -> None:
    assert scaled_lr(0.1, batch, 256, "sqrt") == pytest.approx(lr)


def test_stays_by_choice() -> None:
    assert scaled_lr(0.1, 1024, 256, "none") == 0.1
