"""Flow from the shards to an exported model: beside the frames, and alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.decode.flow import compute_flow, read_flow
from pipeline.decode.flow_name import FLOW
from pipeline.decode.transcode import Transcoded
from pipeline.exported.agreement import worst_differences
from pipeline.exported.answering import exportable, traced
from pipeline.exported.formats import run_onnx, write_onnx
from pipeline.exported.predictor import Predictor
from pipeline.exported.samples import views_of_files
from pipeline.feed.batch import BatchMaker, BatchSource
from pipeline.feed.ring import new_arrays
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import Dataset
from pipeline.shards.reader import ShardReader
from pipeline.shards.writer import StoredSample
from pipeline.stages.measure import Trained, pictures, predict_part
from pipeline.stages.shard import store_sample
from pipeline.stages.train import WEIGHTS
from pipeline.training.distributed import Process
from pipeline.training.first_batch import first_states
from pipeline.training.loop import train
from tests.conftest import clip, tiny_values, video_sample, write_tiny
from tests.pipeline.exported.untrained import exported_to

ASKED: dict[str, Any] = {"shard.flow": {"method": "dis", "limit_px": 20}, "clip.flow": 2}
BOTH = {**ASKED, "model": {"kind": "two_stream_tsn_resnet18", "width": 8, "dropout": 0.0}}
ALONE = {**ASKED, "model": {"kind": "tsn_resnet18", "width": 8, "dropout": 0.0}}
MID = {**ASKED, "model": {"kind": "fusion_resnet18", "width": 8, "dropout": 0.0}}
FLIP = [{"CenterCrop": {"height": 28, "width": 28}}, {"HorizontalFlip": {"p": 1.0}}]


def recipe(changes: dict[str, Any], **more: Any) -> Recipe:
    return check(tiny_values("video", **changes, **more), "a test's recipe")


def sample(label: int, seed: int) -> StoredSample:
    """A clip of 40 x 32 px with its flow."""
    plain = video_sample(label, seed)
    return replace(plain, members={FLOW: compute_flow(Transcoded(plain.data, 40, 32, 6, 6.0, 1.0), 20, 4, 0)})


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_tiny(tmp_path_factory.mktemp("flows"), "video", sample)


def stored_fields(dataset: Dataset, number: int, fields: list[int]) -> np.ndarray:
    """Of a sample of the validation split, [F, 2, H, W]."""
    reader = ShardReader(dataset.files, "val", frozenset({FLOW}))
    return read_flow(reader.read(*dataset.split("val").place(number)).member(FLOW), np.array(fields))


def made(source: BatchSource, epoch: int = 0, k: int = 0) -> dict[str, np.ndarray]:
    arrays = new_arrays(source.layout())
    maker = BatchMaker(source)
    maker.make(epoch, k, arrays)
    assert maker.bad == {}
    return arrays


def test_an_evaluation_sees_the_fields_from_each_frame_on(flows: Dataset) -> None:
    both, alone = (made(BatchSource(recipe(changes), flows, "val")) for changes in (BOTH, ALONE))
    assert both["pixels"].shape == (8, 1, 3, 28, 28, 3)  # of seven samples
    assert both["flow"].shape == alone["pixels"].shape == (8, 1, 3, 28, 28, 4)
    assert "flow" not in alone
    np.testing.assert_array_equal(both["flow"], alone["pixels"])
    # Frames 1, 3 and 5 of six: fields 1 and 2, 3 and 4, and 5, the last one, twice
    cropped = stored_fields(flows, 2, [1, 2, 3, 4, 5, 5])[..., 2:30, 6:34]
    expected = np.moveaxis(cropped.reshape(3, 4, 28, 28), 1, -1)
    np.testing.assert_array_equal(both["flow"][2, 0], expected)
    without = made(BatchSource(recipe({"model": {"kind": "tsn_resnet18", "width": 8}}), flows, "val"))
    np.testing.assert_array_equal(both["pixels"], without["pixels"])


def test_a_training_flips_frames_and_fields_together(flows: Dataset) -> None:
    """Of the whole video, so that nothing is drawn."""
    whole = {"clip": {"frames": 6, "sampling": "dense", "flow": 1}, "augment.train": FLIP, "augment.eval": FLIP[:1]}
    changes = {name: value for name, value in BOTH.items() if name != "clip.flow"}
    asked = recipe({**changes, **whole})
    trained = made(BatchSource(asked, flows, "train", training=True))
    plain = made(BatchSource(asked, flows, "train"))
    assert len(trained["sample"]) == len(plain["sample"]) == 8
    of = {int(sample): i for i, sample in enumerate(plain["sample"])}
    both = [(i, of[int(sample)]) for i, sample in enumerate(trained["sample"]) if int(sample) in of]
    assert both
    for i, j in both:
        np.testing.assert_array_equal(trained["pixels"][i, 0], plain["pixels"][j, 0, :, :, ::-1])
        np.testing.assert_array_equal(trained["flow"][i, 0, ..., 0], 255 - plain["flow"][j, 0, :, :, ::-1, 0])
        np.testing.assert_array_equal(trained["flow"][i, 0, ..., 1], plain["flow"][j, 0, :, :, ::-1, 1])


def test_the_mirrored_of_ten_crops_move_the_other_way(flows: Dataset) -> None:
    asked = recipe(BOTH, **{"evaluate.crops": 10})
    arrays = made(BatchSource(asked, flows, "val", num_crops=10))
    first, mirrored = arrays["flow"][0, 0], arrays["flow"][0, 5]
    np.testing.assert_array_equal(mirrored[..., 0::2], 255 - first[:, :, ::-1, 0::2])
    np.testing.assert_array_equal(mirrored[..., 1::2], first[:, :, ::-1, 1::2])


@pytest.mark.parametrize("changes", [BOTH, ALONE, MID], ids=["late", "alone", "mid"])
def test_it_trains_mixed_and_in_parts_alike(flows: Dataset, changes: dict[str, Any]) -> None:
    """A step of the whole batch and one in two halves come to the same loss, as mixing is drawn by groups."""
    mixed = {"mixing": {"kind": "cutmix"}, "train.mix_group": 4, "train.duration": "1st"}
    metrics = train(recipe(changes, **mixed), flows, Process(), lambda *_: None, lambda *_: None)
    assert np.isfinite(metrics["val/loss"])


@pytest.mark.slow
@pytest.mark.parametrize("changes", [BOTH, ALONE], ids=["both", "alone"])
def test_a_new_video_is_answered_and_exported_as_its_sample(
    flows: Dataset, changes: dict[str, Any], validation_files: Callable[[str], list[bytes]], tmp_path: Path
) -> None:
    asked = recipe({**changes, "shard.flow": {"crf": 0}})
    model = Predictor(exported_to(tmp_path, asked, flows), device="cpu")
    trained = Trained(asked, tmp_path / WEIGHTS)
    scores = predict_part([trained], flows).tally.rows["scores"]
    contents = validation_files("video")
    np.testing.assert_allclose(np.stack([model(one)["scores"] for one in contents]), scores, atol=1e-5)
    assert scores.std(0).max() > 1e-3
    (shown, _), _ = pictures([trained], flows, np.array([0, 1]))
    assert shown.shape == (3, 56 if changes is BOTH else 28, 28, 3)

    given = exportable(asked, model.model, model.task, preprocess=changes is BOTH)
    assert list(given.inputs) == (["pixels", "flow"] if changes is BOTH else ["pixels"])
    write_onnx(given, traced(given), tmp_path / "model.onnx")
    (tmp_path / "a.mp4").write_bytes(contents[0])
    (tmp_path / "b.mp4").write_bytes(contents[1])
    views = views_of_files(model, [tmp_path / "a.mp4", tmp_path / "b.mp4"], 2)
    assert max(worst_differences(given, run_onnx(tmp_path / "model.onnx"), views, model.normalize).values()) < 1e-4


def test_models_of_frames_and_of_flow_are_averaged(flows: Dataset, tmp_path: Path) -> None:
    of_frames = recipe({"shard.flow": ASKED["shard.flow"], "model": {"kind": "tsn_resnet18", "width": 8}})
    models = [Trained(of_frames, tmp_path / "a" / WEIGHTS), Trained(recipe(ALONE), tmp_path / "b" / WEIGHTS)]
    for one, name in zip(models, "ab", strict=True):
        exported_to(tmp_path / name, one.recipe, flows)
    scores = [predict_part(some, flows).tally.rows["scores"] for some in (models, models[:1], models[1:])]
    np.testing.assert_allclose(scores[0], (scores[1] + scores[2]) / 2, atol=1e-6)


def test_a_preview_shows_flow_below_the_frames(flows: Dataset) -> None:
    mixed = recipe(BOTH, **{"mixing": {"kind": "cutmix"}, "train.mix_group": 4, "feed.workers": 0})
    stored, augmented, blend = first_states(mixed, flows)[0]
    assert stored[0].shape == (3, 64, 40, 3)
    assert augmented[0].shape == blend[0].shape == (3, 56, 28, 3)
    (stored, augmented) = first_states(recipe(ALONE), flows)[0]
    assert (stored[0].shape, augmented[0].shape) == ((3, 32, 40, 3), (3, 28, 28, 3))


def test_the_shard_stage_stores_it(tmp_path: Path) -> None:
    from pipeline.decode.transcode import encode

    (tmp_path / "a.mp4").write_bytes(encode(clip(0, 1), 6))
    row: Any = {"path": str(tmp_path / "a.mp4"), "key": "a.mp4", "label": 0, "width": 40, "height": 32}
    plain = store_sample(tmp_path / "a.mp4", row, ["a"], recipe({}))
    with_flow = store_sample(tmp_path / "a.mp4", row, ["a"], recipe(ALONE))
    assert plain.members == {}
    assert list(with_flow.members) == [FLOW]
    assert replace(with_flow, members={}) == plain
    assert read_flow(with_flow.members[FLOW], np.arange(6)).shape == (6, 2, 32, 40)


def test_both_streams_start_from_weights_of_one(tmp_path: Path) -> None:
    import models

    torch.manual_seed(0)
    of_one = models.build("tsn_resnet18", 3, width=8)
    two = models.build("two_stream_tsn_resnet18", 5, width=8, flow_channels=4)
    report = models.load_weights(two, of_one.state_dict())
    kernel = of_one.state_dict()["base_model.conv1.weight"]
    torch.testing.assert_close(two.state_dict()["rgb.base_model.conv1.weight"], kernel)
    averaged = kernel.mean(1, keepdim=True).expand(-1, 4, -1, -1)
    torch.testing.assert_close(two.state_dict()["flow.base_model.conv1.weight"], averaged)
    assert set(report.replaced) == {
        f"{stream}.new_fc.{part}" for stream in ("rgb", "flow") for part in ("weight", "bias")
    }
    other = models.build("two_stream_tsn_resnet18", 5, width=8, flow_channels=4)
    assert models.load_weights(other, two.state_dict()).missing == ()
    torch.testing.assert_close(other.state_dict(), two.state_dict())
