"""What a plan refuses, and which recipe keys count for which stage. No Ray here."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.graph.code_digest import ROOT, code_digests
from pipeline.recipe import Recipe, plain
from pipeline.verbs.planning import GRAPH, make_plan, warnings
from tests.pipeline.stores import publish_until, quickstart

NEUTRAL = {"feed", "cluster", "tracking", "store", "name", "tune"}


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("name", ["quickstart", "quickstart-tsn", "quickstart-images"])
def test_every_key_counts_for_a_stage_but_those_that_change_no_result(tmp_path: Path, name: str) -> None:
    counted = {key for stage in GRAPH.order for key in stage.keys}
    for leaf in leaves(plain(quickstart(tmp_path, name=name))):
        parts = leaf.split(".")
        above = {".".join(parts[: i + 1]) for i in range(len(parts))}
        assert bool(above & counted) == (parts[0] not in NEUTRAL), leaf


@pytest.mark.parametrize("name", ["ingest", "shard", "train"])
def test_a_stage_reads_no_section_that_it_does_not_declare(name: str) -> None:
    """Looks for `recipe.<section>` in all modules of the stage; `stored_short_side` comes with the shards.

    `inputs` and `sees_flow_alone` are of `clip` and `data`. `mix_group` is 1 unless `mixing` says otherwise, and
    evaluation does not ask for it. `data.max_bad` only says when a training stops, `data.source` what MLflow calls the
    data, and `evaluate.batch_size` how much memory a validation takes.
    """
    stage = GRAPH.stages[name]
    modules = [path for path in code_digests(stage.module) if not path.startswith("pipeline/recipe/")]
    text = "\n".join((ROOT / path).read_text() for path in modules)
    for no_result in ("recipe.data.max_bad", "recipe.data.source", "recipe.evaluate.batch_size"):
        text = text.replace(no_result, "")
    no_sections = {"stored_short_side", "mix_group", "yaml", "model_copy", "inputs", "sees_flow_alone"}
    read = set(re.findall(r"(?<!pipeline\.)\brecipe\.([a-z_]+)", text)) - no_sections
    declared = {key.split(".")[0] for key in (*stage.keys, *stage.late)}
    assert read & declared
    assert read - NEUTRAL <= declared


@pytest.mark.parametrize(
    "override",
    [
        "feed.workers=7",
        "feed.cache=8GiB",
        "cluster.workers=5",
        "cluster.workers={min: 1, max: 5}",
        "cluster.max_failures=0",
        "cluster.gpus_per_worker=0.5",
        "tracking.uri=http://127.0.0.1:1",
        "tracking.experiment=other",
        "name=other",
    ],
)
def test_what_changes_no_result_makes_nothing_anew(tmp_path: Path, override: str) -> None:
    publish_until(quickstart(tmp_path), "export")
    planned, _ = make_plan(quickstart(tmp_path, override))
    assert [step.action for step in planned.steps] == ["reuse"] * 5


@pytest.mark.parametrize(
    ("override", "anew"),
    [
        ("evaluate.clips=2", ["evaluate", "export"]),
        ("optimizer.lr=0.2", ["train", "evaluate", "export"]),
        ("mixing.kind=mixup", ["train", "evaluate", "export"]),
        ("shard.video.gop=8", ["shard", "train", "evaluate", "export"]),
        ("data.max_bad=0.5", ["shard", "train", "evaluate", "export"]),
        ("data.split.val=0.3", ["ingest", "shard", "train", "evaluate", "export"]),
        ("seed=1", ["shard", "train", "evaluate", "export"]),
    ],
)
def test_a_change_makes_anew_what_depends_on_it(tmp_path: Path, override: str, anew: list[str]) -> None:
    publish_until(quickstart(tmp_path), "export")
    planned, _ = make_plan(quickstart(tmp_path, override))
    assert [step.stage.name for step in planned.to_run] == anew
    assert any(f"{override.partition('=')[0]} changed" in reason for reason in planned.to_run[0].reasons)


def refusal(recipe: Recipe) -> str:
    with pytest.raises(ZoetropeError) as caught:
        make_plan(recipe)
    return str(caught.value)


def test_fewer_samples_in_the_shards_than_in_a_batch(tmp_path: Path) -> None:
    recipe = quickstart(tmp_path, "train.batch_size=1000")
    publish_until(recipe, "shard")
    assert refusal(recipe) == (
        "quickstart: 1 problem\n"
        "  train.batch_size: a batch of 1000 samples cannot be made of 969 training samples; "
        "set it to at most 969, or train.keep_last to true"
    )
    make_plan(quickstart(tmp_path, "train.batch_size=969"))
    make_plan(quickstart(tmp_path, "train.batch_size=1000", "train.keep_last=true"))


def test_fewer_samples_than_a_batch_before_there_are_shards(tmp_path: Path) -> None:
    assert "cannot be made of 100 training samples" in refusal(
        quickstart(tmp_path, "data.source.samples=100", "train.batch_size=101")
    )
    source = a_folder(tmp_path / "photos", "jpg")
    overrides = (f"data.source={{kind: folder, path: {source}}}", "train.batch_size=7")
    assert "cannot be made of 6 training samples" in refusal(quickstart(tmp_path, *overrides, name="quickstart-images"))


def a_folder(root: Path, extension: str) -> Path:
    for split, count in (("train", 3), ("val", 1)):
        for name in ("cat", "dog"):
            for i in range(count):
                (root / split / name).mkdir(parents=True, exist_ok=True)
                (root / split / name / f"{i}.{extension}").touch()
    return root


def test_a_plan_says_what_the_data_are(tmp_path: Path) -> None:
    source = a_folder(tmp_path / "photos", "jpg")
    (source / "train" / "cat" / "notes.txt").touch()
    overrides = (f"data.source={{kind: folder, path: {source}}}", "train.batch_size=2", "cluster.workers=1")
    recipe = quickstart(tmp_path / "store", *overrides, name="quickstart-images")
    before = ("data: 6 train, 2 val, 2 classes: cat 3+1, dog 3+1", "files passed over: 1 x .txt")
    assert make_plan(recipe)[0].notes == before
    publish_until(recipe, "ingest", {"ingest": {"data": ["data: as it was found"]}})
    assert make_plan(recipe)[0].notes == ("data: as it was found",)


def test_a_source_folder_is_looked_at_before_anything_is_started(tmp_path: Path) -> None:
    source = a_folder(tmp_path / "clips", "mp4")
    overrides = (f"data.source={{kind: folder, path: {source}}}", "train.batch_size=2", "cluster.workers=1")
    planned, _ = make_plan(quickstart(tmp_path / "store", *overrides))
    assert len(planned.to_run) == 5
    assert ".webp, but 8 x .mp4. Does task.kind fit this data?" in refusal(
        quickstart(tmp_path / "store", *overrides, name="quickstart-images")
    )
    (source / "train" / "dog").rename(source / "train" / "dgo")
    assert "val has samples of class 'dog', and train has none" in refusal(quickstart(tmp_path / "store", *overrides))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["augment.train=[{RandomCorp: {height: 56, width: 56}}]"], ["augment.train[0].RandomCorp: unknown transform"]),
        (
            ["shard.video.short_side=48"],
            ["augment.train: an augmentation does not fit", "augment.eval: an augmentation"],
        ),
        (["augment.eval=[]"], ["augment.eval: the augmentations give frames of different sizes"]),
        (["train.batch_size=64", "cluster.workers=65"], ["cluster.workers: 65 workers cannot share a batch of 64"]),
        (["tracking.uri=ftp://me:s3cret@host"], ["tracking.uri 'ftp://host': unknown scheme 'ftp'"]),
        (["store=s3://bucket/runs"], ["s3://bucket/runs is no folder", "Set MLFLOW_TRACKING_URI or tracking.uri"]),
    ],
)
def test_what_can_be_known_is_refused(tmp_path: Path, overrides: list[str], says: list[str]) -> None:
    with pytest.raises(ZoetropeError) as caught:
        make_plan(quickstart(tmp_path, *overrides))
    for sentence in says:
        assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_no_such_stage_to_rerun(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match="unknown stage 'trian'; did you mean 'train'"):
        make_plan(quickstart(tmp_path), ["trian"])


def test_a_class_that_is_not_there_is_refused_before_there_are_shards_and_after(tmp_path: Path) -> None:
    source = a_folder(tmp_path / "photos", "jpg")
    weights = ("train.batch_size=2", "train.sampling={kind: weighted, classes: {dgo: 2}}")
    overrides = (f"data.source={{kind: folder, path: {source}}}", *weights)
    says = "train.sampling.classes: unknown class 'dgo'; did you mean 'dog'?"
    assert says in refusal(quickstart(tmp_path / "store", *overrides, name="quickstart-images"))
    store = publish_until(quickstart(tmp_path / "other", *weights), "shard")
    (ingested,) = (tmp_path / "other" / "artifacts" / "ingest").iterdir()
    (ingested / "classes.json").write_text('["cat", "dog"]')
    assert says in refusal(quickstart(tmp_path / "other", *weights))
    assert store.artifacts("shard")


def test_a_stated_epoch_is_what_batches_are_made_of(tmp_path: Path) -> None:
    recipe = quickstart(tmp_path, "train.batch_size=1000", "train.sampling={kind: balanced, epoch: 1000sa}")
    publish_until(recipe, "shard")
    make_plan(recipe)
    assert "cannot be made of 969" in refusal(
        quickstart(tmp_path, "train.batch_size=1000", "train.sampling={kind: balanced}")
    )


def test_a_batch_that_leaves_one_sample_alone_in_front_of_batch_norm(tmp_path: Path) -> None:
    images = ("model={kind: resnet18, width: 8}", "train.batch_size=17", "train.micro_batch=16", "cluster.workers=1")
    assert "train.micro_batch: a batch of 17 leaves one sample after parts of 16" in refusal(
        quickstart(tmp_path, *images, name="quickstart-images")
    )
    make_plan(quickstart(tmp_path, *images, "train.micro_batch=9", name="quickstart-images"))


def test_a_schedule_beyond_the_end_of_the_training_is_warned_of(tmp_path: Path) -> None:
    recipe = quickstart(tmp_path, "schedule.warmup=200%", "cluster.workers=1")
    (said,) = warnings(recipe, make_plan(recipe)[0])
    assert said.startswith("schedule.warmup: 200% is longer than the training")
    later = quickstart(tmp_path, "schedule.warmup=121st", "cluster.workers=1", "train.duration=4ep")
    assert warnings(later, make_plan(later)[0]) == []  # before there are shards nobody knows
    publish_until(later, "shard")
    (said,) = warnings(later, make_plan(later)[0])  # 4 x 30 steps
    assert said.startswith("schedule.warmup: 121st is longer than the training (4ep)")
    publish_until(later, "train")
    assert warnings(later, make_plan(later)[0]) == []


def test_shards_that_are_sorted_by_class_are_warned_of(tmp_path: Path) -> None:
    recipe = quickstart(tmp_path)
    assert warnings(recipe, make_plan(recipe)[0]) == []
    publish_until(recipe, "shard", {"shard": {"class_excess": {"256": 0.9, "1024": 0.4, "4096": 0.05}}})
    (said,) = warnings(recipe, make_plan(recipe)[0])
    assert said.startswith("train.shuffle_window: these shards are sorted by class")
    assert said.endswith("raise it to 4096")
    wider = quickstart(tmp_path, "train.shuffle_window=4096")
    assert warnings(wider, make_plan(wider)[0]) == []


def test_clips_that_the_model_does_not_take_are_said_before_anything_starts(tmp_path: Path) -> None:
    model = ("model={kind: trn_resnet18, width: 8}", "clip.frames=6")
    with pytest.raises(ZoetropeError, match="trn_resnet18 takes clips of 8 frames, not of 6; set it to 8, or model"):
        make_plan(quickstart(tmp_path, *model))
    make_plan(quickstart(tmp_path, "model={kind: trn_resnet18, width: 8, frames: 6}", "clip.frames=6"))


def test_a_crop_that_the_model_does_not_take_is_said_before_anything_starts(tmp_path: Path) -> None:
    unpadded = ("model={kind: unet, width: 4}", "data.source.size_px=512")
    crop = "augment.train=[{RandomCrop: {height: 200, width: 412}}]"
    with pytest.raises(
        ZoetropeError,
        match=r"makes 412 x 200 px, which unet does not take; end the list with .RandomCrop: .height: 204, width: 412",
    ):
        make_plan(quickstart(tmp_path, *unpadded, crop, name="quickstart-segmentation"))
    make_plan(quickstart(tmp_path, *unpadded, crop.replace("200", "204"), name="quickstart-segmentation"))


def test_a_size_that_the_model_does_not_take_is_said_before_anything_starts(tmp_path: Path) -> None:
    def planned(sizes: str, model: str = "{kind: ssd300_vgg16, width: 8}") -> None:
        crop = "augment.train=[{Resize: {height: 300, width: 400}}]"
        make_plan(quickstart(tmp_path, f"model={model}", crop, f"train.sizes={sizes}", name="quickstart-detection"))

    with pytest.raises(ZoetropeError) as error:
        planned("[150, 225, 300]")
    assert str(error.value).splitlines()[1:] == [
        "  train.sizes: 150 is 200 x 150 px, which ssd300_vgg16 does not take; the next that it takes is 257 x 257 px",
        "  train.sizes: 225 is 300 x 225 px, which ssd300_vgg16 does not take; the next that it takes is 300 x 257 px",
    ]
    planned("[257, 300]")
    planned("[150, 225, 300]", "{kind: ssd_mobilenet_v2}")
