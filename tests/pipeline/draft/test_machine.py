"""How large a batch may be."""

import pytest

from pipeline.draft.machine import Machine, batch_size

MODEL = {"kind": "resnet18", "width": 8}
SHAPE = (3, 32, 32)


@pytest.mark.parametrize(("train", "batch"), [(1, 1), (3, 2), (15, 4), (26, 8), (450, 32), (10_000, 128)])
def test_an_epoch_has_eight_batches_where_these_are_not_small(train: int, batch: int) -> None:
    assert batch_size(Machine(2, 16 << 30, False), MODEL, 3, SHAPE, train) == batch


def test_a_batch_fits_in_half_of_the_memory() -> None:
    from models import check_options
    from models.complexity import training_bytes

    fixed, each = training_bytes(check_options("resnet18", width=8), 3, SHAPE)
    assert batch_size(Machine(2, 2 * (fixed + 64 * each), False), MODEL, 3, SHAPE, 10_000) == 64
    assert batch_size(Machine(2, 2 * (fixed + 64 * each) - 1, False), MODEL, 3, SHAPE, 10_000) == 32
