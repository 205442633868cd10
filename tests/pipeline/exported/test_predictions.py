"""Predictions stream, in order, and a file that cannot be used costs nothing but its own row."""

from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.base.errors import ZoetropeError
from pipeline.decode.foreign import check_video
from pipeline.decode.image import decode_image
from pipeline.decode.limits import BadSample
from pipeline.exported.folder import check_together
from pipeline.exported.predictions import AHEAD, ONCE, predictions
from pipeline.exported.predictor import Predictor
from pipeline.exported.sight import Sight, see
from pipeline.shards.dataset import Dataset
from pipeline.stages.measure import Trained, predict_part
from pipeline.stages.train import WEIGHTS
from pipeline.tasks.classification import Classification
from tests.conftest import NO_IMAGE, ROOT
from tests.pipeline.exported.untrained import exported_to

CASES = ROOT / "tests" / "cases"


@pytest.fixture
def model(make_recipe: Any, images: Dataset, tmp_path: Path) -> Predictor:
    return Predictor(exported_to(tmp_path / "a", make_recipe("image"), images), device="cpu")


@pytest.fixture
def files(validation_files: Callable[[str], list[bytes]], tmp_path: Path) -> list[str]:
    """The seven files of the validation split, and two that cannot be used: the second and the last."""
    paths = []
    for i, content in enumerate(validation_files("image")):
        (tmp_path / f"{i}.jpg").write_bytes(content)
        paths.append(str(tmp_path / f"{i}.jpg"))
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return [paths[0], str(tmp_path / "broken.jpg"), *paths[1:], str(tmp_path / "absent.jpg")]


@pytest.mark.parametrize("workers", [0, 2])
def test_files_are_answered_as_the_evaluation_answers_their_samples(
    make_recipe: Any, images: Dataset, model: Predictor, files: list[str], tmp_path: Path, workers: int
) -> None:
    found = list(predictions([model], files, workers, top=3, batch_size=4))
    assert [each.file for each in found] == files
    assert [each.error for each in found] == [None, NO_IMAGE, *[None] * 6, found[-1].error]
    assert "cannot be opened: No such file" in str(found[-1].error)
    good = [each.answer for each in found if each.error is None]
    scores = predict_part([Trained(make_recipe("image"), tmp_path / "a" / WEIGHTS)], images).tally.rows["scores"]
    order = np.argsort(-scores, axis=1)
    assert [row["top_labels"] for row in good] == [[images.classes[k] for k in row] for row in order]
    np.testing.assert_allclose([row["top_scores"] for row in good], np.take_along_axis(scores, order, 1), atol=1e-5)
    assert [row["label"] for row in good] == [row["top_labels"][0] for row in good]
    assert found[0].words == f"{good[0]['score']:.2f} {good[0]['label']}"
    assert len({row["score"] for row in good}) > 1  # not one answer to everything


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_piles_up(model: Predictor, files: list[str], workers: int) -> None:
    """Of files without an end, few more are asked for than were answered."""
    asked = count()

    def endless() -> Iterator[str]:
        while next(asked) >= 0:
            yield files[0]

    found = predictions([model], endless(), workers, batch_size=8)
    assert {each.words for each in islice(found, 100)} == {next(found).words}
    found.close()  # type: ignore[attr-defined]
    ahead = ONCE["image"] * (AHEAD * workers + 2) if workers else 0
    assert next(asked) <= 101 + 8 + ahead


def test_a_picture_and_its_pixels_are_answered_alike(model: Predictor, files: list[str]) -> None:
    content = Path(files[0]).read_bytes()
    pixels = decode_image(content)
    by_path, by_content, by_pixels = predictions([model], [files[0], content, pixels], draw=True)
    assert by_path.answer == by_content.answer == by_pixels.answer
    assert (by_path.file, by_content.file, by_pixels.file) == (files[0], "", "")
    assert by_path.drawing is not None
    assert np.array_equal(by_path.drawing.pixels, pixels)
    assert by_path.drawing.words == by_path.words
    grey, floats = predictions([model], [pixels[..., 0], pixels / 255])
    assert grey.error == "an array is uint8 [H, W, 3], RGB; this one is uint8 [20, 24]"
    assert "float64 [20, 24, 3]" in str(floats.error)


@pytest.mark.slow
def test_a_video_by_its_frames(make_recipe: Any, videos: Dataset, tmp_path: Path) -> None:
    from tests.conftest import clip

    model = Predictor(exported_to(tmp_path, make_recipe("video"), videos), device="cpu")
    (found,) = predictions([model], [clip(1, 7)], draw=True)
    assert found.error is None
    assert found.drawing is not None
    assert found.drawing.pixels.shape == (3, 28, 28, 3)  # what the model saw


def test_a_video_that_no_shard_may_have_as_it_is_is_encoded(make_recipe: Any, tmp_path: Path) -> None:
    """A model that was trained on videos as they came is no less able to answer for another kind."""
    recipe = make_recipe("video", **{"shard.video.transcode": False})
    h263 = (CASES / "h263.avi").read_bytes()
    with pytest.raises(BadSample, match="H263 in AVI cannot be read frame by frame as it is"):
        check_video(h263)
    assert Sight(recipe)(h263).pixels.shape == (1, 3, 28, 28, 3)
    (tmp_path / "cut.avi").write_bytes(h263[: len(h263) // 2])
    with pytest.raises(BadSample, match="the video is cut off"):
        see([Sight(recipe)], str(tmp_path / "cut.avi"))


def test_several_models_answer_by_the_mean_of_their_scores(
    make_recipe: Any, images: Dataset, model: Predictor, files: list[str], tmp_path: Path
) -> None:
    other = Predictor(exported_to(tmp_path / "b", make_recipe("image"), images, seed=4), device="cpu")
    check_together([model, other])
    content = Path(files[0]).read_bytes()
    mean = (model(content)["scores"] + other(content)["scores"]) / 2
    (found,) = predictions([model, other], [content], top=3)
    np.testing.assert_allclose(found.answer["top_scores"], -np.sort(-mean), atol=1e-6)
    crop = {"augment.eval": [{"CenterCrop": {"height": 12, "width": 12}}]}
    nearer = Predictor(exported_to(tmp_path / "c", make_recipe("image", **crop), images), device="cpu")
    ours, theirs, others = see([model.sight, other.sight, nearer.sight], content)
    assert ours is theirs  # decoded once
    assert others.pixels.shape == (1, 12, 12, 3)
    other.classes = ["green", "blue", "red"]
    with pytest.raises(
        ZoetropeError, match=r"/b/model knows the same classes as the first model in another order; models whose"
    ):
        check_together([model, other])
    other.classes = ["blue", "cyan", "red", "grey"]
    with pytest.raises(ZoetropeError, match=r"other classes \(4, such as 'cyan' where the first model has 'green'\)"):
        check_together([model, other])


def test_views_are_those_of_the_evaluation(
    make_recipe: Any, images: Dataset, model: Predictor, files: list[str]
) -> None:
    content = Path(files[0]).read_bytes()
    three = Predictor(model.folder, "cpu", {"crops": 3})
    assert (model.pixels(content).shape[0], three.pixels(content).shape[0]) == (1, 3)
    np.testing.assert_allclose(
        three(content)["scores"], three.infer(three.pixels(content)[None])["scores"][0].numpy(), atol=1e-6
    )
    with pytest.raises(ZoetropeError, match=r"(?s)views \{'crop': 3\}: .*did you mean 'crops'"):
        Predictor(model.folder, "cpu", {"crop": 3})


def test_batches_are_halved_where_memory_does_not_suffice(
    model: Predictor, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [each.answer for each in predictions([model], files)]
    infer, sizes = Classification.infer, []

    def small(self: Any, run: Any, arrays: Any) -> Any:
        sizes.append(len(arrays["pixels"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return infer(self, run, arrays)

    monkeypatch.setattr(Classification, "infer", small)
    assert [each.answer.get("label") for each in predictions([model], files)] == [e.get("label") for e in expected]
    assert sizes == [7, 4, 2, 2, 3, 2, 1]
