"""Tars that `webdataset` alone has written are used as they lie; Ray tasks run in this process."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image, encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.graph.plan import Context
from pipeline.recipe import Recipe, check, load
from pipeline.recipe.schema import Classes
from pipeline.recipe.sources import WebDatasetSource
from pipeline.recipe.split import Split
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.quality import facts_warning
from pipeline.shards.reader import ShardReader
from pipeline.sources import digest, webdataset
from pipeline.sources.adopted import read_tar
from pipeline.stages import ingest, shard
from pipeline.stages.json_lines import read_rows
from pipeline.store import Artifact
from tests.pipeline.stages.alone import Told

CASES = Path(__file__).parents[2] / "cases"
pytestmark = pytest.mark.usefixtures("in_this_process")


def a_recipe(task: str = "image-classification", max_bad: float = 0.0, **source: Any) -> Recipe:
    values = {
        "name": "r",
        "task": {"kind": task},
        "data": {"source": {"kind": "webdataset", **source}, "split": {"val": 0.4}, "max_bad": max_bad},
        "model": {"kind": "tsm_resnet18" if task.startswith("video") else "resnet18"},
        "augment": {"train": [], "eval": []},
        "optimizer": {"kind": "sgd"},
        "train": {"duration": "1ep", "batch_size": 2},
    }
    return check(values, "r")


def adopted(recipe: Recipe, folder: Path) -> tuple[Dataset, dict[str, Any], Told]:
    """The dataset that ingest and shard make, what they return, and what they say."""
    told, facts = Told(), {}
    inputs: dict[str, Artifact] = {}
    for stage in (ingest, shard):
        out = folder / stage.STAGE.name
        out.mkdir(parents=True)
        context = Context(recipe, inputs, out, folder / "scratch", "0" * 32, None, told, folder, {})
        facts = stage.run(context)
        assert context.sha256s == {}
        inputs = {stage.STAGE.name: Artifact(out, {"facts": facts})}
    return open_dataset(folder / "shard"), facts, told


def jpeg(number: int) -> bytes:
    return encode_jpeg(np.full((20 + number, 30, 3), 5 * number, np.uint8), 90)


def sample(number: int) -> dict[str, Any]:
    return {
        "__key__": f"{number:05d}",
        "jpg": jpeg(number),
        "cls": number % 3,
        "json": {"meta": {"class": f"c{number % 3}"}},
    }


def write_tars(folder: Path, samples: Sequence[dict[str, Any]], each: int = 8) -> list[Path]:
    """As anybody writes them: `webdataset.ShardWriter` with its own encoders."""
    import webdataset as wds

    folder.mkdir(parents=True, exist_ok=True)
    with wds.ShardWriter(f"{folder}/train-%06d.tar", maxcount=each, verbose=0) as writer:
        for one in samples:
            writer.write(one)
    return sorted(folder.glob("*.tar"))


def pack(path: Path, **files: bytes) -> Path:
    """A tar of these members, `__` standing for a dot."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def read_all(dataset: Dataset) -> dict[str, tuple[Any, bytes, str]]:
    """Key -> label, data and split of every sample."""
    found = {}
    for name, split in dataset.splits.items():
        reader = ShardReader(dataset.files, name)
        for number, listed in enumerate(split.shards):
            for index in range(listed.samples):
                raw = reader.read(number, index)
                found[raw.key] = (raw.label, bytes(raw.data), name)
    return found


def test_tars_of_webdatasets_writer(tmp_path: Path) -> None:
    tars = write_tars(tmp_path / "data", [sample(i) for i in range(20)])
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in tars]
    dataset, facts, _ = adopted(a_recipe(urls=f"{tmp_path}/data/train-{{000000..000002}}.tar"), tmp_path / "made")
    assert (facts["train"] + facts["val"], facts["quarantined"]) == (20, 0)
    assert dataset.classes == ("0", "1", "2")
    found = read_all(dataset)
    assert {key: one[:2] for key, one in found.items()} == {f"{i:05d}": (i % 3, jpeg(i)) for i in range(20)}
    assert {one[2] for one in found.values()} == {"train", "val"}
    # One tar serves both splits; nothing is copied, and nothing written to what is not ours.
    listed = [shard for split in dataset.splits.values() for shard in split.shards]
    assert len({one.at for one in listed}) == 3 < len(listed)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in tars] == before
    assert not list((tmp_path / "made").rglob("*.tar"))
    assert {one.sha256 for one in listed} == {hashlib.sha256(content).hexdigest() for content, _ in before}
    raw = ShardReader(dataset.files, "train").read(0, 0)
    assert decode_image(raw.data).shape == (raw.height, raw.width, 3)


def test_labels_from_json_and_a_split_of_its_own(tmp_path: Path) -> None:
    write_tars(tmp_path / "train", [sample(i) for i in range(12)])
    write_tars(tmp_path / "val", [sample(i) for i in range(12, 20)])
    recipe = a_recipe(urls=f"{tmp_path}/train/*.tar", val_urls=[f"{tmp_path}/val/*.tar"], label="json.meta.class")
    dataset, _, _ = adopted(recipe, tmp_path / "made")
    assert dataset.classes == ("c0", "c1", "c2")
    assert {key: (one[0], one[2]) for key, one in read_all(dataset).items()} == {
        f"{i:05d}": (i % 3, "train" if i < 12 else "val") for i in range(20)
    }


def test_tars_of_test_and_equal_shares_of_each_class(tmp_path: Path) -> None:
    write_tars(tmp_path / "train", [sample(i) for i in range(12)])
    write_tars(tmp_path / "test", [sample(i) for i in range(12, 20)])
    recipe = a_recipe(urls=f"{tmp_path}/train/*.tar", test_urls=f"{tmp_path}/test/*.tar", label="json.meta.class")
    data = recipe.data.model_copy(update={"split": Split(val=0.25, stratify=True)})
    dataset, facts, _ = adopted(recipe.model_copy(update={"data": data}), tmp_path / "made")
    assert {name: facts[name] for name in ("train", "val", "test")} == {"train": 9, "val": 3, "test": 8}
    assert dataset.split("val").class_counts == (1, 1, 1)
    assert sorted(key for key, one in read_all(dataset).items() if one[2] == "test") == [
        f"{i:05d}" for i in range(12, 20)
    ]
    assert ShardReader(dataset.files, "test").source(0, 1) == "train-000000.tar/00013"


def test_whole_numbers_that_json_writes_as_floats(tmp_path: Path) -> None:
    recipe = a_recipe(urls=str(CASES / "labels_json_float.tar"), label="json.label")
    assert isinstance(recipe.data.source, WebDatasetSource)
    tar = read_tar(str(CASES / "labels_json_float.tar"), recipe.data.source, recipe.task, 60)
    assert [(row["name"], row["classes"]) for row in tar.samples] == [
        ("0", ("0",)),
        ("1", ("1",)),
        ("2", ("0",)),
        ("3", ("1",)),
    ]
    assert tar.bad == []


def test_json_members_that_are_the_label(tmp_path: Path) -> None:
    labels = [b"10", b" 9.0 ", b'"x"', b"\xef\xbb\xbf9"] * 4
    files = {f"{i}__{e}": d for i, label in enumerate(labels) for e, d in (("jpg", jpeg(1)), ("json", label))}
    path = pack(tmp_path / "a.tar", **files)
    dataset, _, _ = adopted(a_recipe(urls=str(path), label="json"), tmp_path / "made")
    assert dataset.classes == ("9", "10", "x")
    assert [read_all(dataset)[str(i)][0] for i in range(4)] == [1, 0, 2, 0]
    write_tars(tmp_path / "objects", [sample(i) for i in range(10)])
    with pytest.raises(ZoetropeError, match=r"its json is an object; set data\.source\.label to one of json\.meta\n"):
        adopted(a_recipe(urls=f"{tmp_path}/objects/*.tar", label="json"), tmp_path / "refused")


def test_text_with_a_byte_order_mark(tmp_path: Path) -> None:
    labels = [b"\xef\xbb\xbf%d\r\n" % (i % 2) for i in range(10)]
    files = {f"{i}__{e}": d for i, label in enumerate(labels) for e, d in (("jpg", jpeg(1)), ("cls", label))}
    assert adopted(a_recipe(urls=str(pack(tmp_path / "a.tar", **files))), tmp_path / "made")[0].classes == ("0", "1")


def test_sets_of_labels(tmp_path: Path) -> None:
    labels = [["a"], ["b", "a"], [], ["b"]] * 5
    samples = [{"__key__": f"{i}", "jpg": jpeg(1), "json": {"labels": one}} for i, one in enumerate(labels)]
    write_tars(tmp_path / "data", samples)
    recipe = a_recipe("image-multilabel", urls=f"{tmp_path}/data/*.tar", label="json.labels")
    found = read_all(adopted(recipe, tmp_path / "made")[0])
    assert [found[str(i)][0] for i in range(4)] == [(0,), (0, 1), (), (1,)]


def test_videos(tmp_path: Path) -> None:
    videos = [encode(np.full((4 + i, 32, 48, 3), 9 * i, np.uint8), fps=8) for i in range(10)]
    write_tars(tmp_path / "data", [{"__key__": f"{i}", "mp4": one, "cls": i % 2} for i, one in enumerate(videos)])
    dataset, _, _ = adopted(a_recipe("video-classification", urls=f"{tmp_path}/data/*.tar"), tmp_path / "made")
    reader = ShardReader(dataset.files, "train")
    for index in range(dataset.split("train").shards[0].samples):
        raw = reader.read(0, index)
        assert (raw.frames, raw.width, raw.height) == (4 + int(raw.key), 48, 32)


def test_folders_in_names_and_keys_that_repeat_in_other_tars(tmp_path: Path) -> None:
    for number in range(2):
        files = {
            f"v1.0/{name}/{i}__{end}": data
            for i in range(5)
            for name, end, data in [("a", "jpg", jpeg(i + 10 * number)), ("a", "cls", b"x" if i % 2 else b"y")]
        }
        pack(tmp_path / f"{number}.tar", **files)
    dataset, facts, _ = adopted(a_recipe(urls=f"{tmp_path}/?.tar"), tmp_path / "made")
    assert facts["train"] + facts["val"] == 10
    assert set(read_all(dataset)) == {f"v1.0/a/{i}" for i in range(5)}
    assert dataset.classes == ("x", "y")


def test_an_empty_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()
    with pytest.raises(ZoetropeError, match=r"a\.tar: this tar is empty"):
        adopted(a_recipe(urls=str(tmp_path / "a.tar")), tmp_path / "made")


def test_members_that_do_not_follow_each_other(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", a__jpg=jpeg(0), b__jpg=jpeg(1), a__cls=b"0", b__cls=b"1")
    with pytest.raises(ZoetropeError, match=r"a\.tar: the members of the key 'a' do not follow each other; 'a\.cls'"):
        adopted(a_recipe(urls=str(path)), tmp_path / "made")


def good(count: int = 10) -> dict[str, bytes]:
    return {f"{i}__{end}": data for i in range(count) for end, data in [("jpg", jpeg(i)), ("cls", b"%d" % (i % 2))]}


BAD: dict[str, tuple[dict[str, bytes], dict[str, Any], str]] = {
    "no label": ({"x__jpg": jpeg(1)}, {}, r"it has no label: no member \.cls, but \.jpg; see data\.source\.label"),
    "a pickled label": ({"x__jpg": jpeg(1), "x__pyd": b"\x80\x04."}, {"label": "pyd"}, "nothing is unpickled here"),
    "an empty label": ({"x__jpg": jpeg(1), "x__cls": b" "}, {}, "its label is empty"),
    "a huge label": ({"x__jpg": jpeg(1), "x__cls": b"1" * (2 << 20)}, {}, "has 2,097,152 bytes, and may have"),
    "no such key": (
        {"x__jpg": jpeg(1), "x__json": b'{"class": 1}'},
        {"label": "json.label"},
        r"its \.json has no key 'label', but class; see data\.source\.label",
    ),
    "an object": (
        {"x__jpg": jpeg(1), "x__json": b'{"label": {"name": "a", "number": 1}}'},
        {"label": "json.label"},
        r"its json\.label is an object; set data\.source\.label to one of json\.label\.name, json\.label\.number",
    ),
    "half a number": (
        {"x__jpg": jpeg(1), "x__json": b'{"label": 1.5}'},
        {"label": "json.label"},
        "its label 1.5 is neither text nor a whole number",
    ),
    "no JSON": ({"x__jpg": jpeg(1), "x__json": b"{" * 100_000}, {"label": "json.label"}, r"its \.json is no JSON"),
    "nested": (
        {"x__jpg": jpeg(1), "x__json": b"[" * 100_000 + b"]" * 100_000},
        {"label": "json.label"},
        r"its \.json is no JSON",
    ),
    "two labels": (
        {"x__jpg": jpeg(1), "x__json": b'{"label": ["a", "b"]}'},
        {"label": "json.label"},
        "it has 2 labels, and task.kind asks for one",
    ),
    "no image": (
        {"x__txt": b"hi", "x__cls": b"1"},
        {},
        r"no member is the image: it has \.cls \.txt; data\.source\.ext",
    ),
    "two images": ({"x__jpg": jpeg(1), "x__png": b"", "x__cls": b"1"}, {}, r"several images, \.jpg \.png; say which"),
    "a dot in the key": (
        {"x__1__jpg": jpeg(1), "x__1__cls": b"1"},
        {},
        r"it has \.1\.cls \.1\.jpg, since WebDataset ends a key at the first dot",
    ),
    "no JPEG": ({"x__jpg": b"GIF89a, and no JPEG", "x__cls": b"1"}, {}, "its content is no image that can be read"),
    "an empty image": ({"x__jpg": b"", "x__cls": b"1"}, {}, "zero bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_samples_are_left_out_with_the_reason(name: str, tmp_path: Path) -> None:
    files, source, reason = BAD[name]
    if label := source.get("label", "").rpartition(".")[2]:
        others = {
            f"{i}__{end}": data
            for i in range(10)
            for end, data in [
                ("jpg", jpeg(i)),
                (
                    source["label"].partition(".")[0],
                    json.dumps({label: f"c{i % 2}"}).encode() if "json" in source["label"] else b"1",
                ),
            ]
        }
    else:
        others = good()
    path = pack(tmp_path / "a.tar", **others, **files)
    with pytest.raises(ZoetropeError, match=rf"^1 of 11 files cannot be used.*\n  a\.tar/x: .*{reason}"):
        adopted(a_recipe(urls=str(path), **source), tmp_path / "strict")
    if name == "a pickled label":
        return
    dataset, facts, _ = adopted(a_recipe(urls=str(path), max_bad=0.1, **source), tmp_path / "lenient")
    assert (facts["train"] + facts["val"], facts["quarantined"]) == (10, 1)
    assert read_rows(tmp_path / "lenient" / "shard" / "quarantine.jsonl")[0]["source"] == "a.tar/x"
    assert "x" not in read_all(dataset)


@pytest.mark.parametrize(
    ("image", "reason"),
    [("x__jpg", "its content is no image that can be read"), ("x__heic", r"no member is the image: it has \.cls \.he")],
)
def test_a_class_whose_samples_are_all_bad_is_lost(image: str, reason: str, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", **good(), **{image: b"no image", "x__cls": b"eel"})
    says = rf"^data\.source\.urls: nothing of class 'eel' can be used; of 'eel' there is a\.tar/x, which .*: {reason}"
    with pytest.raises(ZoetropeError, match=says):
        adopted(a_recipe(urls=str(path), max_bad=0.1), tmp_path / "made")
    recipe = a_recipe(urls=str(path), max_bad=0.1)
    data = recipe.data.model_copy(update={"classes": Classes(keep=["0", "1"])})
    assert len(adopted(recipe.model_copy(update={"data": data}), tmp_path / "kept")[0].classes) == 2


def test_a_tar_behind_a_tar_is_not_lost_in_silence() -> None:
    case = Path(__file__).parents[2] / "cases" / "two_tars_put_together_by_cat.tar"
    with tarfile.open(case) as first, tarfile.open(case, ignore_zeros=True) as both:
        assert (len(first.getnames()), len(both.getnames())) == (8, 16)
    source = WebDatasetSource(kind="webdataset", urls=str(case))
    with pytest.raises(ZoetropeError, match=rf"^{case}: this tar goes on .* mark, at byte 20,480: .* again"):
        read_tar(str(case), source, a_recipe(urls=str(case)).task, 60)


@pytest.mark.parametrize("blocks", [1, 2, 20])
def test_a_tar_without_files_is_a_bad_sample(blocks: int, tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", **good())
    (tmp_path / "b.tar").write_bytes(bytes(512 * blocks))
    with pytest.raises(ZoetropeError, match=r"^1 of 11 .*\n  .*/b\.tar: this tar is empty: it holds no file"):
        adopted(a_recipe(urls=f"{tmp_path}/*.tar"), tmp_path / "strict")
    _, facts, _ = adopted(a_recipe(urls=f"{tmp_path}/*.tar", max_bad=0.1), tmp_path / "lenient")
    assert (facts["train"] + facts["val"], facts["quarantined"]) == (10, 1)


def test_a_file_of_zero_bytes_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"")
    with pytest.raises(ZoetropeError, match=r"/b\.tar: this tar is empty"):
        adopted(a_recipe(urls=f"{tmp_path}/b.tar"), tmp_path / "made")


def test_tars_without_any_label(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", **{f"{i}__jpg": jpeg(i) for i in range(9)})
    with pytest.raises(ZoetropeError, match=r"9 of 9 files cannot be used(.|\n)*no label: no member \.cls, but \.jpg"):
        adopted(a_recipe(urls=str(path)), tmp_path / "made")


def test_a_tar_that_was_changed_after_it_was_adopted(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", **good())
    source = {"data": {"source": {"kind": "webdataset", "urls": str(path)}}}
    before = digest(source["data"]["source"])
    dataset, _, _ = adopted(a_recipe(urls=str(path)), tmp_path / "made")
    pack(path, **good(20))
    assert digest(source["data"]["source"]) != before
    with pytest.raises(ZoetropeError, match=r"a\.tar: this tar was changed after it was adopted"):
        ShardReader(dataset.files, "train").read(0, 0)
    path.unlink()
    with pytest.raises(ZoetropeError, match=r"a\.tar: this shard cannot be read"):
        ShardReader(dataset.files, "train").read(0, 0)
    with pytest.raises(ZoetropeError, match=r"data\.source\.urls: no tar is named|there is no tar"):
        digest(source["data"]["source"])


def test_what_is_hidden_is_passed_over_and_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", **good(), **{"__hidden": b"", "README": b"hello"})
    told = adopted(a_recipe(urls=str(path)), tmp_path / "made")[2]
    assert "ingest: files passed over: 2 x hidden or without an extension" in told.said


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("/nowhere/*.tar", r"data\.source\.urls: no tar is named '/nowhere/\*\.tar'"),
        ([], "names no tar"),
        ("/a/{0..1.tar", "braces that do not match"),
        (["/a/0.tar", "/a/{0..1}.tar"], "the tar /a/0.tar is named twice"),
        ("https://host/a-*.tar", "a web server does not list its files"),
        ("ftp://host/a.tar", "unknown protocol 'ftp'"),
        ("https://me:secret@host/a.tar", "holds a password or a signature"),
    ],
)
def test_patterns_that_mean_nothing(urls: Any, message: str) -> None:
    with pytest.raises(ZoetropeError, match=message) as caught:
        webdataset.tars(WebDatasetSource(kind="webdataset", urls=urls))
    assert "secret" not in str(caught.value)


def test_relative_paths_start_from_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "{name: r, task: {kind: image-classification}, model: {kind: resnet18}, augment: {train: [], eval: []}, "
        "data: {source: {kind: webdataset, urls: ['a-{0..1}.tar', 's3://b/c.tar'], val_urls: v/*.tar}}, "
        "optimizer: {kind: sgd}, train: {duration: 1ep, batch_size: 2}}"
    )
    source = load(tmp_path / "r.yaml").data.source
    assert isinstance(source, WebDatasetSource)
    assert source.urls == [f"{tmp_path}/a-{{0..1}}.tar", "s3://b/c.tar"]
    assert source.val_urls == f"{tmp_path}/v/*.tar"


def test_remote_tars_are_fetched_when_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pipeline.sources.path_or_url.PROTOCOLS", ("memory",))
    tar = pack(tmp_path / "a.tar", **good())
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/adopt/a-0.tar", tar.read_bytes())
    try:
        dataset, _, _ = adopted(a_recipe(urls="memory://adopt/a-*.tar"), tmp_path / "made")
        assert len(read_all(dataset)) == 10
        assert {one.at for split in dataset.splits.values() for one in split.shards} == {"memory:///adopt/a-0.tar"}
        for blob in (tmp_path / "cache" / "blobs").rglob("*"):
            if blob.is_file():
                blob.unlink()
        dataset.fetch("train", "val")
        assert len(read_all(dataset)) == 10
        for blob in (tmp_path / "cache" / "blobs").rglob("*"):
            if blob.is_file():
                blob.unlink()
        filesystem.pipe_file("/adopt/a-0.tar", tar.read_bytes()[:-1] + b"x")
        with pytest.raises(ZoetropeError, match=r"a-0\.tar is not what it was .* was changed after it was adopted"):
            dataset.fetch("train", "val")
    finally:
        filesystem.rm("/adopt", recursive=True)


@pytest.mark.parametrize(("order", "window", "told"), [(sorted, 256, True), (sorted, 2048, False), (list, 256, False)])
def test_tars_that_are_sorted_by_class_are_told(
    order: Callable[..., list[int]], window: int, told: bool, tmp_path: Path
) -> None:
    labels = order(np.random.default_rng(0).integers(0, 4, 700).tolist())
    files = {
        f"{i:03d}__{end}": data
        for i, label in enumerate(labels)
        for end, data in [("jpg", jpeg(1)), ("cls", b"%d" % label)]
    }
    facts = adopted(a_recipe(urls=str(pack(tmp_path / "a.tar", **files))), tmp_path / "made")[1]
    assert (facts_warning(facts, window) is not None) == told


def test_other_classes_than_the_labels(tmp_path: Path) -> None:
    labels = ["car", "bus", "01", "1", "cat"]
    write_tars(tmp_path / "data", [{"__key__": f"{i}", "jpg": jpeg(1), "cls": labels[i % 5]} for i in range(40)])
    recipe = a_recipe(urls=f"{tmp_path}/data/*.tar")
    data = recipe.data.model_copy(update={"classes": Classes(merge={"vehicle": ["car", "bus"]}, keep=["vehicle", "1"])})
    dataset, facts, told = adopted(recipe.model_copy(update={"data": data}), tmp_path / "made")
    assert dataset.classes == ("1", "vehicle")
    assert facts["train"] + facts["val"] == 32
    assert {key: one[0] for key, one in read_all(dataset).items()} == {
        f"{i}": [1, 1, 0, 0][i % 5] for i in range(40) if i % 5 < 4
    }
    assert "ingest: files passed over: 8 x of classes that data.classes.keep leaves out" in told.said
    assert "ingest: the labels '01', '1' are one number, and one class" in told.said
