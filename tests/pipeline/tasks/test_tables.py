import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks.tables import write_csv


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_no_cell_is_a_formula_and_numbers_stay(tmp_path: Path) -> None:
    rows = [
        ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)"),
        ("\t=1", "\r=1", "\n=1", "a;=1+1"),
        (-1, -0.5, np.float64(-2.5), np.int64(-3)),
        ("-1", "+1.5e3", "-inf", ""),
        ("cat", "a=b", "'til dawn", "größe"),
    ]
    write_csv(tmp_path / "t.csv", ("=head", "b", "c", "d"), iter(rows))
    assert cells(tmp_path / "t.csv") == [
        ["'=head", "b", "c", "d"],
        ["'=1+1", "'+cmd|' /C calc'!A0", "'-2+3", "'@SUM(A1)"],
        ["'\t=1", "'\r=1", "'\n=1", "a;=1+1"],
        ["-1", "-0.5", "-2.5", "-3"],
        ["-1", "+1.5e3", "-inf", ""],
        ["cat", "a=b", "''til dawn", "größe"],
    ]
    assert '"a;=1+1"\r\n-1,-0.5,-2.5,-3\r\n' in (tmp_path / "t.csv").read_bytes().decode()


@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\n1ae")), min_size=1, max_size=5))
def test_texts_read_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "t.csv"
    write_csv(path, ("head",), [texts])
    assert [cell.removeprefix("'") for cell in cells(path)[1]] == texts
