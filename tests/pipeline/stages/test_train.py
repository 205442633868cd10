from pathlib import Path

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.stages.train import outside


def test_weights_to_start_from_count_by_size_and_time(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"abc")
    before = outside({"model": {"weights": str(weights)}})
    assert before.startswith("3-")
    weights.write_bytes(b"abcd")
    assert outside({"model": {"weights": str(weights)}}) != before


def test_urls_and_none_stand_for_themselves() -> None:
    assert outside({"model": {"weights": None}}) == outside({"model": {"weights": "hf://org/name/file"}}) == ""


def test_missing_weights_are_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"model\.weights: .*absent\.pth cannot be read: No such file"):
        outside({"model": {"weights": str(tmp_path / "absent.pth")}})
