"""Masks from their sources to shards, by ingest and shard, and to a reader."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.decode.values import Values
from pipeline.graph.plan import Context
from pipeline.recipe import Recipe
from pipeline.recipe.schema import Data
from pipeline.recipe.tasks import Segmentation
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.sources.summary import of_listing
from pipeline.stages import ingest, shard
from pipeline.stages.json_lines import read_rows
from pipeline.store import Artifact
from pipeline.verbs.preview import some_samples
from tests.pipeline.stages.alone import a_context, said
from tests.pipeline.stages.test_adopt import pack
from tests.pipeline.stages.test_members import a_recipe as multilabel

pytestmark = pytest.mark.usefixtures("in_this_process")

NEEDS = frozenset({"seg.png"})
SKY, ROAD = 0, 1


def a_recipe(source: dict[str, Any], short_side: int = 20, **data: Any) -> Recipe:
    """A recipe of masks; of the task, the two stages know the section alone."""
    recipe = multilabel({"kind": "folder", "path": "unused"})
    image = recipe.shard.image.model_copy(update={"short_side": short_side})
    return recipe.model_copy(
        update={
            "task": Segmentation(kind="segmentation"),
            "data": Data.model_validate({"source": source, **data}),
            "shard": recipe.shard.model_copy(update={"image": image}),
        }
    )


def picture(width: int = 8, height: int = 4) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "JPEG")
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def halves(left: int, right: int, dtype: Any = np.uint8, width: int = 8, height: int = 4) -> np.ndarray:
    mask = np.full((height, width), left, dtype)
    mask[:, width // 2 :] = right
    return mask


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def ingested(recipe: Recipe, folder: Path) -> tuple[Context, Context]:
    """The contexts of ingest, which has run, and of shard."""
    first = a_context(recipe, folder / "ingest")
    facts = ingest.run(first)
    return first, a_context(recipe, folder / "shard", ingest=Artifact(first.out, {"facts": facts}))


def made(recipe: Recipe, folder: Path) -> tuple[Dataset, Context]:
    """The dataset, and the context of ingest."""
    first, second = ingested(recipe, folder)
    shard.run(second)
    return open_dataset(second.out), first


def stored(dataset: Dataset, split: str, name: str = "seg.png") -> dict[str, tuple[Any, list[list[int]]]]:
    """Source -> label and the companion's values."""
    reader = ShardReader(dataset.files, split, frozenset({name}))
    found = {}
    for number, listed in enumerate(dataset.split(split).shards):
        for i in range(listed.samples):
            raw = reader.read(number, i)
            found[reader.source(number, i)] = (raw.label, raw.companion(name).tolist())
    return found


def test_images_and_masks_with_values_of_their_own(tmp_path: Path) -> None:
    write(
        tmp_path / "data",
        {
            "images/train/1.jpg": picture(),
            "masks/train/1.png": png(halves(700, 11, np.uint16)),
            "images/train/2.jpg": picture(80, 40),
            "masks/train/2.png": png(halves(9, 700, np.uint16, 80, 40)),
            "images/val/3.jpg": picture(),
            "masks/val/3.png": png(halves(9, 9, np.uint16)),
            "images/val/value.jpg": picture(),
            "masks/val/value.png": png(halves(9, 8, np.uint16)),
            "images/val/size.jpg": picture(),
            "masks/val/size.png": png(halves(9, 9, np.uint16, 8, 3)),
            "images/val/lone.jpg": picture(),
        },
    )
    paths = {
        name: str(tmp_path / "data" / place / "{split}") for name, place in (("path", "images"), ("masks", "masks"))
    }
    source = {"kind": "images", **paths, "classes": {9: "sky", 10: "sea", 700: "road"}, "ignore": [11]}
    dataset, first = made(a_recipe(source, max_bad=0.9), tmp_path)
    assert dataset.classes == ("sky", "sea", "road")
    assert {row["source"]: row["reason"] for row in read_rows(first.out / "quarantine.jsonl")} == {
        "val/lone.jpg": f"it has no mask: there is no {tmp_path}/data/masks/val/lone.png",
        "val/value.jpg": "its seg.png: it has the value 8 in 16 pixels; data.source.classes and ignore name 9 to 11, "
        "255, 700: add it to one of them",
        "val/size.jpg": "its seg.png: it has 8 x 3 pixels, and its picture 8 x 4",
    }
    assert stored(dataset, "train") == {
        "train/1.jpg": ((2,), halves(2, 255).tolist()),
        "train/2.jpg": ((0, 2), halves(0, 2, width=40, height=20).tolist()),
    }
    assert stored(dataset, "val") == {"val/3.jpg": ((0,), halves(0, 0).tolist())}
    assert dataset.split("train").class_counts == (1, 0, 2)
    assert dataset.amounts == {"train": (400, 0, 416), "val": (32, 0, 0)}
    assert dataset.values is None  # what is stored needs none
    assert said(first) == [
        "ingest:   9 -> sky: 50.00% of the pixels, in 1+1 pictures",
        "ingest:   11 -> ignored: 0.49% of the pixels, in 1+0 pictures",
        "ingest:   700 -> road: 49.51% of the pixels, in 2+0 pictures",
        "ingest: not in train, so not learned: 'sea'",
        "ingest: not in val, so not measured: 'sea', 'road'",
        "ingest: data: 2 train, 1 val, 3 classes: sky 1+1, sea 0+0, road 2+0",
    ]
    assert [(row["value"], row["name"], row["pixels"]) for row in read_rows(first.out / "values.jsonl")] == [
        ("9", "sky", 1632),
        ("11", None, 16),
        ("700", "road", 1616),
    ]
    plain = of_listing(ingest.look(a_recipe(source)))
    assert plain[0] == "data: 2 train, 3 val, 3 classes: sky, sea, road"


def test_masks_whose_values_nobody_has_named(tmp_path: Path) -> None:
    images = {f"images/{i}.jpg": picture() for i in range(8)}
    write(tmp_path, images | {f"masks/{i}.png": png(halves(0, 255)) for i in range(8)})
    source = {"kind": "images", "path": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}
    recipe = a_recipe(source, split={"val": 0.5})
    (plain,) = of_listing(ingest.look(recipe))
    assert plain.endswith("; data.source.classes is not set: ingest says which values the masks have")
    for run in (
        lambda: ingest.run(a_context(recipe, tmp_path / "out")),
        lambda: some_samples(recipe, tmp_path / "some"),
    ):
        with pytest.raises(ZoetropeError, match=r"  0: 50.00% of the pixels(.|\n)*  255: 50.00% of the pixels"):
            run()
    binary = {**source, "classes": {0: "rest", 255: "cell"}}
    dataset, _ = made(a_recipe(binary, split={"val": 0.5}), tmp_path / "made")
    for split in ("train", "val"):
        assert {str(value) for value in stored(dataset, split).values()} == {str(((0, 1), halves(0, 1).tolist()))}
    shown = some_samples(a_recipe(binary, split={"val": 0.5}), tmp_path / "shown")
    assert next(iter(stored(shown, "train").values())) == ((0, 1), halves(0, 1).tolist())


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    write(tmp_path, {"images/1.jpg": picture(), "masks/1.png": png(halves(0, 255))})
    source = {"kind": "images", "path": str(tmp_path / "images"), "masks": str(tmp_path / "masks"), "classes": ["cell"]}
    with pytest.raises(ZoetropeError, match=r"data.source.classes: names one class only, 'cell', and a mask needs two"):
        ingest.look(a_recipe(source))


def test_instance_maps_are_stored_beside_the_masks_that_they_give(tmp_path: Path) -> None:
    write(tmp_path, {f"images/{i}.jpg": picture() for i in range(8)})
    write(tmp_path, {f"objects/{i}.png": png(halves(0, 300, np.uint16)) for i in range(8)})
    source = {"kind": "images", "path": str(tmp_path / "images"), "instances": str(tmp_path / "objects")}
    dataset, first = made(a_recipe(source, split={"val": 0.5}), tmp_path / "made")
    key, (label, mask) = next(iter(stored(dataset, "train").items()))
    assert (label, mask) == ((0, 1), halves(0, 1).tolist())
    assert stored(dataset, "train", "inst.png")[key][1] == halves(0, 300, np.uint16).tolist()
    assert said(first)[:2] == [
        "ingest:   0 -> background: 50.00% of the pixels, in 5+3 pictures",
        "ingest:   others -> object: 50.00% of the pixels, in 5+3 pictures",
    ]


def test_outlines_become_masks(tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 8, "height": 4} for i in range(3)]
    images[2]["width"] = 9
    box = {"category_id": 5, "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]]}
    for split in ("train", "val"):
        write(tmp_path / split, {f"{i}.jpg": picture() for i in range(3)})
        values = {"images": images, "categories": [{"id": 5, "name": "cat"}], "annotations": [{**box, "image_id": 1}]}
        (tmp_path / f"{split}.json").write_text(json.dumps(values))
    source = {"kind": "coco", "path": str(tmp_path / "{split}"), "annotations": str(tmp_path / "{split}.json")}
    dataset, first = made(a_recipe(source, max_bad=0.9), tmp_path / "made")
    assert dataset.classes == ("background", "cat")
    assert stored(dataset, "train") == {
        "train/0.jpg": ((0,), halves(0, 0).tolist()),
        "train/1.jpg": ((0, 1), halves(1, 0).tolist()),
    }
    assert read_rows(first.out / "quarantine.jsonl")[0] == {
        "source": "train/2.jpg",
        "stage": "ingest",
        "reason": "its annotations are of 9 x 4 pixels, and it has 8 x 4 as it is shown",
    }


def test_classes_of_masks_are_renamed_merged_and_left_out(tmp_path: Path) -> None:
    images = {f"images/{i}.jpg": picture() for i in range(8)}
    write(tmp_path, images | {f"masks/{i}.png": png(halves(i % 4, 2)) for i in range(8)})
    folders = {"path": str(tmp_path / "images"), "masks": str(tmp_path / "masks")}
    source = {"kind": "images", **folders, "classes": ["sky", "road", "path", "car"]}
    classes = {"merge": {"way": ["road", "path"]}, "keep": ["way", "sky"]}
    dataset, _ = made(a_recipe(source, split={"val": 0.5}, classes=classes), tmp_path / "made")
    assert dataset.classes == ("sky", "way")
    found = stored(dataset, "train") | stored(dataset, "val")
    assert {key: mask for key, (_, mask) in found.items()} == {
        f"{i}.jpg": halves((0, 1, 1, 255)[i % 4], 1).tolist() for i in range(8)
    }


def test_each_source_of_a_mixture_has_values_of_its_own(tmp_path: Path) -> None:
    of = {}
    for name, value, classes in (("a", 1, ["sky", "road"]), ("b", 0, ["road", "sky"])):
        files = {f"images/{i}.jpg": picture() for i in range(8)} | {
            f"masks/{i}.png": png(halves(value, 255)) for i in range(8)
        }
        write(tmp_path / name, files)
        folders = {"path": str(tmp_path / name / "images"), "masks": str(tmp_path / name / "masks")}
        of[name] = {"kind": "images", **folders, "classes": classes}
    dataset, _ = made(a_recipe({"kind": "mixture", "of": of}, split={"val": 0.5}), tmp_path / "made")
    assert dataset.classes == ("sky", "road")
    assert {str(value) for value in stored(dataset, "train").values()} == {str(((ROAD,), halves(ROAD, 255).tolist()))}


def tars(root: Path) -> dict[str, Any]:
    """Two tars without labels, their masks of 16 bits."""
    urls = {}
    for key, split in (("urls", "train"), ("val_urls", "val")):
        files: dict[str, bytes] = {}
        for i in range(2):
            files |= {f"{i}__jpg": picture(), f"{i}__mask__png": png(halves(700, 11 + i, np.uint16))}
        urls[key] = str(pack(root / f"{split}.tar", **files))
    return {"kind": "webdataset", **urls, "members": {"seg.png": "mask.png"}}


def test_masks_of_adopted_tars_mean_what_the_source_says(tmp_path: Path) -> None:
    source = {**tars(tmp_path), "classes": {700: "sky", 12: "road"}, "ignore": [11]}
    dataset, first = made(a_recipe(source), tmp_path / "made")
    assert dataset.classes == ("road", "sky")  # by their values
    assert stored(dataset, "train") == {
        "train.tar/0": ((1,), halves(1, 255).tolist()),
        "train.tar/1": ((0, 1), halves(1, 0).tolist()),
    }
    assert dataset.values == Values({12: 0, 700: 1, 255: 255, 11: 255})
    assert dataset.amounts == {"train": (16, 32), "val": (16, 32)}
    assert dataset.split("train").class_counts == (1, 2)
    assert "ingest:   12 -> road: 25.00% of the pixels, in 1+1 pictures" in said(first)


def test_values_of_adopted_tars_that_mean_nothing(tmp_path: Path) -> None:
    source = tars(tmp_path)
    with pytest.raises(ZoetropeError, match=r"data.source.classes: is not set(.|\n)*  700: 50.00% of the pixels"):
        ingested(a_recipe(source), tmp_path / "a")
    with pytest.raises(ZoetropeError, match=r"train.tar/1: its seg.png: it has the value 12 in 16 pixels"):
        ingested(a_recipe({**source, "classes": {700: "sky", 11: "road"}}), tmp_path / "b")
    with pytest.raises(ZoetropeError, match=r"data.source.members: names no masks, and task.kind segmentation needs"):
        ingested(a_recipe({**source, "members": {}}), tmp_path / "c")
