from typing import Any

import pytest

from pipeline.recipe import Recipe, RecipeError, check, plain
from pipeline.recipe.combos import cross_problems
from pipeline.recipe.loss import Loss
from pipeline.recipe.mixing import mixes
from pipeline.recipe.tasks import SECTIONS, Detection
from tests.conftest import tiny_values
from tests.pipeline.tasks import toy

ROUND_TRIP = [
    {},
    {"optimizer": {"kind": "adamw", "betas": [0.8, 0.9]}, "schedule": {"kind": "constant", "warmup": "10st"}},
    {"train": {"duration": "1.2Msa", "batch_size": 8, "micro_batch": 2, "grad_clip": 1, "checkpoint": "0.5ep"}},
    {"data": {"source": {"kind": "table", "path": "t.csv", "classes": {255: "b", 9: "a"}, "ignore": [3, "a"]}}},
    {"data": {"source": {"kind": "digits"}, "split": {"val": 0.5}}, "cluster": {"gpus_per_worker": 0.5}},
    {
        "task": {"kind": "video-classification"},
        "data": {"source": {"kind": "moving-digits"}},
        "model": {"kind": "tsm_resnet18", "place": "block"},
        "tracking": {"uri": "http://127.0.0.1:5000"},
    },
]


def problems(values: dict[str, Any]) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        check(values, "r")
    return [line.strip() for line in str(caught.value).splitlines()]


def put(values: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    *parents, last = dotted.split(".")
    at = values
    for key in parents:
        at = at.setdefault(key, {})
    at[last] = value
    return values


@pytest.mark.parametrize("changes", ROUND_TRIP)
def test_a_resolved_recipe_checks_to_itself(small: dict[str, Any], changes: dict[str, Any]) -> None:
    recipe = check(small | changes, "r")
    again = check(plain(recipe), "stored")
    assert again == recipe
    assert plain(again) == plain(recipe)


def test_defaults_are_filled_in(small: dict[str, Any]) -> None:
    values = plain(check(small, "r"))
    assert set(values) == set(Recipe.model_fields)
    assert (values["schedule"]["kind"], values["schedule"]["warmup"]) == ("cosine", "0%")
    assert values["train"]["checkpoint"] == "1ep"
    assert values["data"]["max_bad"] == 0.01


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("optmizer", "optmizer: unknown key 'optmizer'; did you mean 'optimizer'?"),
        ("train.batchsize", "train.batchsize: unknown key 'batchsize'; did you mean 'batch_size'?"),
        ("optimizer.momentun", "optimizer.momentun: unknown key 'momentun'; did you mean 'momentum'?"),
        ("model.widht", "model.widht: unknown key 'widht'; did you mean 'width' or 'weights'?"),
        ("data.source.pth", "data.source.pth: unknown key 'pth'; did you mean 'path'?"),
        ("shard.image.qualty", "shard.image.qualty: unknown key 'qualty'; did you mean 'quality'?"),
        ("feed.worker", "feed.worker: unknown key 'worker'; did you mean 'workers'?"),
        (
            "optimizer.betas",
            "optimizer.betas: unknown key 'betas'; known are: base_batch, decay_all, kind, l1, layer_decay, lr, ",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(small: dict[str, Any], key: str, says: str) -> None:
    assert problems(put(small, key, 1))[1].startswith(says)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("optimizer.kind", "sdg", "optimizer.kind: unknown kind 'sdg'; did you mean 'sgd'?"),
        ("model.kind", "resnet81", "model.kind: unknown kind 'resnet81'; did you mean 'resnet18'"),
        (
            "data.source.kind",
            "zip",
            "data.source.kind: unknown kind 'zip'; known are: activitynet, ",
        ),
        ("optimizer", {"lr": 1}, "optimizer: says no kind; write optimizer: {kind: ...}"),
        ("optimizer", "adamw", "optimizer: is a section; write optimizer: {kind: adamw}, not 'adamw'"),
        ("train", [1], "train: is a section; write train: {key: value, ...}, not [1]"),
        ("task.kind", "classify", "task.kind: unknown kind 'classify'; known are: detection, image-classification, "),
        ("train.precision", "fp8", "train.precision: 'fp8' is not allowed; allowed are 'fp32', 'bf16' or 'fp16'"),
        ("train.precision", "bf17", "train.precision: 'bf17' is not allowed; did you mean 'bf16'"),
        ("task", {"kind": "keypoints", "body": "coc17"}, "task.body: 'coc17' is not allowed; did you mean 'coco17' or"),
        ("train.batch_size", 0, "train.batch_size: input should be greater than 0, not 0"),
        ("train.batch_size", 1.5, "train.batch_size: input should be a valid integer"),
        ("shard.image.quality", 101, "shard.image.quality: input should be less than or equal to 100, not 101"),
        ("optimizer.lr", float("nan"), "optimizer.lr: input should be a finite number, not nan"),
        ("train.duration", 90, "train.duration: '90' is no duration; write epochs as 90ep"),
        ("train.duration", "5%", "train.duration: 5% is a share of this very duration; write it as 90ep"),
        ("train.checkpoint", "0ep", "train.checkpoint: a duration of nothing; write it as 90ep"),
        ("schedule", {"kind": "cosine", "warmup": 5}, "schedule.warmup: '5' is no duration"),
        ("schedule", {"kind": "step", "at": ["30ep", 60]}, "schedule.at[1]: '60' is no duration"),
        ("schedule", {"kind": "step"}, "schedule.at: is missing"),
        (
            "train.early_stopping",
            {"patience": 3, "patienc": 3},
            "train.early_stopping.patienc: unknown key 'patienc'; did you mean 'patience'?",
        ),
        ("train.early_stopping", 3, "train.early_stopping: is a section; write early_stopping: {key: value, ...}"),
        ("train.ema", 1, "train.ema: input should be less than 1, not 1"),
        ("optimizer.layer_decay", 1.5, "optimizer.layer_decay: input should be less than or equal to 1, not 1.5"),
        (
            "name",
            "my run",
            "name: may hold letters, digits and, but for its first place, '.', '_' and '-', not 'my run'",
        ),
        ("augment.mean", [1, 2], "augment.mean: has 2 numbers, and the pictures have 3 channels; give one a"),
        (
            "augment.mean",
            [1, 2, "x"],
            "augment.mean: [1, 2, 'x'] is not allowed; allowed are 'measure', or: input should be a",
        ),
    ],
)
def test_a_wrong_value_says_what_is_allowed(small: dict[str, Any], key: str, value: Any, says: str) -> None:
    lines = problems(put(small, key, value))
    assert lines[0] == "r: 1 problem" or key == "task"  # whose models and sources are others
    assert lines[1].startswith(says)
    assert ", or:" not in lines[1] or "did you mean" not in lines[1]


def test_losses_check_to_themselves(small: dict[str, Any]) -> None:
    for weights in ("balanced", {"rose": 2.0}, None):
        loss = {"class_weights": weights, "distill": {"teacher": "./model", "temperature": 2}}
        recipe = check(small | {"loss": loss}, "r")
        assert check(plain(recipe), "stored") == recipe


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        ({"class_weights": {"rose": -1}}, "loss.class_weights.rose: input should be greater than 0, not -1"),
        ({"class_weights": "even"}, "loss.class_weights: 'even' is not allowed; allowed are 'balanced', or: input sho"),
        (
            {"distill": {"teacher": "a", "temperatur": 3}},
            "loss.distill.temperatur: unknown key 'temperatur'; did you mean 'temperature'",
        ),
        ({"distill": {"weight": 0.5}}, "loss.distill.teacher: is missing"),
    ],
)
def test_a_wrong_loss_is_told(small: dict[str, Any], loss: dict[str, Any], says: str) -> None:
    assert any(line.startswith(says) for line in problems(small | {"loss": loss})), problems(small | {"loss": loss})


def test_a_key_of_two_types_is_one_problem(small: dict[str, Any]) -> None:
    count, line = problems(put(small, "cluster.gpus_per_worker", "two"))
    assert count == "r: 1 problem"
    assert line.startswith("cluster.gpus_per_worker: 'two' is not allowed; allowed are 'auto', or: input should be")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"data": {"source": {"kind": "moving-digits"}}},
            "data.source.kind: moving-digits makes videos, but task.kind is",
        ),
        (
            {"model": {"kind": "tsm_resnet18"}},
            "model.kind: tsm_resnet18 takes videos, but task.kind is image-classification",
        ),
        (
            {"evaluate": {"crops": 3}, "augment": {"train": [], "eval": []}},
            "evaluate.crops: 3 crops take the place of",
        ),
        (
            {"evaluate": {"flip": True}},
            "evaluate.flip: is for models that answer mask or objects or keypoints, and those of task.kind image",
        ),
        (
            {"evaluate": {"scales": [0.5, 1.0]}},
            "evaluate.scales: is for models that answer mask or objects or keypoints",
        ),
        ({"evaluate": {"tile": 512}}, "evaluate.tile: is for models that answer mask or objects"),
        ({"evaluate": {"crf": {}}}, "evaluate.crf: is for models that answer mask,"),
        (
            {"model": {"kind": "resnet18", "in_channels": 10}},
            "model.in_channels: 10 channels, and the pictures have 3; leave it out",
        ),
        (
            {"cluster": {"workers": 9}},
            "cluster.workers: 9 workers cannot share a batch of 8; set it to at most 8, or raise",
        ),
        (
            {"cluster": {"workers": {"min": 1, "max": 9}}},
            "cluster.workers: 9 workers cannot share a batch of 8; set it to at most 8, or raise",
        ),
    ],
)
def test_what_no_section_sees_alone(small: dict[str, Any], changes: dict[str, Any], says: str) -> None:
    lines = problems(small | changes)
    assert lines[0] == "r: 1 problem"
    assert lines[1].startswith(says)


def test_a_model_of_flow_is_refused() -> None:
    lines = problems(tiny_values("video", model={"kind": "i3d_flow"}))
    assert lines[1:] == [
        "model.kind: i3d_flow takes 2 channels as it was published, flow, and the data have 3; ask for flow with "
        "shard.flow={method: dis, limit_px: 20} and clip.flow=1, or let it take frames: model.in_channels=3"
    ]


def test_as_many_workers_as_samples_in_a_batch_are_fine(small: dict[str, Any]) -> None:
    workers = check(put(small, "cluster.workers", 8), "r").cluster.workers
    assert (workers.min, workers.max, workers.elastic) == (8, 8, False)


@pytest.mark.parametrize("given", [3, {"min": 1, "max": 4}])
def test_workers_are_kept_as_they_were_written(small: dict[str, Any], given: Any) -> None:
    recipe = check(put(small, "cluster.workers", given), "r")
    assert plain(recipe)["cluster"]["workers"] == given
    assert check(plain(recipe), "r") == recipe


def test_a_range_of_one_is_a_number(small: dict[str, Any]) -> None:
    same = check(put(small, "cluster.workers", {"min": 2, "max": 2}), "r").cluster.workers
    assert not same.elastic
    assert same == check(put(small, "cluster.workers", 2), "r").cluster.workers


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (0, "cluster.workers: input should be greater than 0, not 0"),
        ("two", "cluster.workers: input should be a valid integer, unable to parse string as an integer, not 'two'"),
        ({"min": 0, "max": 2}, "cluster.workers.min: input should be greater than 0, not 0"),
        ({"min": 2}, "cluster.workers.max: is missing"),
        ({"min": 1, "max": 2, "maxx": 3}, "cluster.workers.maxx: unknown key 'maxx'; did you mean 'max'?"),
        ({"min": 3, "max": 2}, "cluster.workers: min is 3 and max is 2; write {min: 2, max: 3}"),
    ],
)
def test_workers_that_cannot_be(small: dict[str, Any], given: Any, says: str) -> None:
    assert problems(put(small, "cluster.workers", given))[1:] == [says]


def test_a_group_is_a_column_of_tables_alone(small: dict[str, Any]) -> None:
    put(small, "data.split", {"group": "patient"})
    kind = small["data"]["source"]["kind"]
    assert problems(small)[1:] == [
        f"data.split.group: 'patient' names a column, and data.source.kind is {kind}, not table; write a regular "
        'expression over the path, whose parentheses hold the group, such as "(.*)/" for the folder of a file'
    ]
    assert check(put(small, "data.split", {"group": "(.*)/"}), "r").data.split.column is None
    put(small, "data.source", {"kind": "table", "path": "t.csv"})
    assert check(put(small, "data.split", {"group": "patient"}), "r").data.split.column == "patient"


def test_masks_are_not_stratified(small: dict[str, Any]) -> None:
    put(small, "task", {"kind": "segmentation"})
    lines = problems(put(small, "data.split", {"stratify": True}))
    assert any(line.startswith("data.split.stratify: the classes of masks are known once") for line in lines)


def test_what_holds_out_as_ever_is_stored_as_ever(small: dict[str, Any]) -> None:
    assert plain(check(small, "r"))["data"]["split"] == {"val": 0.2}
    put(small, "data.split", {"folds": 5, "fold": 1})
    assert plain(check(small, "r"))["data"]["split"] == {"val": 0.2, "folds": 5, "fold": 1}


def test_all_problems_are_reported_together(small: dict[str, Any]) -> None:
    put(small, "optimizer.momentun", 0.9)
    put(small, "train.batch_size", "many")
    put(small, "model.kind", "tsn_resnet18")
    put(small, "augment.train", [{"RandomCorp": {"height": 28, "width": 28}}, {"HorizontalFlip": {"prob": 1}}])
    lines = problems(small)
    assert lines[0] == "r: 5 problems"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "optimizer.momentun",
        "train.batch_size",
        "model.kind",
        "augment.train[0].RandomCorp",
        "augment.train[1].HorizontalFlip",
    ]
    assert "did you mean 'RandomCrop'" in lines[4]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (3, "augment.train: must be a list of {Name: {parameters}}, not 3"),
        ([{"HorizontalFlip": 1}], "augment.train[0].HorizontalFlip: its parameters must be a mapping, not 1"),
        ([{"Rotate": {"limit": "x"}}], "augment.train[0].Rotate: limit"),
    ],
)
def test_transforms_are_one_problem_not_two(small: dict[str, Any], spec: Any, says: str) -> None:
    small["augment"]["train"] = spec
    lines = problems(put(small, "seed", -1))
    assert lines[1] == "seed: input should be greater than or equal to 0, not -1"
    assert lines[2].startswith(says)
    assert all(line.startswith("augment.train") for line in lines[2:])


def test_a_transform_without_parameters_may_be_its_name(small: dict[str, Any]) -> None:
    small["augment"]["train"] = ["HorizontalFlip", {"VerticalFlip": None}, {"Blur": {"p": 1}}]
    assert check(small, "r").augment.train == [{"HorizontalFlip": {}}, {"VerticalFlip": {}}, {"Blur": {"p": 1}}]


@pytest.mark.parametrize(
    "tracking",
    ["http://me:s3cret@host", {"uri": ["http://me:s3cret@host"]}, {"token": "s3cret"}, {"uri": {"token": "s3cret"}}],
)
def test_secrets_are_not_repeated(small: dict[str, Any], tracking: Any) -> None:
    message = "\n".join(problems(put(small, "tracking", tracking)))
    assert "tracking" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("wrong", [5, "Blur", None, [5], {"Blur": {}}])
def test_transforms_that_alone_are_wrong_are_told(small: dict[str, Any], wrong: Any) -> None:
    lines = problems(put(small, "augment.train", wrong))
    assert len(lines) == 2
    assert lines[1].startswith("augment.train")


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("model.weights", "https://me:s3cret@host/w.pth", "model.weights: https://me:***@host/w.pth"),
        ("model.weights", "https://host/w.pth?token=s3cret", "model.weights: https://host/w.pth?token=***"),
        ("loss", {"distill": {"teacher": "https://s3cret@host/t"}}, "loss.distill.teacher: https://***@host/t"),
        ("store", "s3://id:s3cret@bucket/runs", "store: s3://id:***@bucket/runs"),
        (
            "data.source",
            {"kind": "table", "path": "https://h/t.csv?sig=s3cret"},
            "data.source.path: https://h/t.csv?sig=***",
        ),
        (
            "data.source",
            {"kind": "table", "path": "t.csv", "root": "ftp://me:s3cret@host"},
            "data.source.root: ftp://me:***@host",
        ),
        (
            "data.source",
            {"kind": "webdataset", "urls": ["a.tar", "https://h/b.tar?X-Amz-Signature=s3cret"], "label": "cls"},
            "data.source.urls[1]: https://h/b.tar?X-Amz-Signature=***",
        ),
    ],
)
def test_a_url_with_a_secret_is_refused(small: dict[str, Any], key: str, value: Any, place: str) -> None:
    message = "\n".join(problems(put(small, key, value)))
    assert f"{place} holds a password or a signature" in message
    assert "Give credentials by the environment" in message
    assert "s3cret" not in message


def test_mlflow_s_address_may_hold_a_password(small: dict[str, Any]) -> None:
    uri = "postgresql://me:s3/cret@host/db"
    assert check(put(small, "tracking", {"uri": uri}), "r").tracking.uri == uri


def test_sizes_are_for_detection(small: dict[str, Any]) -> None:
    assert check(put(small, "train.sizes", []), "r") == check(small, "r")
    lines = problems(put(small, "train.sizes", [64, 96]))
    assert lines[0] == "r: 1 problem"
    assert lines[1].startswith("train.sizes: is for detection, and task.kind is image-classification; let augment")
    assert problems(put(small, "train.sizes", [0]))[1].startswith("train.sizes[0]: input should be greater than 0")


def test_a_recipe_cannot_be_changed(small: dict[str, Any]) -> None:
    recipe = check(small, "r")
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.batch_size = 1


BOTH = {"kind": "choose", "of": [{"kind": "mixup", "probability": 0.5}, {"kind": "cutmix", "probability": 0.5}]}


@pytest.mark.parametrize(
    "mixing",
    [{"kind": "mixup"}, {"kind": "cutmix", "alpha": 0.5}, {"kind": "ricap", "probability": 0.5}, BOTH],
)
def test_mixing_checks_to_itself(small: dict[str, Any], mixing: dict[str, Any]) -> None:
    recipe = check(small | {"mixing": mixing}, "r")
    assert check(plain(recipe), "stored") == recipe
    assert recipe.mix_group == 8
    assert check(small, "r").mix_group == 1


@pytest.mark.parametrize(
    ("mixing", "group"),
    [
        ({"kind": "mixup", "alpha": 0}, 1),
        ({"kind": "cutmix", "alpha": 0.0}, 1),
        ({"kind": "ricap", "beta": 0}, 1),
        ({"kind": "choose", "of": [{"kind": "mixup", "alpha": 0, "probability": 0.5}]}, 1),
        ({"kind": "choose", "of": [{"kind": "mixup", "alpha": 0, "probability": 0.5}, *BOTH["of"][1:]]}, 8),
    ],
)
def test_alpha_0_is_no_mixing(small: dict[str, Any], mixing: dict[str, Any], group: int) -> None:
    recipe = check(small | {"mixing": mixing}, "r")
    assert recipe.mix_group == group
    assert mixes(recipe.mixing) == (group > 1)


@pytest.mark.parametrize(
    ("mixing", "says"),
    [
        ({"kind": "mixupp"}, "mixing.kind: unknown kind 'mixupp'; did you mean 'mixup'?"),
        ({"kind": "mosaic4"}, "mixing.kind: unknown kind 'mosaic4'; did you mean 'mosaic'?"),
        ({"kind": "mosaic"}, "mixing.kind: mosaic has no meaning for task.kind"),
        (
            {"kind": "choose", "of": [{"kind": "mosaic4"}]},
            "mixing.of[0].kind: unknown kind 'mosaic4'; did you mean 'mosaic'?",
        ),
        ({"kind": "mixup", "alhpa": 1}, "mixing.alhpa: unknown key 'alhpa'; did you mean 'alpha'?"),
        ({"kind": "mixup", "alpha": -0.1}, "mixing.alpha: input should be greater than or equal to 0, not -0.1"),
        ({"kind": "choose", "of": []}, "mixing.of: no way to choose from"),
        ({"kind": "choose", "of": [{"kind": "mixup"}, {"kind": "ricap"}]}, "mixing.of: the probabilities sum to 2;"),
        (
            {"kind": "choose", "of": [{"kind": "mixup"}, {"kind": "cutmox"}]},
            "mixing.of[1].kind: unknown kind 'cutmox'; did you mean 'cutmix'?",
        ),
        (
            {"kind": "choose", "of": [{"kind": "mixup", "alhpa": 1}]},
            "mixing.of[0].alhpa: unknown key 'alhpa'; did you mean 'alpha'?",
        ),
    ],
)
def test_wrong_mixing_is_told(small: dict[str, Any], mixing: dict[str, Any], says: str) -> None:
    count, line = problems(small | {"mixing": mixing})
    assert count == "r: 1 problem"
    assert line.startswith(says)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"cluster.workers": 3},
            "cluster.workers: 3 workers cannot share a batch of 16 in groups of 8 that are mixed; ",
        ),
        (
            {"train.mix_group": 9, "cluster.workers": 2},
            "cluster.workers: 2 workers cannot share a batch of 16 in group",
        ),
        ({"train.micro_batch": 4}, "train.micro_batch: 4 samples are not whole groups of 8 that are mixed; set it to"),
        ({"train.micro_batch": 12}, "train.micro_batch: 12 samples are not whole groups of 8 that are mixed; set it"),
    ],
)
def test_what_is_mixed_is_not_parted(small: dict[str, Any], changes: dict[str, Any], says: str) -> None:
    put(small, "train.batch_size", 16)
    for key, value in changes.items():
        put(small, key, value)
    check(small, "unmixed")
    count, line = problems(small | {"mixing": BOTH})
    assert count == "r: 1 problem"
    assert line.startswith(says)


@pytest.mark.parametrize("changes", [{"train.micro_batch": 8}, {"train.micro_batch": 20}, {"cluster.workers": 2}])
def test_whole_groups_may_be_parted(small: dict[str, Any], changes: dict[str, Any]) -> None:
    put(put(small, "train.batch_size", 16), "mixing", BOTH)
    for key, value in changes.items():
        put(small, key, value)
    check(small, "mixed")


def test_repeats_share_a_batch_evenly(small: dict[str, Any]) -> None:
    assert check(put(small, "train.repeats", 4), "r").train.distinct == 2
    assert problems(put(small, "train.repeats", 3))[1:] == [
        "train.repeats: a batch of 8 cannot hold each sample 3 times; let one divide it"
    ]


def test_a_feed_is_local_unless_it_says_otherwise(small: dict[str, Any]) -> None:
    assert (
        check(small | {"feed": {"workers": 3}}, "r").feed
        == check(small | {"feed": {"kind": "local", "workers": 3}}, "r").feed
    )
    remote = check(small | {"feed": {"kind": "remote", "resource": "decode"}}, "r")
    assert (remote.feed.kind, remote.feed.workers, plain(remote)["feed"]["resource"]) == ("remote", 4, "decode")


@pytest.mark.parametrize(
    ("feed", "says"),
    [
        ({"worker": 1}, "feed.worker: unknown key 'worker'; did you mean 'workers'?"),
        ({"actors": 1}, "feed.actors: unknown key 'actors'; known are: cache, kind, timeout_s, workers"),
        ({"cache": "much"}, "feed.cache: 'much' is no size; write one such as 8GiB or 500MB"),
        ({"cache": -1}, "feed.cache: '-1' is no size; write one such as 8GiB or 500MB"),
        ({"kind": "remote", "workers": 0}, "feed.workers: input should be greater than 0, not 0"),
        ({"kind": "remot"}, "feed.kind: unknown kind 'remot'; did you mean 'remote'?"),
        (
            {"kind": "remote", "resource": "GPU"},
            "feed.resource: GPU is one that every node may have; name one that you",
        ),
        ("remote", "feed: is a section; write feed: {kind: remote}, not 'remote'"),
    ],
)
def test_a_wrong_feed_is_told(small: dict[str, Any], feed: Any, says: str) -> None:
    (_, told) = problems(small | {"feed": feed})
    assert told.startswith(says)


@pytest.mark.parametrize(
    "mixing", [{"kind": "mixup"}, {"kind": "choose", "of": [{"kind": "ricap"}, {"kind": "mixup", "probability": 0.5}]}]
)
def test_a_way_of_mixing_that_means_nothing_for_the_task(
    small: dict[str, Any], mixing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SECTIONS["image-classification"], "mixes", frozenset({"ricap"}))
    lines = problems(put(put(small, "task.kind", "image-classification"), "mixing", mixing))
    said = "mixing.kind: mixup has no meaning for task.kind image-classification; allowed are: none, ricap"
    assert said in [line.strip() for line in lines]


@pytest.mark.parametrize("classes", [3, [1, 2], {0: 5}, {"a": "b"}, {-1: "a"}, [["a"]]])
def test_classes_of_masks_that_are_none(small: dict[str, Any], classes: Any) -> None:
    source = {"kind": "table", "path": "t.csv", "classes": classes}
    assert problems(small | {"data": {"source": source}})[1:] == [
        "data.source.classes: is neither a list of names, nor a mapping of values to names such as {0: background, "
        "255: cell}, nor a file; names that are numbers stand in quotes"
    ]


def test_terms_of_the_loss_are_for_masks(small: dict[str, Any]) -> None:
    assert problems(put(small, "loss.terms", {"dice": 1}))[1:] == [
        "loss.terms: are for tasks whose models answer masks or images, and those of task.kind image-classification "
        "answer classes, which have one loss; leave it out"
    ]


def test_borders_are_of_masks(small: dict[str, Any]) -> None:
    said = "loss.border: is of masks with instance maps, and task.kind is image-classification; leave it out"
    assert said in problems(put(small, "loss.border", True))
    said = "loss.stride: is of masks, and task.kind is image-classification; leave it out"
    assert said in problems(put(small, "loss.stride", 8))


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"dise": 1}, "loss.terms: unknown term 'dise'; did you mean 'dice'?"),
        ({}, "loss.terms: dictionary should have at least 1 item after validation, not 0, not {}"),
        ({"dice": 0}, "loss.terms.dice: input should be greater than 0, not 0"),
    ],
)
def test_a_wrong_term_of_the_loss_is_said(small: dict[str, Any], terms: dict[str, Any], says: str) -> None:
    assert says in problems(put(small, "loss.terms", terms))


def test_a_task_of_masks_takes_terms(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS, "image-blocks", toy.Section)
    values = put(small, "loss.terms", {"cross_entropy": 1, "lovasz": 0.5}) | {"task": {"kind": "image-blocks"}}
    with toy.known():
        assert not [line for line in cross_problems(values) if line.startswith("loss")]
    assert Loss(terms={"lovasz": 0.5}).terms == {"lovasz": 0.5}


def test_a_task_of_objects_asks_for_boxes(small: dict[str, Any]) -> None:
    values = small | {"task": {"kind": "detection"}}
    needs = (
        "data.source.kind: folder gives no boxes, and task.kind detection needs them; sources that give them are: "
        "coco, voc, yolo, labelme, cvat, images, table, webdataset, digit-objects, digit-instances"
    )
    assert needs in cross_problems(put(values, "data.source", {"kind": "folder", "path": "x"}))
    for kind in ("yolo", "table"):
        assert needs not in str(cross_problems(put(values, "data.source", {"kind": kind, "path": "x"})))
    labels = put(small, "data.source", {"kind": "voc", "path": "x", "annotations": "y"})
    assert "data.source.kind: voc gives no labels" in str(
        cross_problems(labels | {"task": {"kind": "image-multilabel"}})
    )
    assert Detection.model_validate({"kind": "detection", "max_objects": 3}).max_objects == 3


def test_a_recipe_without_terms_says_nothing_of_them(small: dict[str, Any]) -> None:
    assert "terms" not in plain(check(small, "r"))["loss"]
    assert plain(check(put(small, "loss.label_smoothing", 0.1), "r"))["loss"] == {
        "label_smoothing": 0.1,
        "class_weights": None,
        "auxiliary": 0.4,
        "distill": None,
    }


def test_sources_that_do_not_give_what_the_task_asks_for(
    small: dict[str, Any],
) -> None:
    def said(task: str, source: dict[str, Any]) -> list[str]:
        found = cross_problems({**small, "task": {"kind": task}, "data": {"source": source}})
        return [line for line in found if line.startswith("data.source")]

    folder = {"kind": "folder", "path": "x"}
    needs = "folder gives no masks, and task.kind segmentation needs them; sources that give them are: images, table, "
    assert said("segmentation", folder) == [f"data.source.kind: {needs}coco, webdataset, digit-scenes"]
    mixture = {"kind": "mixture", "of": {"a": folder, "b": {"kind": "images", "path": "x"}}}
    assert said("segmentation", mixture) == [f"data.source.of.a.kind: {needs}coco, webdataset, digit-scenes"]
    for kind in ("images", "coco", "webdataset", "table"):
        assert said("segmentation", {"kind": kind, "path": "x.csv"}) == []
    assert said("image-classification", {"kind": "images", "path": "x"}) == [
        "data.source.kind: images gives no labels, and task.kind image-classification needs them; for a folder a class "
        "set it to folder, for a list of files to table"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 0.1}, "lr: unknown key 'lr'; write optimizer.lr=0.1"),
        (
            {"model": {"kind": "resnet18", "name": "resnet50"}},
            "model.name: unknown key 'name'; write model.kind=resnet50",
        ),
        ({"data": "photos"}, "data: is a section; write data.source.path=photos"),
        (
            {"data": {"source": {"kind": "digits", "path": "photos"}}},
            "data.source.path: unknown key 'path'; write data.source={kind: folder, path: photos}",
        ),
        ({"trainer": {"max_epochs": 3}}, "trainer: unknown key 'trainer'; write train.duration=3ep"),
        ({"trian": {"duration": "3ep"}}, "trian: unknown key 'trian'; did you mean 'train' or 'tracking'?"),
        ({"solver": {"momentum": 0.9}}, "solver: unknown key 'solver'; write optimizer.momentum=0.9"),
        (
            {"weights": "https://me:s3cret@host/w"},
            "weights: unknown key 'weights'; write model.weights=https://me:***@host/w",
        ),
    ],
)
def test_what_other_tools_call_a_key_is_answered(small: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    assert said in problems(small | changes)


@pytest.mark.parametrize(
    ("task", "known"),
    [
        ("image-classification", "alexnet, convnext_base, "),
        ("video-classification", "timesformer_base, "),
        ("segmentation", "deeplabv1_resnet101, "),
    ],
)
def test_an_unknown_model_is_answered_with_those_that_the_task_takes(
    small: dict[str, Any], task: str, known: str
) -> None:
    (said,) = [
        line
        for line in problems(small | {"task": {"kind": task}, "model": {"kind": "efficientnet_b0"}})
        if line.startswith("model.kind")
    ]
    assert said.startswith("model.kind: unknown kind 'efficientnet_b0'; known are: ")
    assert known in said
    others = {"image-classification": "tsm", "video-classification": "hornet", "segmentation": "tsm"}
    assert others[task] not in said
