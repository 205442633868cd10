"""The verb `export` on small models, and its files where this project is not."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from pipeline.base.errors import ZoetropeError
from pipeline.base.terminal import Terminal
from pipeline.exported.predictor import Predictor
from pipeline.exported.samples import views_of_files, views_of_shards
from pipeline.recipe import Recipe, plain
from pipeline.shards.dataset import Dataset
from pipeline.store import Artifact
from pipeline.training.model_folder import write_sums
from pipeline.verbs.export import Asked, export
from tests.conftest import COLOURS, picture
from tests.pipeline.exported.test_predictor import trained

OURS = ("pipeline", "models", "augment", "cv2", "albumentations")
WITHOUT = """
import runpy, sys
hidden = sys.argv[1].split(",")
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ImportError(name)
sys.meta_path.insert(0, Hidden())
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not set(hidden) & {name.partition(".")[0] for name in sys.modules}
"""


def model_folder(recipe: Recipe, dataset: Dataset, folder: Path) -> Path:
    """What the export stage leaves in `model/`, of a model that nobody trained."""
    trained(recipe, dataset, folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(plain(recipe)))
    write_sums(folder)
    return folder


def run_example(out: Path, file: Path, *hidden: str) -> dict[str, float]:
    """The scores by class that the example prints, run elsewhere, by a Python that finds nothing of what is hidden."""
    command = [sys.executable, "-I", "-c", WITHOUT, ",".join(hidden), str(out / "example.py"), str(file)]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {name: float(score) for score, name in rows}


def assert_same(found: dict[str, float], predictor: Predictor, content: bytes) -> None:
    scores = predictor(content)["scores"]
    assert found.keys() == set(COLOURS)
    np.testing.assert_allclose([found[name] for name in predictor.classes], scores, atol=2e-6)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture as large as the model sees it, 16 x 16 px."""
    path = tmp_path / "photo.png"
    Image.fromarray(picture(1, 5)[:16, :16]).save(path)
    return path


def test_an_image_model_as_onnx_where_neither_torch_nor_this_is(
    make_recipe: Any, images: Dataset, tmp_path: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m").mkdir()
    folder = model_folder(make_recipe("image"), images, tmp_path / "m")
    out = tmp_path / "out"
    file = export(Terminal(), str(folder), out, Asked(samples=[photo]))
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"The batch is free, pictures are 16 x 16 px; exported in [\d.]+ s. Compared with the model on 1 views of real "
        r"samples: the worst difference is \d\.\de-\d\d, and 1e-04 is allowed.",
        said,
    )
    assert {path.name for path in out.iterdir()} == {
        *("model.onnx", "labels.json", "preprocessing.json", "example.py", "README.md")
    }
    assert file == out / "model.onnx"
    assert json.loads((out / "labels.json").read_text()) == list(COLOURS)
    about = json.loads((out / "preprocessing.json").read_text())
    assert about["inputs"] == {"pixels": {"dtype": "float32", "shape": ["batch", 3, 16, 16]}}
    assert (about["outputs"], about["size"], about["clip"]) == (["scores"], [16, 16], None)
    card = (out / "README.md").read_text()
    assert "a resnet18 for image-classification, 3 classes" in card
    assert "starting weights: none, it was trained from scratch" in card
    assert yaml.safe_load(card.split("```yaml")[1].split("```")[0])["name"] == "tiny-image"
    assert_same(run_example(out, photo, "torch", *OURS), Predictor(folder, "cpu"), photo.read_bytes())


@pytest.mark.slow
def test_a_video_model_as_torch_file_where_this_is_not(
    make_recipe: Any, videos: Dataset, tmp_path: Path, validation_files: Any
) -> None:
    (tmp_path / "m").mkdir()
    folder = model_folder(make_recipe("video"), videos, tmp_path / "m")
    content = validation_files("video")[0]
    (tmp_path / "clip.mp4").write_bytes(content)
    out = tmp_path / "out"
    export(Terminal(), str(folder), out, Asked("torch", preprocess=True, samples=[tmp_path / "clip.mp4"]))
    predictor = Predictor(folder, "cpu")
    np.save(tmp_path / "clip.npy", predictor.pixels(content)[0])
    assert_same(run_example(out, tmp_path / "clip.npy", *OURS), predictor, content)


def test_weights_alone_carry_what_there_is_to_know(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    folder = model_folder(make_recipe("image"), images, tmp_path / "m")
    file = export(Terminal(), str(folder), tmp_path / "out", Asked("safetensors"))
    with safe_open(str(file), "pt") as opened:
        about = {key: json.loads(value) for key, value in opened.metadata().items() if key != "format"}
        assert set(opened.keys()) == set(Predictor(folder, "cpu").model.state_dict())
    assert about["labels"] == list(COLOURS)
    assert about["mean"] == [0.485, 0.456, 0.406]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("model.safetensors", "labels.json", "preprocessing.json", "README.md")
    }


def test_what_cannot_be_exported_says_so(
    make_recipe: Any, images: Dataset, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    folder = str(model_folder(make_recipe("image"), images, tmp_path / "m"))
    out = tmp_path / "out"
    for asked, words in (
        (Asked("onxx"), r"--to: unknown format 'onxx'; did you mean 'onnx'\?"),
        (Asked(), "the shards of this model's data are not there; name some files, or a folder of them: --samples"),
        (Asked(samples=[tmp_path / "none.jpg"]), "--samples .*none.jpg: cannot be read: No such file"),
        (Asked(samples=[tmp_path / "m" / "recipe.yaml"]), "--samples .*recipe.yaml: .*no image"),
        (Asked(samples=[photo], online=True), "only a TSM with direction='past' can run online"),
    ):
        with pytest.raises(ZoetropeError, match=words):
            export(Terminal(), folder, out, asked)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ZoetropeError, match=r"onnxscript is not installed; pip install 'zoetrope\[export\]'"):
        export(Terminal(), folder, out, Asked(samples=[photo]))


@pytest.mark.parametrize("modality", ["image", "video"])
def test_samples_of_shards_are_the_views_of_their_files(
    make_recipe: Any, request: pytest.FixtureRequest, validation_files: Any, tmp_path: Path, modality: str
) -> None:
    dataset: Dataset = request.getfixturevalue(modality + "s")
    (tmp_path / "m").mkdir()
    predictor = Predictor(model_folder(make_recipe(modality), dataset, tmp_path / "m"), "cpu")
    files = tmp_path / "files"
    files.mkdir()
    for i, content in enumerate(validation_files(modality)):
        (files / f"{i}.{'jpg' if modality == 'image' else 'mp4'}").write_bytes(content)
    stored = views_of_shards(predictor, Artifact(dataset.folder, {}), 7)
    pairs = zip(stored, views_of_files(predictor, [files], 7), strict=True)
    assert all(np.array_equal(one["pixels"], other["pixels"]) for one, other in pairs)
    few = views_of_shards(predictor, Artifact(dataset.folder, {}), 3)
    assert all(np.array_equal(one["pixels"], stored[i]["pixels"]) for one, i in zip(few, (0, 3, 6), strict=True))
