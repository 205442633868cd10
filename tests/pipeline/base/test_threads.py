"""How many threads torch computes with."""

import pytest
import torch

from pipeline.base import threads


@pytest.mark.parametrize(("given", "then"), [("2", 2), ("", 1), ("2,1", 1)])
def test_as_given(given: str, then: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    torch.set_num_threads(1)
    try:
        threads.as_given()
        assert torch.get_num_threads() == then
    finally:
        torch.set_num_threads(before)
