"""Pictures of other channels and bits: from their files to an ONNX file, in this process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from pipeline.base.bands import Bands
from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import decode_image, encode_lossless
from pipeline.exported.files import named
from pipeline.exported.lineage import Lineage
from pipeline.exported.model import load_model
from pipeline.exported.predictor import Predictor
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import Recipe, check
from pipeline.recipe.sources import ImagesSource, MixtureSource
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import Segmentation
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import write_dataset, write_shard
from pipeline.sources import look_at
from pipeline.sources.rows import number_classes
from pipeline.stages.export import write_model
from pipeline.stages.headers import probe_chunk
from pipeline.stages.ingest import look
from pipeline.stages.measure import Trained, pictures
from pipeline.stages.shard import store_sample
from pipeline.stages.train import WEIGHTS
from pipeline.training.checkpoint import State, final_weights, read, save_weights
from pipeline.training.distributed import Process
from pipeline.training.first_batch import first_states
from pipeline.training.loop import train
from pipeline.verbs.export import Asked, export_into
from tests.conftest import tiny_values
from tests.pipeline.decode.tiffs import tiff

CLASSES = ("falls", "rises")
STEPS = {"train": [{"RandomCrop": {"height": 16, "width": 16}}], "eval": [{"CenterCrop": {"height": 16, "width": 16}}]}


def picture(bands: Bands, label: int, seed: int) -> np.ndarray:
    """[20, 24, C]: the last channel tells the classes apart, and any other is noise."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, bands.white // 8, (20, 24, bands.channels))
    pixels[..., -1] += bands.white * 3 // 4 * label
    return pixels.astype(bands.dtype)


def as_png(pixels: np.ndarray) -> bytes:
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(pixels.shape[-1])
    return cv2.imencode(".png", pixels if order is None else cv2.cvtColor(pixels, order))[1].tobytes()


CASES: dict[str, tuple[Bands, str, Callable[[np.ndarray], bytes]]] = {
    "grey": (Bands(1), "png", as_png),
    "4 bands of 16 bits": (Bands(4, 16), "tif", tiff),
}


def a_recipe(folder: Path, bands: Bands, **changes: Any) -> Recipe:
    """A recipe for the classes in `folder`."""
    values = tiny_values(
        "image",
        **{
            "data.source": {"kind": "folder", "path": str(folder)},
            "data.channels": bands.channels,
            "data.bits": bands.bits,
            "augment": {**STEPS, "mean": [0.3] * bands.channels, "std": [0.2] * bands.channels},
            "mixing": {"kind": "mixup"},
            "train.duration": "10ep",
            "train.evaluate": "10ep",
            "train.checkpoint": "10ep",
            **changes,
        },
    )
    return check(values, "a test's recipe")


def stored(recipe: Recipe, folder: Path) -> Dataset:
    """What ingest and shard make of the recipe's source."""
    listing = look(recipe)
    classes = listing.classes()
    rows, bad = probe_chunk("image", 60.0, listing.candidates, bands=recipe.data.bands)
    assert not bad
    shards = {}
    for split in ("train", "val"):
        mine = [row for row in rows if row["split"] == split]
        for row in mine:
            number_classes(row, {name: number for number, name in enumerate(classes)}, False)
        samples = [store_sample(row["path"], row, classes, recipe) for row in mine]
        shards[split] = [write_shard(folder, split, 0, 0, samples)]
    write_dataset(folder, "image", classes, shards)
    return open_dataset(folder)


def trained(recipe: Recipe, dataset: Dataset, folder: Path) -> dict[str, float]:
    """Train, and export into `folder`; the last metrics."""

    def keep(step: int, state: State, metrics: dict[str, float]) -> None:
        target = folder / "checkpoint"
        target.mkdir(parents=True, exist_ok=True)
        state.save(target)

    metrics = train(recipe, dataset, Process(), lambda *_: None, keep)
    save_weights(final_weights(read(folder / "checkpoint")), folder / WEIGHTS)
    (folder / "classes.json").write_text(json.dumps(dataset.classes))
    write_model(recipe, folder, folder)
    return metrics


@pytest.mark.parametrize("name", ["grey", pytest.param("4 bands of 16 bits", marks=pytest.mark.slow)])
def test_pictures_of_any_channels_go_from_file_to_onnx(tmp_path: Path, name: str) -> None:
    bands, suffix, encoded = CASES[name]
    for split, count in (("train", 12), ("val", 4)):
        for label, class_name in enumerate(CLASSES):
            for i in range(count):
                path = tmp_path / "source" / split / class_name / f"{i}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(picture(bands, label, 100 * label + i + len(split))))
    recipe = a_recipe(tmp_path / "source", bands)
    assert recipe.model.in_channels == bands.channels
    dataset = stored(recipe, tmp_path / "shards")
    assert trained(recipe, dataset, tmp_path / "run")["val/top1"] == 1.0

    # as people see them: three channels of 8 bits
    assert {pixels.shape[-1] for states in first_states(recipe, dataset) for pixels, _ in states} == {3}
    ((shown, _),) = pictures([Trained(recipe, tmp_path / "run" / WEIGHTS)], dataset, np.array([0]))
    assert (shown.shape, shown.dtype) == ((16, 16, 3), np.uint8)

    # files and arrays are answered alike
    model = load_model(str(tmp_path / "run" / "model"))
    files = sorted((tmp_path / "source" / "val").rglob(f"*.{suffix}"))
    assert [one.answer["label"] for one in model.predict(files)] == [file.parent.name for file in files]
    pixels = picture(bands, 1, 100 + 3)
    one = model.predict(pixels, draw=True)
    assert one.answer == model.predict(encode_lossless(pixels, bands)[0]).answer
    assert one.drawing is not None
    assert (one.drawing.pixels.shape, one.drawing.pixels.dtype) == ((20, 24, 3), np.uint8)

    # and ONNX says the same
    predictor = Predictor(tmp_path / "run" / "model", device="cpu")
    asked = Asked(samples=files, tolerance=1e-5, preprocess=True)
    (out := tmp_path / "onnx").mkdir()
    export_into(out, predictor, predictor.folder, Lineage(), asked, Console(quiet=True))
    about = json.loads((out / "preprocessing.json").read_text())
    assert about["inputs"]["pixels"] == {"dtype": bands.dtype, "shape": ["batch", 16, 16, bands.channels]}
    assert (about["colours"], about["white"]) == (bands.colours, bands.white)
    given = files[-1]
    if not bands.as_files:
        np.save(given := tmp_path / "given.npy", picture(bands, 1, 100 + 3 + 3))
    done = subprocess.run([sys.executable, out / "example.py", given], capture_output=True, text=True)
    assert done.stdout.split()[1:2] == ["rises"], done.stderr


def test_a_table_names_npy_files(tmp_path: Path) -> None:
    bands, lines = Bands(5, 16), ["path,label,split"]
    for i in range(6):
        np.save(tmp_path / f"{i}.npy", picture(bands, i % 2, i))
        lines.append(f"{i}.npy,{CLASSES[i % 2]},{'train' if i < 4 else 'val'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    recipe = a_recipe(tmp_path, bands, **{"data.source": {"kind": "table", "path": str(tmp_path / "table.csv")}})
    dataset = stored(recipe, tmp_path / "shards")
    reader = ShardReader(dataset.files, "val")
    for number in range(2):
        raw, name = reader.read(0, number), reader.source(0, number)
        assert raw.extension == "npy"
        np.testing.assert_array_equal(decode_image(raw.data, bands), np.load(tmp_path / name))


@pytest.mark.parametrize("bands", [Bands(5, 16), Bands(2)], ids=str)
def test_folders_of_npy_and_of_tiff_with_lzw(tmp_path: Path, bands: Bands) -> None:
    """From folders to a batch; `.npy` is passed over where pictures are no arrays."""
    drawn: dict[str, np.ndarray] = {}
    for split, count in (("train", 4), ("val", 2)):
        for label, class_name in enumerate(CLASSES):
            for i in range(count):
                key = f"{split}/{class_name}/{i}.{('npy', 'tif')[i % 2]}"
                drawn[key] = picture(bands, label, len(drawn))
                path = tmp_path / "source" / key
                path.parent.mkdir(parents=True, exist_ok=True)
                if i % 2:
                    path.write_bytes(tiff(drawn[key], compression="tiff_lzw", differences=True))
                else:
                    np.save(path, drawn[key])
    recipe = a_recipe(tmp_path / "source", bands)
    dataset = stored(recipe, tmp_path / "shards")
    source = BatchSource(recipe, dataset, "val")
    arrays = new_arrays(source.layout())
    BatchMaker(source).make(0, 0, arrays)
    assert arrays["pixels"].dtype == bands.dtype
    reader = ShardReader(dataset.files, "val")
    for number in range(4):
        pixels = drawn[reader.source(0, number)]
        np.testing.assert_array_equal(decode_image(reader.read(0, number).data, bands), pixels)
        there = list(arrays["sample"]).index(number)
        np.testing.assert_array_equal(arrays["pixels"][there].squeeze(), pixels[2:18, 4:20])
    plain = look(a_recipe(tmp_path / "source", Bands()))
    assert plain.others == {".npy": 6}
    files = list(named([str(tmp_path / "source" / "val")], "image", bands=bands))
    assert len(files) == 4
    assert len(list(named([str(tmp_path / "source" / "val")], "image"))) == 2


def test_npy_beside_masks_and_in_mixtures(tmp_path: Path) -> None:
    bands = Bands(5, 16)
    for name in ("a", "b"):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
        np.save(tmp_path / "images" / f"{name}.npy", picture(bands, 0, 0))
        (tmp_path / "masks" / f"{name}.png").write_bytes(as_png(np.zeros((20, 24, 1), np.uint8)))
    source = ImagesSource(kind="images", path=str(tmp_path / "images"), masks=str(tmp_path / "masks"))
    task = Segmentation(kind="segmentation")
    assert [one.key for one in look_at(source, task, Split(), bands).candidates] == ["a.npy", "b.npy"]
    both = MixtureSource(kind="mixture", of={"one": source, "two": source})
    assert len(look_at(both, task, Split(), bands).candidates) == 4
    with pytest.raises(ZoetropeError, match="holds no image with all that belongs to it"):
        look_at(source, task, Split())
