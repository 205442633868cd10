import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.recipe.schema import Classes
from pipeline.recipe.sources import TableSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Segmentation, TaskSection, section_of
from pipeline.sources import path_or_url, table, tables
from pipeline.sources.classes import resolve_classes
from pipeline.sources.listing import Listing
from pipeline.sources.splits import divide

CASES = Path(__file__).parents[2] / "cases"
VIDEOS, IMAGES = section_of("video-classification"), section_of("image-classification")
SETS = section_of("video-multilabel")
HALF = Split(val=0.5)
ROWS: list[dict[str, Any]] = [
    {"path": "a.mp4", "label": "run", "split": "train", "start_s": "0", "end_s": "1.5"},
    {"path": "a.mp4", "label": "jump", "split": "train", "start_s": "1.5", "end_s": ""},
    {"path": "sub/b.mp4", "label": "run", "split": "val", "start_s": "", "end_s": "2"},
    {"path": "/far/c.mp4", "label": "jump", "split": "validation", "start_s": "", "end_s": ""},
    {"path": "https://h/d.mp4", "label": "jump", "split": "test", "start_s": "", "end_s": ""},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        typed = [{k: (float(v) if v else None) if k.endswith("_s") else v for k, v in row.items()} for row in rows]
        parquet.write_table(pa.Table.from_pylist(typed), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def look(path: Path, task: TaskSection = VIDEOS, split: Split = HALF, **source: Any) -> Listing:
    return divide(table.look(TableSource(kind="table", path=str(path), **source), task, split), split)


def refusal(path: Path, task: TaskSection = VIDEOS, **source: Any) -> str:
    with pytest.raises(ZoetropeError) as caught:
        look(path, task, **source)
    return str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_the_same_in_every_form(tmp_path: Path, name: str) -> None:
    listing = look(write(tmp_path / name, ROWS))
    assert [(c.key, c.path, c.labels, c.split, c.start_s, c.end_s) for c in listing.candidates] == [
        ("/far/c.mp4", "/far/c.mp4", ("jump",), "val", None, None),
        ("a.mp4#0-1.5", str(tmp_path / "a.mp4"), ("run",), "train", 0.0, 1.5),
        ("a.mp4#1.5-", str(tmp_path / "a.mp4"), ("jump",), "train", 1.5, None),
        ("https://h/d.mp4", "https://h/d.mp4", ("jump",), "test", None, None),
        ("sub/b.mp4#-2", str(tmp_path / "sub" / "b.mp4"), ("run",), "val", None, 2.0),
    ]
    assert not listing.others
    assert not listing.held_out_by_ratio
    assert not listing.refused


READ = [("a b.jpg", "big, red"), ("f/1.jpg", "small")]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("t.csv", 'path;label\na b.jpg;"big, red"\nf/1.jpg;small\n', READ),
        ("t.csv", "path;label\na b.jpg;big, red\nf/1.jpg;small\n", READ),
        ("t.csv", "path\tlabel\na b.jpg\tbig, red\nf/1.jpg\tsmall\n", READ),
        ("t.tsv", "path\tlabel\na b.jpg\tbig, red\nf/1.jpg\tsmall\n", READ),
        ("t.csv", 'path,label\na b.jpg,"big, red"\nf/1.jpg,small\n', READ),
        ("t.csv", '"path", "label"\n"a b.jpg", "big, red"\n"f/1.jpg", "small"\n', READ),
        ("t.csv", '"path","label"\r\n"a b.jpg","big, red"\r\n"f/1.jpg","small"\r\n', READ),
        ("t.csv", 'path,label\n"f;0.jpg",a;b\nf/1.jpg,c\n', [("f/1.jpg", "c"), ("f;0.jpg", "a;b")]),
        ("t.txt", "f/0.jpg 0\nf/1.jpg  10 \n", [("f/0.jpg", "0"), ("f/1.jpg", "10")]),
        ("t.csv", "f/0.jpg,cat\nf/1.jpg,dog\n", [("f/0.jpg", "cat"), ("f/1.jpg", "dog")]),
        ("t.csv", "f/0.jpg cat\nf/1.jpg dog\n", [("f/0.jpg", "cat"), ("f/1.jpg", "dog")]),
        ("t.csv", "https://h/0.jpg?x=1,cat\nf/1.jpg,dog\n", [("f/1.jpg", "dog"), ("https://h/0.jpg?x=1", "cat")]),
        ("t.csv", "path label\nf/0.jpg cat\n", [("f/0.jpg", "cat")]),
        ("t.csv", ",path,label\n0,f/0.jpg,cat\n1,f/1.jpg,dog\n", [("f/0.jpg", "cat"), ("f/1.jpg", "dog")]),
        ("t.csv", "path,label,,\nf/0.jpg,cat\nf/1.jpg,dog,,\n,,,\n", [("f/0.jpg", "cat"), ("f/1.jpg", "dog")]),
        ("t.csv", "path,label\nf/0.jpg,cat,\nf/1.jpg,dog,\n", [("f/0.jpg", "cat"), ("f/1.jpg", "dog")]),
        ("t.csv", '\n\npath,label\n"f/0.jpg","a\n"\n', [("f/0.jpg", "a")]),
    ],
)
def test_separators_and_headings(tmp_path: Path, name: str, content: str, expected: list[tuple[str, str]]) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    listing = look(path, IMAGES)
    assert [(c.key, c.labels[0]) for c in listing.candidates] == expected
    assert not listing.refused


def test_lists_with_the_length_of_each_video(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("f/0.mp4 120 0\nf/1.mp4 7 1\n")
    assert [(c.key, c.labels[0]) for c in look(path).candidates] == [("f/0.mp4", "0"), ("f/1.mp4", "1")]


def test_a_separator_is_found_in_a_long_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("path;label\n" + "".join(f"f/{i}.jpg;{i % 3}\n" for i in range(100)))
    for cut in range(30, 60):
        monkeypatch.setattr(tables, "SNIFFED_CHARACTERS", cut)
        assert len(look(path, IMAGES).candidates) == 100


@pytest.mark.parametrize("name", ["trailing_commas.csv", "backslashes.csv"])
def test_tables_as_spreadsheets_and_windows_write_them(tmp_path: Path, name: str) -> None:
    path = photos(tmp_path, 12) / name
    path.write_text((CASES / name).read_text())
    listing = look(path, IMAGES)
    assert sorted(c.key for c in listing.candidates) == sorted(f"f/{i}.jpg" for i in range(12))
    odd, even = ("cat", "dog") if name.startswith("t") else ("dog", "cat")
    assert {c.key: c.labels[0] for c in listing.candidates} == {f"f/{i}.jpg": odd if i % 2 else even for i in range(12)}
    assert not listing.refused


def test_padded_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text((CASES / "zero_padded.csv").read_text())
    listing = look(path, IMAGES)
    assert listing.classes() == ["01", "1", "02", "2", "3", "10"]
    settled = resolve_classes(listing, Classes(), label_sets=False)
    assert settled.classes() == ["1", "2", "3", "10"]
    assert [(c.key, c.labels[0]) for c in settled.candidates[:2]] == [("f/0.jpg", "1"), ("f/1.jpg", "1")]


def test_other_names_another_root_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufefffile,what,begin\na.mp4,1,0.25\na.mp4,10,3\nb.mp4,2,\n\n".encode())
    columns = {"path": "file", "label": "what", "start_s": "begin"}
    listing = look(path, columns=columns, root="s3://bucket/videos")
    assert {c.path for c in listing.candidates} == {"s3://bucket/videos/a.mp4", "s3://bucket/videos/b.mp4"}
    assert listing.classes() == ["1", "2", "10"]  # numbers in their order
    assert listing.held_out_by_ratio


def test_segments_of_one_video_are_held_out_together(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.mp4", "label": "x", "start_s": s} for i in range(40) for s in (0, 1, 2)]
    listing = look(write(tmp_path / "t.csv", rows))
    splits = {(c.path, c.split) for c in listing.candidates}
    assert len(splits) == 40
    assert {split for _, split in splits} == {"train", "val"}


def test_files_may_lie_in_images_beside_the_table(tmp_path: Path) -> None:
    photos(tmp_path / "images", 3)
    path = write(tmp_path / "labels.csv", [{"path": f"f/{i}.jpg", "label": str(i)} for i in range(3)])
    listing = look(path, IMAGES)
    assert [(c.key, c.path) for c in listing.candidates] == [
        (f"f/{i}.jpg", str(tmp_path / f"images/f/{i}.jpg")) for i in range(3)
    ]
    source = TableSource(kind="table", path=str(path))
    before = table.digest(source)
    (tmp_path / "images/f/1.jpg").write_bytes(b"more")
    assert table.digest(source) != before
    photos(tmp_path, 1)
    assert {c.path for c in look(path, IMAGES).candidates} == {str(tmp_path / f"f/{i}.jpg") for i in range(3)}


def test_train_and_test_alone_leave_val_to_the_recipe(tmp_path: Path) -> None:
    rows = [
        {"path": f"{i}.mp4", "label": "x" if i else "", "split": "testing" if i < 9 else "train"} for i in range(40)
    ]
    listing = look(write(tmp_path / "t.csv", rows))
    assert listing.held_out_by_ratio
    assert Counter(c.split for c in listing.candidates)["test"] == 8
    assert {c.split for c in listing.candidates if int(c.key[:-4]) >= 9} == {"train", "val"}
    assert listing.others == {"in test, without a label": 1}
    assert not listing.refused


def test_groups_of_a_column(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.mp4", "label": "x", "patient": i // 4} for i in range(40)]
    rows[3]["patient"] = ""
    path = write(tmp_path / "t.csv", rows)
    split = Split(val=0.2, group="patient")
    listing = look(path, split=split)
    sides = {(int(c.key[:-4]) // 4, c.split) for c in listing.candidates}
    assert Counter(split for _, split in sides) == {"train": 8, "val": 2}
    assert listing.refused == {"row 4": "its patient is empty, by which data.split.group keeps samples together"}
    with pytest.raises(
        ZoetropeError, match=r"^data.split.group: .*t.csv has no such column: .*did you mean 'patient'\?"
    ):
        look(path, split=Split(group="pacient"))
    path = write(path, [*rows, {"path": "8.mp4", "label": "x", "patient": 7}])
    assert look(path, split=split).refused["row 9"] == "8.mp4 stands in several groups: '2' (row 9), '7' (row 41)"


def test_rows_that_cannot_be_used_are_refused_with_a_reason(tmp_path: Path) -> None:
    fine = {"path": "a.mp4", "label": "run", "start_s": "", "end_s": ""}
    changes = [
        {},
        {"path": ""},
        {"label": " "},
        {"path": "a\x1b[31m.mp4"},
        {"label": "a\u202eb"},
        {"start_s": "soon"},
        {"start_s": "-1"},
        {"start_s": "nan"},
        {"start_s": "3", "end_s": "3"},
        {"end_s": "0"},
        {},
        {"path": "b.mp4"},
        {"path": "b.mp4", "label": "jump"},
    ]
    listing = look(write(tmp_path / "t.csv", [fine | change for change in changes]))
    assert listing.refused == {
        "row 2": "its path is empty",
        "row 3": "its label is empty",
        "row 4": "its path 'a\\x1b[31m.mp4' has a control character",
        "row 5": "its label 'a\\u202eb' has a character that does not print",
        "row 6": "its start_s 'soon' is no number of seconds",
        "row 7": "its start_s '-1' is no time in a video",
        "row 8": "its start_s 'nan' is no time in a video",
        "row 9": "end_s 3 is not behind start_s 3",
        "row 10": "end_s 0 is not behind start_s 0",
        "row 12": "b.mp4 has several labels: 'run' (row 12), 'jump' (row 13)",
        "row 13": "b.mp4 has several labels: 'run' (row 12), 'jump' (row 13)",
    }
    assert listing.others == {"the same as another row": 1}
    assert [c.key for c in listing.candidates] == ["a.mp4"]


def photos(folder: Path, count: int) -> Path:
    (folder / "f").mkdir(parents=True)
    for i in range(count):
        (folder / "f" / f"{i}.jpg").write_bytes(b"%d" % i)
    return folder


def test_one_file_in_many_spellings_is_one_sample(tmp_path: Path) -> None:
    path = photos(tmp_path, 3) / "t.csv"
    path.write_text((CASES / "one_file_many_spellings.csv").read_text())
    listing = look(path, IMAGES)
    assert [(c.key, c.labels) for c in listing.candidates] == [("f/1.jpg", ("dog",)), ("f/2.jpg", ("cat",))]
    why = "f/0.jpg has several labels: 'cat' (row 1), 'dog' (row 2)"
    assert listing.refused == {f"row {number}": why for number in (1, 2, 3, 4)}


def test_links_and_absolute_paths_lead_to_one_file_too(tmp_path: Path) -> None:
    folder = photos(tmp_path, 3)
    (folder / "g").symlink_to(folder / "f")
    (folder / "z.jpg").symlink_to(folder / "f" / "0.jpg")
    (folder / "hard.jpg").hardlink_to(folder / "f" / "1.jpg")
    names = ["z.jpg", "g/0.jpg", f"{folder}/f/0.jpg", f"{folder}/./f/1.jpg", "hard.jpg", "g/2.jpg"]
    for order in (names, names[::-1]):
        listing = look(write(folder / "t.csv", [{"path": name, "label": "x"} for name in order]), IMAGES)
        assert [c.key for c in listing.candidates] == ["f/1.jpg", "g/2.jpg", "z.jpg"]
        assert listing.others == {"the same as another row": 3}
    table = write(folder / "t.csv", [{"path": n, "label": f"l{n[0]}"} for n in names])
    sets = look(table, section_of("image-multilabel"), separator="|")
    assert {c.key: c.labels for c in sets.candidates} == {
        "f/1.jpg": ("l/", "lh"),
        "g/2.jpg": ("lg",),
        "z.jpg": ("l/", "lg", "lz"),
    }


def test_one_sample_in_two_splits_is_refused_in_both(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    rows = [("f/0.jpg", "train"), ("f/1.jpg", "val"), ("./f/0.jpg", "val"), ("f/2.jpg", "train")]
    path = write(tmp_path / "t.csv", [{"path": name, "label": "x", "split": split} for name, split in rows])
    listing = look(path, IMAGES)
    why = "f/0.jpg stands in several splits: 'train' (row 1), 'val' (row 3)"
    assert listing.refused == {"row 1": why, "row 3": why}
    assert [c.key for c in listing.candidates] == ["f/1.jpg", "f/2.jpg"]


def test_a_part_from_the_start_is_one_sample_however_the_start_is_written(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "label": label, "start_s": s, "end_s": "2"} for label, s in (("run", ""), ("sit", "0.0"))]
    path = write(tmp_path / "t.csv", [*rows, {"path": "b.mp4", "label": "run", "start_s": "", "end_s": ""}])
    assert list(look(path).refused) == ["row 1", "row 2"]


def test_names_in_other_forms_of_unicode(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    (tmp_path / decomposed).touch()
    rows = [{"path": name, "label": "caf\u00e9"} for name in (composed, decomposed)]
    listing = look(write(tmp_path / "t.csv", [*rows, {"path": "x.jpg", "label": "cafe\u0301"}]), IMAGES)
    assert [(c.key, c.path) for c in listing.candidates] == [
        (decomposed, str(tmp_path / decomposed)),
        ("x.jpg", str(tmp_path / "x.jpg")),
    ]
    assert listing.classes() == ["caf\u00e9"]
    (tmp_path / composed).touch()  # two files then
    assert [c.key for c in look(tmp_path / "t.csv", IMAGES).candidates] == [decomposed, composed, "x.jpg"]


def test_the_same_number_is_the_same_label(tmp_path: Path) -> None:
    rows = [("a.mp4", "1"), ("a.mp4", "01"), ("b.mp4", "2"), ("b.mp4", "3")]
    listing = look(write(tmp_path / "t.csv", [{"path": name, "label": label} for name, label in rows]))
    assert list(listing.refused) == ["row 3", "row 4"]


def test_whole_numbers_stored_as_floats(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.mp4", "label": float(i)} for i in range(11)]
    for name in ("t.jsonl", "t.parquet"):
        assert look(write(tmp_path / name, rows)).classes() == [str(i) for i in range(11)]
    assert look(write(tmp_path / "t.csv", rows)).classes() == [f"{i}.0" for i in range(11)]


def test_labels_of_json(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.mp4", "label": label} for i, label in enumerate([3, True, None, ["x"], 1.5, "x"])]
    listing = look(write(tmp_path / "t.jsonl", rows))
    assert {c.key: c.labels for c in listing.candidates} == {"0.mp4": ("3",), "5.mp4": ("x",)}
    assert listing.refused["row 2"] == "its label True is neither text nor a whole number"
    assert listing.refused["row 4"] == "it has a list of labels, and task.kind asks for one"
    assert look(tmp_path / "t.jsonl", SETS).candidates[-1].labels == ("x",)


def test_backslashes_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(
        BadSample, match=r"no file f\\0\.jpg; backslashes part no folders here, write / in their place$"
    ):
        path_or_url._open_local("f\\0.jpg")


def test_sets_of_labels(tmp_path: Path) -> None:
    rows = [("a.mp4", "run| jump"), ("b.mp4", ""), ("c.mp4", "run"), ("c.mp4", "sit"), ("d.mp4", "sit|sit|")]
    path = write(tmp_path / "t.csv", [{"path": name, "label": label} for name, label in rows])
    listing = look(path, SETS, separator="|")
    assert {c.key: c.labels for c in listing.candidates} == {
        "a.mp4": ("jump", "run"),
        "b.mp4": (),
        "c.mp4": ("run", "sit"),
        "d.mp4": ("sit",),
    }
    lists = [{"path": "a.mp4", "label": ["run", "jump"]}, {"path": "b.mp4", "label": []}]
    for name in ("t.jsonl", "t.parquet"):
        assert [c.labels for c in look(write(tmp_path / name, lists), SETS).candidates] == [("jump", "run"), ()]


@pytest.mark.parametrize(
    ("content", "source", "says"),
    [
        (
            "file,label\na,b\n",
            {},
            "columns.path: {0} has no such column: unknown column 'path'; known are: file, label",
        ),
        (
            "path,lable\na,b\n",
            {},
            "data.source.columns.label: {0} has no such column: unknown column 'label'; did you mean",
        ),
        ("path,label\na,b\n", {"columns": {"end_s": "stop"}}, "columns.end_s: {0} has no such column: unknown column"),
        (
            "path,label,,\na.mp4,b,,\nc.mp4,d,e,f\n",
            {},
            "has values in line 3 whose columns 3 and 4 have no name; name or",
        ),
        ("path,label,\na.mp4,b, c\n", {}, "has values in line 2 whose column 3 has no name; name or remove them."),
        ("a.mp4 0 5 3\n", {}, "has no heading, and 4 columns; name them in its first line: path,label,split."),
        ("a.mp4,0,train\nb.mp4,1,val\n", {}, "has no heading, and 3 columns"),
        ("a.jpg 3 0\n", {}, "has no heading, and 3 columns"),
        ("", {}, "the table is empty"),
        ("path,label\n", {}, "data.source.path: {0} is empty. It should hold a row a sample"),
        ("path,label\na,b,c\n", {}, "data.source.path: {0} has 3 values in line 2, and its first line 2."),
        ('path,label\na,"b\n', {}, "is no valid CSV in line 2"),
        ("path,path\na,b\n", {}, "has two columns of one name"),
        ("path,label,split\na,b,train\nc,d,foo\n", {}, "says 'foo' for c; known are train, training, val"),
        ("path,label,split\na,b,train\nc,d,\n", {}, "says '' for c; known are train, training, val"),
        (
            "path,label,split\na.mp4,b,val\nc.mp4,d,test\n",
            {},
            "{0} has no row of the split 'train' in its column 'split', but 1 x val, 1 x test. Rename one of them, or",
        ),
        ("path,label\n,b\n,c\n", {}, "has no row that can be used; row 1: its path is empty."),
        ("path,label\nhttps://me:word@h/x.mp4,b\n", {}, "the URL https://me:***@h/x.mp4 holds a password"),
        ("path,label\nftp://h/x.mp4,b\n", {}, "unknown protocol 'ftp'"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, content: str, source: dict[str, Any], says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    assert says.format(path) in refusal(path, **source)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"path,label\n\xff,b\n", "is no text in UTF-8 (line 2)"),
        ("t.jsonl", b'{"path": 1}\n{"path"\n', "has no valid JSON in line 2"),
        ("t.jsonl", b"[1]\n", "has no object in line 1"),
        ("t.parquet", b"PAR1 no", "is no valid Parquet file"),
        ("t.xlsx", b"PK", "is no table by its name, which should end in one of .csv, .tsv, .txt, .jsonl, .parquet"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert says in refusal(path)


def test_what_only_parquet_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    two = pa.table([["a.jpg"], ["b.jpg"], ["cat"]], names=["path", "path", "label"])
    parquet.write_table(two, path)
    assert "has two columns of one name" in refusal(path)
    parquet.write_table(pa.table({"path": ["a.mp4"], "label": ["run"], "split": [0]}), path)
    assert "says '0' for a.mp4; known are train" in refusal(path)


def test_missing_and_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    assert refusal(path) == f"data.source.path: the table {path} cannot be read: No such file or directory."
    write(path, ROWS)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 100)
    assert "has more than 100 bytes" in refusal(path)
    packed = write(tmp_path / "t.parquet", [{"path": f"{i}.mp4", "label": "x"} for i in range(50)])
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", packed.stat().st_size + 1)
    monkeypatch.setattr(tables, "MAX_ROWS", 49)
    assert "has 50 rows" in refusal(packed)


def test_files_of_another_kind(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "c.mp4"]
    path = write(tmp_path / "t.csv", [{"path": name, "label": name} for name in names])
    assert refusal(path) == (
        f"data.source.path: {path} names files that are no videos in 2 rows, such as a.jpg in row 1: .jpg is an "
        "extension of images, and task.kind asks for videos. Set task.kind to what they are, as "
        "recipes/table-images.yaml does for images and recipes/table.yaml for videos."
    )
    listing = look(path, IMAGES)
    assert listing.refused == {"row 3": ".mp4 is an extension of videos, and task.kind asks for images"}
    assert listing.lost == {"c.mp4": f"row 3, which is refused: {listing.refused['row 3']}"}


def test_images_have_no_times(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"path": "a.jpg", "label": "x", "start_s": ""}])
    assert "has the column 'start_s', and images have no times" in refusal(path, IMAGES)


def test_the_digest_is_of_the_table_and_of_what_it_names(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"path": "a.mp4", "label": "x"}, {"path": "b.mp4", "label": "y"}])
    source = TableSource(kind="table", path=str(path))

    def digest() -> str:
        return table.digest(source)

    seen = [digest()]
    assert digest() == seen[0]
    (tmp_path / "other.mp4").write_bytes(b"x")
    assert digest() == seen[0]
    for change in (
        lambda: (tmp_path / "a.mp4").write_bytes(b"x"),
        lambda: (tmp_path / "a.mp4").write_bytes(b"xy"),
        lambda: (tmp_path / "b.mp4").write_bytes(b"xy"),
        lambda: path.write_text(path.read_text().replace("y", "z")),
    ):
        change()
        seen.append(digest())
    assert len(set(seen)) == 5


MASKED = [
    {"path": "1.jpg", "mask": "m/1.png", "split": "train"},
    {"path": "2.jpg", "mask": "https://h/2.png", "split": "val"},
]
MASKS = Segmentation(kind="segmentation")


def test_a_column_of_masks(tmp_path: Path) -> None:
    listing = look(write(tmp_path / "t.csv", MASKED), MASKS, classes=["sky", "road"])
    assert [(one.key, one.labels, one.members) for one in listing.candidates] == [
        ("1.jpg", (), {"seg.png": str(tmp_path / "m/1.png")}),
        ("2.jpg", (), {"seg.png": "https://h/2.png"}),
    ]
    assert listing.classes() == ["sky", "road"]


def test_columns_of_masks_and_of_instance_maps_by_other_names(tmp_path: Path) -> None:
    rows = [
        {"path": row["path"], "m": row["mask"], "i": f"i/{row['path']}.png", "split": row["split"]} for row in MASKED
    ]
    path = write(tmp_path / "t.csv", rows)
    both = look(path, MASKS, columns={"mask": "m", "instances": "i"}, classes=["sky", "road"])
    assert both.candidates[0].members == {
        "seg.png": str(tmp_path / "m/1.png"),
        "inst.png": str(tmp_path / "i/1.jpg.png"),
    }
    alone = look(path, MASKS, columns={"instances": "i"})
    assert alone.candidates[0].members == dict.fromkeys(("inst.png", "seg.png"), str(tmp_path / "i/1.jpg.png"))
    assert alone.classes() == ["background", "object"]


def test_rows_whose_masks_are_none(tmp_path: Path) -> None:
    rows = [
        *MASKED,
        {"path": "3.jpg", "mask": "", "split": "train"},
        {"path": "1.jpg", "mask": "m/other.png", "split": "train"},
        {"path": "4.jpg", "mask": "m/4.png", "split": "train"},
        {"path": "4.jpg", "mask": "./m/4.png", "split": "train"},
    ]
    listing = look(write(tmp_path / "t.csv", rows), MASKS, classes=["sky", "road"])
    assert [one.key for one in listing.candidates] == ["2.jpg", "4.jpg"]
    several = f"1.jpg has several seg.png: '{tmp_path}/m/1.png' (row 1), '{tmp_path}/m/other.png' (row 4)"
    assert listing.refused == {"row 1": several, "row 3": "its mask: its path is empty", "row 4": several}


def test_a_table_without_masks(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"path": "1.jpg", "label": "cat"}])
    assert refusal(path, MASKS) == (
        f"data.source.columns.mask: {path} has no column `mask`, but path, label; say which one names the masks that "
        "task.kind segmentation needs."
    )
    assert "data.source.columns.mask" in refusal(path, MASKS, columns={"mask": "seg"})


def test_a_task_of_labels_takes_no_notice_of_masks(tmp_path: Path) -> None:
    rows = [{**row, "label": label} for row, label in zip(MASKED, ("cat", "dog"), strict=True)]
    listing = look(write(tmp_path / "t.csv", rows), IMAGES)
    assert [one.members for one in listing.candidates] == [{}, {}]
    assert listing.masks == {}


def test_the_digest_is_of_the_masks_where_the_recipe_says_what_these_mean(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", MASKED[:1])

    def digest(**more: Any) -> str:
        return table.digest(TableSource(kind="table", path=str(path), **more))

    before = [digest(), digest(classes=["sky", "road"]), digest(columns={"mask": "mask"})]
    (tmp_path / "m").mkdir()
    (tmp_path / "m/1.png").touch()
    after = [digest(), digest(classes=["sky", "road"]), digest(columns={"mask": "mask"})]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, False]
    assert digest(classes=["road", "sky"]) != after[1]
