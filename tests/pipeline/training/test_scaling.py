import pytest

from pipeline.training.scaling import scaled_lr


@pytest.mark.parametrize(("batch", "lr"), [(32, 0.0125), (256, 0.1), (512, 0.2), (8192, 3.2)])
def test_grows_with_the_global_batch(batch: int, lr: float) -> None:
    assert scaled_lr(0.1, batch, 256) == pytest.approx(lr)
