from pathlib import Path

from pipeline.stages.json_lines import read_rows, write_rows


def test_rows_read_back(tmp_path: Path) -> None:
    rows = [{"key": "größe/ハ\n.jpg", "n": 1, "x": 0.5, "none": None}, {}]
    write_rows(tmp_path / "t.jsonl", rows)
    assert (tmp_path / "t.jsonl").read_bytes().count(b"\n") == 2
    assert read_rows(tmp_path / "t.jsonl") == rows
    write_rows(tmp_path / "t.jsonl", [])
    assert read_rows(tmp_path / "t.jsonl") == []


def test_a_table_can_be_printed_and_names_read_back(tmp_path: Path) -> None:
    names = [
        "\x1b[2Jx.jpg",
        "a\nb.jpg",
        "\u202egpj.exe",
        "\x9b2J",
        "\x7f",
        "\u2028",
        "\udcff.jpg",
        "\\u202e",
        "\N{CAT} é",
    ]
    write_rows(tmp_path / "t.jsonl", [{"source": name} for name in names])
    text = (tmp_path / "t.jsonl").read_text("utf-8")
    assert text.splitlines()[:3] == [
        r'{"source": "\u001b[2Jx.jpg"}',
        r'{"source": "a\nb.jpg"}',
        r'{"source": "\u202egpj.exe"}',
    ]
    assert [char for char in text if not char.isprintable()] == ["\n"] * len(names)
    assert [row["source"] for row in read_rows(tmp_path / "t.jsonl")] == names
