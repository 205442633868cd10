import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from pipeline.tracking.names import mlflow_name


@pytest.mark.parametrize("name", ["train/loss", "optimizer.lr", "val/top-1", "system/gpu_0"])
def test_good_names_stay(name: str) -> None:
    assert mlflow_name(name) == name


@pytest.mark.parametrize(
    ("name", "expected"), [("top1 [%]", "top1 ___"), ("/a//b/", "a/b"), ("a/../b", "a/__/b"), ("", "_"), (".", "_")]
)
def test_what_mlflow_refuses_is_replaced(name: str, expected: str) -> None:
    assert mlflow_name(name) == expected


@given(st.text(max_size=300))
@example("a" * 249 + "/b")
@example("a/" + "." * 300)
def test_mlflow_takes_every_name(name: str) -> None:
    _validate_metric_name(mlflow_name(name))  # raises when it does not
