import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.tasks.detection.thresholds import thresholds


def test_one_number_is_for_all() -> None:
    assert thresholds(0.3, ("cat", "dog")) == (0.3, 0.3)


def test_classes_that_are_left_out_have_the_usual_one() -> None:
    assert thresholds({"dog": 0.2}, ("cat", "dog")) == (0.5, 0.2)


def test_an_unknown_class_is_refused_by_its_nearest() -> None:
    with pytest.raises(ZoetropeError, match=r"evaluate.threshold: .*'dg'.*dog"):
        thresholds({"dg": 0.2}, ("cat", "dog"))
    assert thresholds({"dg": 0.2}, ()) == ()  # no data yet
