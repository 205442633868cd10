from pathlib import Path

from pipeline.stages.rows import read_rows, write_rows


def test_rows_read_back(tmp_path: Path) -> None:
    rows = [{"key": "größe/ハ\n.jpg", "n": 1, "x": 0.5, "none": None}, {}]
    write_rows(tmp_path / "t.jsonl", rows)
    assert (tmp_path / "t.jsonl").read_bytes().count(b"\n") == 2
    assert read_rows(tmp_path / "t.jsonl") == rows
    write_rows(tmp_path / "t.jsonl", [])
    assert read_rows(tmp_path / "t.jsonl") == []
