import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import encode_jpeg
from pipeline.exported.predictor import Predictor
from pipeline.recipe import Recipe
from pipeline.shards.dataset import Dataset
from pipeline.stages.export import write_model
from pipeline.stages.measure import Trained, predict_part
from pipeline.stages.train import WEIGHTS
from pipeline.training.model_folder import FILES
from tests.pipeline.exported.untrained import trained

VIEWS = {"image": {"evaluate.crops": 3}, "video": {"evaluate.clips": 2}}


@pytest.fixture
def exported(
    make_recipe: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[str], tuple[Recipe, Dataset, Path]]:
    """`exported("video")`: recipe, dataset, and the folder with `model/` and `mlflow-model/`."""

    def export(modality: str) -> tuple[Recipe, Dataset, Path]:
        dataset: Dataset = request.getfixturevalue(modality + "s")
        recipe = make_recipe(modality, **VIEWS[modality])
        trained(recipe, dataset, tmp_path)
        write_model(recipe, tmp_path, tmp_path)
        return recipe, dataset, tmp_path

    return export


@pytest.mark.parametrize("modality", ["image", "video"])
def test_a_file_is_predicted_as_the_evaluation_predicts_its_sample(
    exported: Any, validation_files: Callable[[str], list[bytes]], modality: str
) -> None:
    recipe, dataset, folder = exported(modality)
    part = predict_part([Trained(recipe, folder / WEIGHTS)], dataset)
    predictor = Predictor(folder / "model", device="cpu")
    found = np.stack([predictor(content)["scores"] for content in validation_files(modality)])
    assert part.sample.tolist() == list(range(7))
    assert part.tally.rows["label"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_allclose(found, part.tally.rows["scores"], rtol=0, atol=1e-5)
    assert found.std(0).max() > 1e-3  # not one answer to everything
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


def test_parts_of_an_evaluation_add_up_to_the_whole(exported: Any) -> None:
    recipe, dataset, folder = exported("image")
    whole = predict_part([Trained(recipe, folder / WEIGHTS)], dataset)
    parts = [predict_part([Trained(recipe, folder / WEIGHTS)], dataset, rank, 3) for rank in range(3)]
    order = np.argsort(np.concatenate([part.sample for part in parts]))
    assert np.concatenate([part.sample for part in parts])[order].tolist() == list(range(7))
    np.testing.assert_allclose(
        np.concatenate([p.tally.rows["scores"] for p in parts])[order], whole.tally.rows["scores"], atol=1e-6
    )
    np.testing.assert_allclose(np.sum([part.tally.sums for part in parts], axis=0), whole.tally.sums, rtol=1e-5)
    assert whole.tally.sums[-1] == 7


def test_a_damaged_file_is_refused(exported: Any) -> None:
    """Wherever the folder was copied; one whose weights had another bit answered."""
    _, _, folder = exported("image")
    for model in (folder / "model", folder / "mlflow-model/artifacts/model"):
        for name in FILES:
            whole = (model / name).read_bytes()
            (model / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
            with pytest.raises(ZoetropeError, match=rf"^{model / name}: this file is damaged.* --rerun export` makes"):
                Predictor(model, device="cpu")
            (model / name).unlink()
            with pytest.raises(ZoetropeError, match=rf"^{model / name}: cannot be read: No such file"):
                Predictor(model, device="cpu")
            (model / name).write_bytes(whole)
        assert Predictor(model, device="cpu").classes == ["blue", "green", "red"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"augment.eval": [{"PadIfNeeded": {"min_height": 22, "min_width": 22}}]},
            r"augment.eval makes 24 x 22 px of it, and a batch has 22 x 22 px",
        ),
        (
            {"augment.eval": [{"CenterCrop": {"height": 16, "width": 16}}], "evaluate.crops": 3},
            "a crop of 16 x 16 px does not fit into 10 x 20 px",
        ),
    ],
)
def test_files_of_another_size_than_the_model_sees(
    make_recipe: Any, images: Dataset, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    recipe = make_recipe("image", **{"shard.image.short_side": 16, "shard.image.resize": False, **changes})
    trained(recipe, images, tmp_path)
    write_model(recipe, tmp_path, tmp_path)
    width = 10 if "evaluate.crops" in changes else 24
    with pytest.raises(ZoetropeError, match=reason):
        Predictor(tmp_path / "model", device="cpu")(encode_jpeg(np.zeros((20, width, 3), np.uint8), 90))


LOAD = """
import json, sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
files = sorted(Path(sys.argv[2]).iterdir())
table = model.predict(pandas.DataFrame({"content": [file.read_bytes() for file in files]}))
named = pandas.DataFrame({"name": ["x", "y"], "content": [b"no", files[0].read_bytes()]})
named = model.predict(named, params={"top": 2})
print(json.dumps(named.astype(object).where(named.notna(), None).to_dict("list")))  # pandas 3 has NaN for no text
import pipeline
print(json.dumps({"rows": table.to_dict("records"), "code": pipeline.__file__}))
"""


@pytest.mark.parametrize("modality", ["image", "video"])
def test_computes_in_the_precision_that_is_asked_for(
    exported: Any, validation_files: Callable[[str], list[bytes]], modality: str
) -> None:
    _, _, folder = exported(modality)
    content = validation_files(modality)[0]
    said, seen = {}, {}
    for precision in ("fp32", "bf16"):
        predictor = Predictor(folder / "model", "cpu", {"precision": precision}, prepared=True)
        said[precision] = predictor(content)["scores"]  # the form is made at the first call
        types = seen[precision] = set[torch.dtype]()
        for module in predictor.model.modules():
            if not list(module.children()) and not isinstance(module, torch.nn.Identity):
                module.register_forward_hook(lambda module, x, y, types=types: types.add(y.dtype))
        predictor(content)
    assert seen["fp32"] == {torch.float32}
    assert torch.bfloat16 in seen["bf16"]
    assert 0 < np.abs(said["fp32"] - said["bf16"]).max() < 0.02
    assert np.array_equal(said["fp32"], Predictor(folder / "model", "cpu", prepared=True)(content)["scores"])


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["image", "video"])
def test_the_mlflow_model_predicts_from_bytes_in_a_fresh_process(
    exported: Any, validation_files: Callable[[str], list[bytes]], tmp_path: Path, modality: str
) -> None:
    _, dataset, folder = exported(modality)
    contents = validation_files(modality)[:3]
    predictor = Predictor(folder / "model", device="cpu")
    expected = np.stack([predictor(content)["scores"] for content in contents])
    files, elsewhere = tmp_path / "files", tmp_path / "elsewhere"
    files.mkdir()
    elsewhere.mkdir()
    for i, content in enumerate(contents):
        (files / str(i)).write_bytes(content)
    moved = (folder / "mlflow-model").rename(elsewhere / "moved")
    command = [sys.executable, "-c", LOAD, str(moved), str(files)]
    ran = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=600, env=bare_environment())
    assert ran.returncode == 0, ran.stderr
    named, answer = (json.loads(line) for line in ran.stdout.splitlines()[-2:])
    assert Path(answer["code"]).is_relative_to(moved)  # its own code, not this checkout's
    assert [row["label"] for row in answer["rows"]] == [dataset.classes[i] for i in expected.argmax(1)]
    assert [row["score"] for row in answer["rows"]] == pytest.approx(expected.max(1).tolist(), abs=1e-5)
    assert [row["error"] for row in answer["rows"]] == [None] * 3
    assert (named["error"][0].partition(":")[0], named["error"][1]) == ("x", None)
    assert (named["label"][0], named["label"][1]) == (None, answer["rows"][0]["label"])
    assert (named["top_labels"][0], named["top_labels"][1][0]) == (None, named["label"][1])


def bare_environment() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}


def test_nothing_is_pickled(exported: Any) -> None:
    _, _, folder = exported("image")
    suffixes = {path.suffix for path in (folder / "mlflow-model").rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pth", ".bin"}
    requirements = (folder / "mlflow-model" / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in requirements)
    assert any(line.startswith("torch==") for line in requirements)
