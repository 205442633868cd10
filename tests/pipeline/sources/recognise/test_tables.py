"""Which column of a table is what, told by what stands in it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.sources.recognise import Guess, recognise, tree_of


def guess(root: Path, text: str, name: str = "labels.csv", whole: bool = True) -> Guess:
    """The guess for a folder of images/0.jpg ... 9.jpg, clips and, for a table alone, masks."""
    for i in range(10):
        for file in (f"images/{i}.jpg", f"clips/{i}.mp4", *(() if whole else (f"masks/{i}_m.png",))):
            (root / file).parent.mkdir(exist_ok=True)
            (root / file).touch()
    (root / name).write_text(text)
    return recognise(tree_of(root if whole else root / name))


def rows(form: str, count: int = 10) -> str:
    """Lines of `form`, numbered: {i}, and {c} is a or b."""
    return "".join(form.format(i=i, c="ab"[i % 2]) + "\n" for i in range(count))


def source(folder: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "table", "path": f"{folder}/labels.csv", **more}


def test_names_that_are_ours_need_no_columns(tmp_path: Path) -> None:
    found = guess(tmp_path, "path,label\n" + rows("images/{i}.jpg,{c}"))
    assert (found.task, found.source) == ("image-classification", source(tmp_path))


def test_columns_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    text = "id,file,kind,score,part\n" + rows("{i},images/{i}.jpg,{c},0.{i},train")
    found = guess(tmp_path, text.replace("train", "val", 3))
    assert found.source == source(tmp_path, columns={"path": "file", "label": "kind", "split": "part"})


def test_a_name_tells_the_label_where_several_columns_repeat(tmp_path: Path) -> None:
    text = "path,camera,category\n" + rows("images/{i}.jpg,x{c},{c}")
    assert guess(tmp_path, text).source["columns"] == {"label": "category"}


def test_paths_that_start_from_another_folder(tmp_path: Path) -> None:
    found = guess(tmp_path, "path,label\n" + rows("{i}.mp4,{c}"))
    assert (found.task, found.source) == ("video-classification", source(tmp_path, root=f"{tmp_path}/clips"))


def test_a_table_alone(tmp_path: Path) -> None:
    found = guess(tmp_path, "path,label\n" + rows("{i}.jpg,{c}"), whole=False)
    assert found.source == source(tmp_path, root=f"{tmp_path}/images")


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["sky|sea", "sky", "", "sea|sand"], "|"),
        (["sky sea", "sky", "sea", "sand sky", "sea sand", "sand", "sky sea sand", "sea sky"], " "),
    ],
)
def test_several_labels(tmp_path: Path, labels: list[str], separator: str) -> None:
    text = "path,tags\n" + "".join(f"images/{i}.jpg,{label}\n" for i, label in enumerate(labels))
    found = guess(tmp_path, text)
    assert found.task == "image-multilabel"
    assert found.source == source(tmp_path, separator=separator, columns={"label": "tags"})


def test_lists_of_labels_need_no_separator(tmp_path: Path) -> None:
    text = "".join(f'{{"path": "images/{i}.jpg", "labels": ["a", "b"]}}\n' for i in range(4))
    found = guess(tmp_path, text, "labels.jsonl")
    assert found.task == "image-multilabel"
    assert "separator" not in found.source


def test_names_of_two_words_are_one_label(tmp_path: Path) -> None:
    text = "path,label\n" + "".join(f"images/{i}.jpg,{('red cat', 'old dog')[i % 2]}\n" for i in range(10))
    assert guess(tmp_path, text).task == "image-classification"


def test_a_column_of_masks(tmp_path: Path) -> None:
    found = guess(tmp_path, "path,mask\n" + rows("images/{i}.jpg,masks/{i}_m.png"), whole=False)
    assert (found.task, found.source) == ("segmentation", source(tmp_path))


def test_names_without_extensions_are_said(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"column 'id' names files without their extensions: write 0\.mp4 in"):
        guess(tmp_path, "id,breed\n" + rows("{i},{c}"), whole=False)


def test_other_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("path,label\nimages/1.jpg,a\n")
    found = guess(tmp_path, "path,label\n" + rows("images/{i}.jpg,{c}"))
    assert found.notes == ("other tables with paths are left out: few.csv",)


def test_a_table_alone_whose_label_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"none of its columns path, a, b is called label"):
        guess(tmp_path, "path,a,b\n" + rows("images/{i}.jpg,x{c},{c}"), whole=False)
