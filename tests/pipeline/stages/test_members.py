"""Companions from a source's listing to shards, and from the tars of these, adopted, to a reader again."""

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import encode_jpeg
from pipeline.decode.image_header import ORIENTATION
from pipeline.decode.members import MEMBERS
from pipeline.graph.plan import Context, fingerprint, read_values
from pipeline.recipe import Recipe, check, plain
from pipeline.recipe.sources import COMPANIONS
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.index import index_path, read_index
from pipeline.shards.reader import ShardReader
from pipeline.sources import SOURCES
from pipeline.sources.listing import Candidate, Listing
from pipeline.sources.rows import number_classes
from pipeline.stages import headers, ingest, shard
from pipeline.stages.json_lines import read_rows
from pipeline.store import Artifact, FolderStore
from pipeline.verbs.planning import GRAPH
from pipeline.verbs.verify import check_artifact
from tests.pipeline.stages.alone import a_context
from tests.pipeline.stages.test_adopt import pack

pytestmark = pytest.mark.usefixtures("in_this_process")

CAR, ROAD = 0, 1
MARK = "ab" * 16
FINGERPRINT = "71e7d37fcc677fbbefdce3712fbbd56e"
"""Of ingest, before there was `data.source.members`."""
NEEDS = frozenset({"seg.png"})


def a_recipe(source: dict[str, Any], kind: str = "image-multilabel", max_bad: float = 0.9) -> Recipe:
    values = {
        "name": "r",
        "task": {"kind": kind},
        "data": {"source": source, "max_bad": max_bad, "split": {"val": 0.4}},
        "shard": {"image": {"short_side": 20}},
        "model": {"kind": "resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 2},
    }
    return check(values, "r")


def jpeg(width: int, height: int, orientation: int = 1) -> bytes:
    """A photograph, which EXIF asks to turn."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def mask(width: int, height: int, value: int = CAR) -> np.ndarray:
    """A square of `value` at the left, of the mask's height; 255 beside it."""
    pixels = np.full((height, width), 255, np.uint8)
    pixels[:, :height] = value
    return pixels


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Pairs:
    """A source of the tests: pictures with masks, all of them with the label "road"."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.candidates = folder, list[Candidate]()
        folder.mkdir()

    def add(self, name: str, picture: bytes, seg: bytes | None, split: str = "train", url: bool = False) -> None:
        path, beside = self.folder / f"{name}.jpg", self.folder / f"{name}.png"
        path.write_bytes(picture)
        if seg is not None:
            beside.write_bytes(seg)
        members = {"seg.png": beside.as_uri() if url else str(beside)}
        labels = ("road",) if name != "car" else ("car",)
        self.candidates.append(Candidate(path.name, str(path), labels, split, members=members))

    def look(self, source: Any, task: Any, split: Any) -> Listing:
        return Listing(self.candidates, Counter(), False, "data.source.path", "pictures and masks", "")

    def digest(self, source: Any) -> str:
        return ""


def made(recipe: Recipe, folder: Path) -> tuple[Dataset, Context, list[dict[str, Any]]]:
    """What ingest and shard make: the dataset, the shard stage's context, and the rows of samples.jsonl."""
    first = a_context(recipe, folder / "ingest")
    facts = ingest.run(first)
    second = a_context(recipe, folder / "shard", ingest=Artifact(first.out, {"facts": facts}))
    shard.run(second)
    return open_dataset(second.out), second, read_rows(first.out / "samples.jsonl")


def masks(dataset: Dataset, split: str) -> dict[str, tuple[Any, tuple[int, int], list[list[int]]]]:
    """Source -> label, (height, width) of the picture, and the mask."""
    reader = ShardReader(dataset.files, split, NEEDS)
    found = {}
    for number, listed in enumerate(dataset.split(split).shards):
        for i in range(listed.samples):
            raw = reader.read(number, i)
            pixels = raw.companion("seg.png")
            found[reader.source(number, i)] = (raw.label, (raw.height, raw.width), pixels.tolist())
    return found


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pairs:
    source = Pairs(tmp_path / "data")
    monkeypatch.setitem(SOURCES, "folder", source)
    return source


def test_masks_become_members_of_shards(pairs: Pairs, tmp_path: Path) -> None:
    pairs.add("car", jpeg(8, 4), png(mask(8, 4, ROAD)))
    pairs.add("large", jpeg(80, 40), png(mask(80, 40)), url=True)  # twice too large: 20 px is the short side
    shown = np.tile(np.array([ROAD, CAR, CAR, 255], np.uint8), (8, 1))
    pairs.add("turned", jpeg(8, 4, orientation=6), png(shown))
    pairs.add("empty", jpeg(3, 2), png(np.full((2, 3), 255, np.uint8)), "val")
    pairs.add("on-its-side", jpeg(8, 4, orientation=6), png(mask(8, 4)))
    pairs.add("lone", jpeg(8, 4), None)
    pairs.add("unknown", jpeg(8, 4), png(mask(8, 4, 2)), "val")
    pairs.add("broken", jpeg(8, 4), png(mask(8, 4))[:-20], "val")
    recipe = a_recipe({"kind": "folder", "path": "unused"})
    dataset, context, rows = made(recipe, tmp_path)
    assert rows[0]["members"] == {"seg.png": str(tmp_path / "data" / "car.png")}
    assert {row["source"]: row["reason"] for row in read_rows(context.out / "quarantine.jsonl")} == {
        "on-its-side.jpg": "its seg.png: it has 8 x 4 pixels, and its picture 4 x 8 as it is shown: EXIF may turn a "
        "photograph, and a mask is saved as its picture is shown",
        "lone.jpg": f"its seg.png: there is no file {tmp_path}/data/lone.png",
        "unknown.jpg": "its seg.png: it has the value 2 in 16 pixels; values are the numbers of 2 classes, 0 to 1, and "
        "255 where no class counts",
        "broken.jpg": "its seg.png: the image is broken or cut off: a part of it ends behind the file",
    }
    assert masks(dataset, "train") == {
        "car.jpg": ((CAR, ROAD), (4, 8), mask(8, 4, ROAD).tolist()),
        "large.jpg": ((CAR, ROAD), (20, 40), mask(40, 20).tolist()),
        "turned.jpg": ((CAR, ROAD), (8, 4), shown.tolist()),
    }
    assert masks(dataset, "val") == {"empty.jpg": ((ROAD,), (2, 3), [[255] * 3] * 2)}
    assert dataset.amounts == {"train": (20 * 20 + 2 * 8, 4 * 4 + 8), "val": (0, 0)}
    assert shard.run(context)["train"] == 3  # finished shards are kept, and so are their amounts
    assert open_dataset(context.out) == dataset


def test_a_label_of_one_class_stays_beside_a_mask(pairs: Pairs, tmp_path: Path) -> None:
    for name, split in (("car", "train"), ("road", "train"), ("other", "val")):
        pairs.add(name, jpeg(8, 4), png(mask(8, 4)), split)
    dataset, _, _ = made(a_recipe({"kind": "folder", "path": "unused"}, "image-classification"), tmp_path)
    assert {key: label for key, (label, _, _) in masks(dataset, "train").items()} == {"car.jpg": CAR, "road.jpg": ROAD}
    assert dataset.split("train").class_counts == (1, 1)


def verified(folder: Path, store: FolderStore) -> list[tuple[str, str]]:
    """What `verify` says of a dataset folder in a store."""
    if not list(store.holdings()):
        with store.work("shard", MARK) as work:
            shutil.copytree(folder, work.out, dirs_exist_ok=True)
            store.publish(work, {"version": 1, "values": {}, "inputs": {}, "code": {}, "facts": {}, "run": "r"})
    (holding,) = store.holdings()
    return [(fault.file, fault.what) for fault in check_artifact(store, holding)]


def test_verify_reads_them_and_our_tars_can_be_adopted(pairs: Pairs, tmp_path: Path) -> None:
    pairs.add("car", jpeg(8, 4), png(mask(8, 4)))
    pairs.add("road", jpeg(8, 4), png(mask(8, 4, ROAD)), "val")
    ours, context, _ = made(a_recipe({"kind": "folder", "path": "unused"}), tmp_path)
    store, adopting = FolderStore(tmp_path / "store"), FolderStore(tmp_path / "adopting")
    assert verified(context.out, store) == []
    tar = store.root / "artifacts" / "shard" / MARK / "train" / "shard-000000.tar"
    urls = {key: f"{context.out}/{split}/*.tar" for key, split in (("urls", "train"), ("val_urls", "val"))}
    source = {"kind": "webdataset", **urls, "label": "json.classes", "members": {"seg.png": "seg.png"}}
    theirs, again, _ = made(a_recipe(source), tmp_path / "adopted")
    for split in ("train", "val"):
        assert [*masks(theirs, split).values()] == [*masks(ours, split).values()]
    assert verified(again.out, adopting) == []
    content = bytearray(tar.read_bytes())
    content[content.index(b"\x89PNG") + 20] ^= 1
    for path in (tar, context.out / "train" / "shard-000000.tar"):
        path.chmod(0o644)
        path.write_bytes(content)
    damaged = "is damaged: its sha256 is not that of its"
    assert verified(context.out, store) == [("train/shard-000000.tar", f"{damaged} dataset.json")]
    assert verified(again.out, adopting) == [(str(path), f"{damaged} index; this tar was changed after it was adopted")]


def test_masks_in_tars_of_others(tmp_path: Path) -> None:
    """Here jpg is the image and png its mask: two pictures by their extensions."""
    seg, voc = png(mask(8, 4)), Image.fromarray(mask(8, 4, ROAD))
    voc.putpalette([value for colour in range(256) for value in (colour, 255 - colour, 7)])
    voc.save(file := io.BytesIO(), "PNG")
    samples = {
        "0": (jpeg(8, 4), seg),
        "1": (jpeg(8, 4), file.getvalue()),
        "2": (jpeg(8, 4), None),
        "3": (jpeg(4, 8), seg),
        "4": (jpeg(8, 4), seg[:-20]),
        "5": (jpeg(8, 4), b"P5 8 4 255 "),
        "6": (jpeg(8, 4), seg),
        "7": (jpeg(8, 4), seg),
    }
    found: dict[str, dict[str, bytes]] = {"a.tar": {}, "b.tar": {}}
    for key, (picture, beside) in samples.items():
        files = found["a.tar" if key < "6" else "b.tar"]
        files |= {f"{key}__jpg": picture, f"{key}__cls": str(int(key) % 2).encode()}
        files |= {f"{key}__png": beside} if beside else {}
    urls, val_urls = (str(pack(tmp_path / name, **files)) for name, files in found.items())
    source = {"kind": "webdataset", "urls": urls, "val_urls": val_urls, "members": {"seg.png": "png"}}
    dataset, context, _ = made(a_recipe(source, "image-classification"), tmp_path)
    assert {row["source"]: row["reason"] for row in read_rows(context.out / "quarantine.jsonl")} == {
        "a.tar/2": "it has no seg.png: no member .png, but .cls .jpg; see data.source.members",
        "a.tar/3": "its seg.png: it has 8 x 4 pixels, and its picture 4 x 8 as it is shown: EXIF may turn a "
        "photograph, and a mask is saved as its picture is shown",
        "a.tar/4": "its seg.png: the image is broken or cut off: a part of it ends behind the file",
        "a.tar/5": "its seg.png: its content is no PNG, and a mask is one: a JPEG's values are not exact",
    }
    content = json.loads((context.out / "dataset.json").read_text())
    assert (content["schema"], content["members"], "amounts" in content) == (3, {"seg.png": "png"}, False)
    listed = dataset.split("train").shards[0]
    index = read_index(dataset.folder / index_path(Path(listed.name)), listed.bytes)
    assert index.extensions == ("jpg", "png")
    read = masks(dataset, "train") | masks(dataset, "val")
    assert {key: (label, pixels) for key, (label, _, pixels) in read.items()} == {
        "a.tar/0": (0, mask(8, 4).tolist()),
        "a.tar/1": (1, mask(8, 4, ROAD).tolist()),
        "b.tar/6": (0, mask(8, 4).tolist()),
        "b.tar/7": (1, mask(8, 4).tolist()),
    }
    assert verified(context.out, FolderStore(tmp_path / "store")) == []


def test_companions_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"members: unknown companion 'seg'; did you mean 'seg.png'"):
        a_recipe({"kind": "webdataset", "urls": "a.tar", "members": {"seg": "png"}})
    assert set(COMPANIONS) == MEMBERS.keys()


def test_a_source_that_names_no_companion_has_the_fingerprint_that_it_had() -> None:
    ingest_stage = GRAPH.stages["ingest"]
    source = {"kind": "webdataset", "urls": "/data/{0..9}.tar"}

    def mark(more: dict[str, Any]) -> str:
        values = plain(a_recipe({**source, **more}))
        return fingerprint(ingest_stage, read_values(ingest_stage, values), {}, "listing")

    assert mark({}) == mark({"members": {}}) == FINGERPRINT
    assert mark({"members": {"seg.png": "png"}}) != FINGERPRINT


def test_objects_that_annotations_hold(tmp_path: Path) -> None:
    """The row has them in px of the source, with what is wrong left out; the shard in px of what it stores."""
    path = tmp_path / "1.jpg"
    path.write_bytes(encode_jpeg(np.zeros((40, 80, 3), np.uint8), 90))
    boxes = [[0, 0, 20, 30], [8, 8, 8, 9], [70, 0, 90, 10], [81, 1, 85, 2]]
    objects = {"boxes": boxes, "classes": ["car", "road", "road", "car"], "size": [80, 40], "crowd": [0, 0, 2, 0]}
    (row,), _ = headers.probe_chunk("image", 60, [Candidate("1.jpg", str(path), ("car",), "train", objects=objects)])
    left = {"size": [80, 40], "boxes": [[0, 0, 20, 30], [70, 0, 80, 10]], "classes": ["car", "road"], "crowd": [0, 2]}
    assert (row["objects"], row["classes"]) == (left, ("car", "road"))
    assert row["settled"] == (
        {
            "without a size": 1,
            "outside of their picture": 1,
            "clipped at the border of their picture": 1,
        },
        [],
        None,
    )
    number_classes(row, {"car": CAR, "road": ROAD}, True)
    assert (row["objects"]["classes"], row["label"]) == ([CAR, ROAD], [CAR, ROAD])
    (sample,) = shard.store_samples([path], [row], ["car", "road"], a_recipe({"kind": "folder", "path": "unused"}))
    assert not isinstance(sample, Exception)
    assert json.loads(sample.members["objects.json"]) == {
        "size": [80, 40],
        "boxes": [[0, 0, 10, 15], [35, 0, 40, 5]],
        "classes": [CAR, ROAD],
        "crowd": [0, 2],
        "areas": [600, 100],
    }
    assert (sample.label, sample.class_name) == ((CAR, ROAD), ("car", "road"))
    assert (sample.amounts, sample.objects) == ({CAR: 1, ROAD: 1}, 2)


def test_objects_of_another_picture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(jpeg(8, 4, orientation=6))
    whole: dict[str, Any] = {"boxes": [[0, 0, 2, 3]], "classes": ["car"]}
    given = [
        Candidate(str(size), str(path), ("car",), "train", objects={**whole, "size": size}) for size in ([8, 4], [9, 9])
    ]
    _, bad = headers.probe_chunk("image", 60, given)
    assert [row["reason"] for row in bad] == [
        "its annotations are of 8 x 4 pixels, and it has 4 x 8 as it is shown: EXIF may turn a photograph, and boxes "
        "are of it as it is shown",
        "its annotations are of 9 x 9 pixels, and it has 4 x 8 as it is shown",
    ]
