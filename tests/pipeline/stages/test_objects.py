"""Objects from their sources to shards, by ingest and shard, and to a reader."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe
from pipeline.recipe.tasks import Detection, Instances
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.sources.summary import of_listing
from pipeline.stages import ingest, shard
from pipeline.stages.json_lines import read_rows
from pipeline.tasks import instances
from pipeline.verbs.preview import some_samples
from tests.pipeline.sources.annotations import coco, picture, voc, write
from tests.pipeline.stages.alone import said
from tests.pipeline.stages.test_adopt import pack
from tests.pipeline.stages.test_masks import a_recipe as of_masks
from tests.pipeline.stages.test_masks import ingested, made, png
from tests.pipeline.stages.test_masks import picture as jpeg

pytestmark = pytest.mark.usefixtures("in_this_process")

NEEDS = frozenset({"objects.json"})
HALF = {"val": 0.5, "stratify": True}


def a_recipe(source: dict[str, Any], **data: Any) -> Recipe:
    return of_masks(source, **data).model_copy(update={"task": Detection(kind="detection")})


def stored(dataset: Dataset, split: str) -> dict[str, tuple[Any, ...]]:
    """Source -> label, boxes, classes, crowd and areas."""
    reader = ShardReader(dataset.files, split, NEEDS)
    found = {}
    for number, listed in enumerate(dataset.split(split).shards):
        for i in range(listed.samples):
            raw = reader.read(number, i)
            of = raw.companion("objects.json")
            found[reader.source(number, i)] = (
                raw.label,
                *(a.tolist() for a in (of.boxes, of.classes, of.crowd, of.areas)),
            )
    return found


def one(image: int, category: int, *box: float, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, **more}


def test_coco(tmp_path: Path) -> None:
    """A short side of 25 px: boxes are halved, and areas stay those of the source."""
    for split, names in (("train", ("1.png", "2.png")), ("val", ("3.png",))):
        for name in names:
            picture(tmp_path / split / name)
    train = coco(
        {1: "1.png", 2: "2.png"},
        {5: "dog", 2: "cat", 9: "eel"},
        one(1, 5, 10, 5, 10, 5, area=40),
        one(1, 2, 0, 0, 100, 50, iscrowd=1),
        one(1, 2, 8, 8, 0, 0),
        one(2, 5, 200, 0, 10, 10),
    )
    write(tmp_path / "train.json", json.dumps(train))
    val = coco({1: "3.png"}, {1: "cat", 7: "dog"}, one(1, 7, 90, 0, 20, 50))
    write(tmp_path / "val.json", json.dumps(val))
    source = {"kind": "coco", "path": str(tmp_path / "{split}"), "annotations": str(tmp_path / "{split}.json")}
    recipe = a_recipe(source, max_bad=0.5)
    recipe = recipe.model_copy(
        update={
            "shard": recipe.shard.model_copy(update={"image": recipe.shard.image.model_copy(update={"short_side": 25})})
        }
    )
    dataset, first = made(recipe, tmp_path / "made")
    assert dataset.classes == ("cat", "dog", "eel")
    cat, dog = 0, 1
    assert stored(dataset, "train") == {
        "train/1.png": ((cat, dog), [[5, 2.5, 10, 5], [0, 0, 50, 25]], [dog, cat], [0, 1], [40, 5000]),
        "train/2.png": ((), [], [], [], []),
    }
    assert stored(dataset, "val") == {"val/3.png": ((dog,), [[45, 0, 50, 25]], [dog], [0], [500])}
    assert dataset.amounts == {"train": (1, 1, 0), "val": (0, 1, 0)}
    assert dataset.most_objects == {"train": 2, "val": 1}
    assert dataset.split("train").class_counts == (1, 1, 0)
    lines = [line.removeprefix("ingest: ") for line in said(first)]
    assert lines == [
        "class 0 cat: 1 train, 0 val",
        "class 1 dog: 1 train, 1 val",
        "class 2 eel: 0 train, 0 val",
        "1 boxes clipped at the border of their picture, such as in val/3.png",
        "1 boxes outside of their picture, such as in train/2.png: they are left out, and their pictures stay",
        "1 boxes without a size, such as in train/1.png: they are left out, and their pictures stay",
        "not in train, so not learned: 'eel'",
        "not in val, so not measured: 'cat', 'eel'",
        "data: 2 train, 1 val, 3 classes: cat 1+0, dog 1+1, eel 0+0",
    ]
    rows = read_rows(first.out / "samples.jsonl")
    assert rows[0]["objects"]["boxes"] == [[10, 5, 20, 10], [0, 0, 100, 50]]  # px of the source
    assert [row.keys() & {"settled", "classes"} for row in rows] == [set()] * 3
    assert of_listing(ingest.look(recipe))[0] == "data: 2 train, 1 val, 3 classes: cat 1+0, dog 2+1, eel 0+0"


def test_the_same_objects_as_voc_and_as_coco(tmp_path: Path) -> None:
    """As BCCD is: files of LabelImg, counted from 0, one of whose boxes has no size."""
    boxes = [("rbc", 10, 5, 20, 10), ("wbc", 1, 1, 100, 50), ("rbc", 7, 7, 7, 7)]
    names = {1: "rbc", 2: "wbc"}
    for i in range(4):
        picture(tmp_path / f"images/{i}.png")
        write(tmp_path / f"xml/{i}.xml", voc(*boxes[: i % 3 + 1], database="Unknown"))
    found = [
        one(i, 1 + (name == "wbc"), x0, y0, x1 - x0, y1 - y0)
        for i in range(4)
        for name, x0, y0, x1, y1 in boxes[: i % 3 + 1]
    ]
    write(tmp_path / "a.json", json.dumps(coco({i: f"{i}.png" for i in range(4)}, names, *found)))
    path = {"path": str(tmp_path / "images")}
    sources = [
        {"kind": "voc", **path, "annotations": str(tmp_path / "xml")},
        {"kind": "coco", **path, "annotations": str(tmp_path / "a.json")},
    ]
    datasets = [made(a_recipe(source, split=HALF), tmp_path / source["kind"])[0] for source in sources]
    for split in ("train", "val"):
        assert stored(datasets[0], split) == stored(datasets[1], split)
    assert datasets[0].amounts == datasets[1].amounts
    assert sum(map(sum, datasets[0].amounts.values())) == 1 + 2 + 2 + 1


def test_classes_of_a_mixture_go_by_their_names(tmp_path: Path) -> None:
    """In COCO's file a cat is 2, in YOLO's 0."""
    for i in range(4):
        picture(tmp_path / f"a/{i}.png")
        picture(tmp_path / f"b/images/{i}.png")
        write(tmp_path / f"b/labels/{i}.txt", "0 .15 .15 .1 .1\n")
    found = coco({i: f"{i}.png" for i in range(4)}, {1: "dog", 2: "cat"}, *(one(i, 2, 10, 5, 10, 5) for i in range(4)))
    write(tmp_path / "a.json", json.dumps(found))
    of = {
        "first": {"kind": "coco", "path": str(tmp_path / "a"), "annotations": str(tmp_path / "a.json")},
        "second": {"kind": "yolo", "path": str(tmp_path / "b/images"), "classes": ["cat", "eel"]},
    }
    dataset, first = made(a_recipe({"kind": "mixture", "of": of}, short_side=100, split=HALF), tmp_path / "made")
    assert dataset.classes == ("dog", "cat", "eel")
    read = stored(dataset, "train") | stored(dataset, "val")
    assert len(read) == 8
    assert [value[1:3] for value in read.values()] == [([[10, 5, 20, 10]], [1])] * 8
    assert (
        said(first)[1] == f"ingest: class 1 cat: {dataset.amounts['train'][1]} train, {dataset.amounts['val'][1]} val"
    )


def objects(*boxes: list[float], classes: list[int], size: tuple[int, int] = (8, 4)) -> bytes:
    return json.dumps({"size": size, "boxes": boxes, "classes": classes}).encode()


def test_objects_in_tars_of_others(tmp_path: Path) -> None:
    samples = {
        "0": objects([0, 0, 4, 4], [1, 1, 2, 2], classes=[3, 1]),
        "1": objects(classes=[]),
        "2": objects([0, 0, 12, 4], classes=[3]),
        "3": b"{}",
        "4": objects([0, 0, 4, 4], classes=[7]),
        "5": objects([0, 0, 2, 2], classes=[1]),
    }
    tars: dict[str, dict[str, bytes]] = {"a.tar": {}, "b.tar": {}}
    for key, content in samples.items():
        tars["a.tar" if key < "5" else "b.tar"] |= {f"{key}__jpg": jpeg(), f"{key}__json": content}
    urls, val_urls = (str(pack(tmp_path / name, **files)) for name, files in tars.items())
    source = {"kind": "webdataset", "urls": urls, "val_urls": val_urls, "members": {"objects.json": "json"}}
    named = {**source, "classes": {1: "cat", 3: "dog"}}
    dataset, first = made(a_recipe(named, max_bad=0.9), tmp_path / "made")
    assert {row["source"]: row["reason"] for row in read_rows(first.out / "quarantine.jsonl")} == {
        "a.tar/2": "its objects.json: a box is not in its picture of 8 x 4 px: x0, y0, x1, y1 = 0, 0, 12, 4",
        "a.tar/3": 'its objects.json: it has not the keys "size", "boxes" and "classes" of objects',
        "a.tar/4": "its objects.json: it has an object of the class 7; data.source.classes and ignore name 1, 3, 255: "
        "add it to one of them",
    }
    assert dataset.classes == ("cat", "dog")
    assert stored(dataset, "train") == {
        "a.tar/0": ((0, 1), [[0, 0, 4, 4], [1, 1, 2, 2]], [1, 0], [0, 0], [16, 1]),
        "a.tar/1": ((), [], [], [], []),
    }
    assert (dataset.amounts, dataset.most_objects) == ({"train": (1, 1), "val": (1, 0)}, {"train": 2, "val": 1})
    assert "ingest:   3 -> dog: 33.33% of the objects, in 1+0 pictures" in said(first)
    one_class = a_recipe({**named, "classes": {1: "cat", 3: "cat"}}, max_bad=0.9)
    assert made(one_class, tmp_path / "one")[0].classes == ("cat",)
    with pytest.raises(ZoetropeError) as caught:
        ingested(a_recipe(source, max_bad=0.9), tmp_path / "unnamed")
    assert str(caught.value).startswith(
        "data.source.classes: is not set, and the objects have these values:\n  1: 50.00"
    )
    with pytest.raises(ZoetropeError, match=r"names no objects, and task\.kind detection needs them"):
        ingested(a_recipe({**source, "members": {}}, max_bad=0.9), tmp_path / "none")


def test_a_few_samples_are_shown(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"images/{i}.png")
    found = coco({i: f"{i}.png" for i in range(4)}, {1: "dog"}, *(one(i, 1, 10, 5, 10, 5) for i in range(4)))
    write(tmp_path / "a.json", json.dumps(found))
    source = {"kind": "coco", "path": str(tmp_path / "images"), "annotations": str(tmp_path / "a.json")}
    shown = some_samples(a_recipe(source, split=HALF), tmp_path / "shown")
    assert np.allclose(next(iter(stored(shown, "train").values()))[1], np.array([10, 5, 20, 10]) * 20 / 50)
    assert shown.most_objects["train"] == 1


def test_no_object_at_all(tmp_path: Path) -> None:
    picture(tmp_path / "images/1.png")
    write(tmp_path / "a.json", json.dumps(coco({1: "1.png"}, {1: "dog"})))
    source = {"kind": "coco", "path": str(tmp_path / "images"), "annotations": str(tmp_path / "a.json")}
    with pytest.raises(ZoetropeError, match="shows no object in any picture"):
        ingest.look(a_recipe(source))


def test_finished_shards_keep_the_most_objects(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"images/{i}.png")
    found = coco({i: f"{i}.png" for i in range(4)}, {1: "dog"}, *(one(i, 1, 10, 5, 10, 5) for i in range(4)))
    write(tmp_path / "a.json", json.dumps(found))
    source = {"kind": "coco", "path": str(tmp_path / "images"), "annotations": str(tmp_path / "a.json")}
    _, second = ingested(a_recipe(source, split=HALF), tmp_path / "made")
    shard.run(second)
    before = open_dataset(second.out)
    shard.run(second)
    assert open_dataset(second.out) == before
    assert before.most_objects == {"train": 1, "val": 1}


def of_instances(source: dict[str, Any], **data: Any) -> Recipe:
    return of_masks(source, **data).model_copy(update={"task": Instances(kind="instances")})


def outlined(dataset: Dataset, split: str) -> dict[str, tuple[Any, ...]]:
    """Source -> boxes, classes, and the layers of the masks as the task draws them."""
    reader, task = ShardReader(dataset.files, split, NEEDS), instances.Instances(dataset.classes)
    found = {}
    for i in range(dataset.split(split).samples):
        raw = reader.read(0, i)
        of = raw.companion("objects.json")
        mask = task.companions(raw).mask
        assert mask is not None
        found[reader.source(0, i)] = (of.boxes.tolist(), of.classes.tolist(), mask.max(2).tolist())
    return found


def test_instance_maps_in_tars(tmp_path: Path) -> None:
    """Alone, all objects are of one class; beside objects.json the i-th has the number i + 1."""
    numbers = np.zeros((4, 8), np.uint16)
    numbers[0:2, 1:3], numbers[3, 4:8] = 1, 300
    empty = np.zeros_like(numbers)
    boxes: list[list[float]] = [[1, 0, 3, 2], [4, 3, 8, 4]]

    def packed(name: str, maps: dict[str, np.ndarray], **more: bytes) -> str:
        files: dict[str, bytes] = {}
        for key, own in maps.items():
            files |= {f"{key}__jpg": jpeg(), f"{key}__ids.png": png(own)}
            files |= {f"{key}__{extension}": content for extension, content in more.items()}
        return str(pack(tmp_path / name, **files))

    source = {
        "kind": "webdataset",
        "urls": packed("a.tar", {"0": numbers, "1": empty}),
        "val_urls": packed("b.tar", {"2": numbers}),
        "extensions": ["jpg"],
        "members": {"inst.png": "ids.png"},
    }
    dataset, _ = made(of_instances(source), tmp_path / "alone")
    assert dataset.classes == ("object",)
    drawn = np.where(numbers == 300, 2, numbers).tolist()
    assert outlined(dataset, "train") == {"a.tar/0": (boxes, [0, 0], drawn), "a.tar/1": ([], [], empty.tolist())}
    assert dataset.most_objects == {"train": 2, "val": 2}
    named = {**source, "classes": ["background", "nucleus"]}
    assert made(of_instances(named), tmp_path / "named")[0].classes == ("nucleus",)

    right = np.select([numbers == 300, numbers == 1], [1, 2]).astype(np.uint16)
    more = np.where(right == 1, [1, 1, 1, 1, 1, 1, 3, 3], right).astype(np.uint16)
    said_of = {"json": objects(*boxes[::-1], classes=[3, 1])}
    both = {
        **source,
        "urls": packed("c.tar", {"0": right, "1": numbers, "2": more}, **said_of),
        "val_urls": packed("d.tar", {"3": right}, **said_of),
        "members": {"inst.png": "ids.png", "objects.json": "json"},
        "classes": {1: "cat", 3: "dog"},
    }
    dataset, first = made(of_instances(both, max_bad=0.9), tmp_path / "both")
    assert outlined(dataset, "train") == {"c.tar/0": (boxes[::-1], [1, 0], right.tolist())}
    ending = ", and there are 2 objects in objects.json, whose pixels have the numbers from 1 on, in their order"
    assert {row["source"]: row["reason"] for row in read_rows(first.out / "quarantine.jsonl")} == {
        "c.tar/1": f"its inst.png: no pixel has the number 2{ending}",
        "c.tar/2": f"its inst.png: it has the number 3{ending}",
    }
