"""What users of other tools type, and what it is called here. A line a right answer; the tables are all there is."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from pipeline.recipe.schema import Recipe
from pipeline.recipe.section import sections

KEYS = {
    "train.duration={}ep": "epochs epoch num_epochs max_epochs n_epochs total_epochs",
    "train.duration={}st": "steps max_steps num_steps total_steps iterations iters max_iters",
    "train.batch_size={}": "batch_size batch bs",
    "train.checkpoint={}ep": "save_period save_freq save_every checkpoint_every",
    "train.evaluate={}ep": "val_interval val_freq eval_interval check_val_every_n_epoch",
    "train.early_stopping={{patience: {}}}": "patience early_stopping_patience",
    "train.grad_clip={}": "clip_grad clip_grad_norm max_norm max_grad_norm gradient_clip_val",
    "train.ema={}": "ema_decay model_ema model_ema_decay",
    "train.precision=bf16": "amp use_amp half fp16 bf16 mixed_precision",
    "train.sync_bn=true": "syncbn sync_batchnorm",
    "optimizer.lr={}": "lr lr0 learning_rate base_lr init_lr initial_lr max_lr",
    "optimizer.weight_decay={}": "wd decay l2",
    "optimizer.kind={}": "opt optim optimizer_name optimizer.name optimizer.type",
    "schedule.kind={}": "scheduler sched lr_scheduler lr_schedule schedule.name",
    "schedule.warmup={}ep": "warmup_epochs",
    "schedule.warmup={}st": "warmup_steps warmup_iters num_warmup_steps",
    "loss.label_smoothing={}": "smoothing label_smooth",
    "mixing={{kind: mixup, alpha: {}}}": "mixup mixup_alpha",
    "mixing={{kind: cutmix, alpha: {}}}": "cutmix cutmix_alpha",
    "model.kind={}": "arch architecture backbone encoder net network model_name model.name model.type model.arch",
    "model.weights={}": "weights load_from init_checkpoint pretrained_weights",
    "data.source.path={}": "data data.source data.path data.root data.dir data.train dataset root data_dir data_path "
    "data_root train_dir img_dir source",
    "data.source={{kind: folder, path: {}}}": "source.path",
    "data.split.val={}": "val_split val_size val_ratio validation_split valid_pct",
    "data.split.test={}": "test_split test_size test_ratio",
    "data.split.folds={}": "n_splits kfold k_folds num_folds n_folds",
    "data.split.group={}": "groups group_by group_column",
    "data.classes.keep=[{}]": "class_names",
    "clip.frames={}": "num_frames n_frames clip_len clip_length num_segments frames_per_clip",
    "clip.stride={}": "frame_interval frame_stride sampling_rate",
    "feed.workers={}": "num_workers nw dataloader_workers dataloader_num_workers",
    "store={}": "output out out_dir output_dir save_dir work_dir log_dir logdir results_dir",
    "tracking.uri={}": "tracking_uri mlflow_uri mlflow_tracking_uri",
    "tracking.experiment={}": "experiment experiment_name project project_name",
    "name={}": "run_name exp exp_name",
}
"""What to write, with the value in place of `{}` -> the guesses that it answers."""

WORDS = {
    "a GPU is used where there is one; cluster.workers=2 trains on two, cluster.gpus_per_worker=0 on CPUs": "device "
    "devices gpu gpus num_gpus n_gpus cuda accelerator",
    "feed.workers={} for the processes that make batches, cluster.workers={} for those that train": "workers",
    "cluster.workers={} trains with so many processes, on however many machines; see docs/cluster.md": "nodes "
    "num_nodes nproc_per_node world_size",
    "there is no such key, as the data say it; data.classes renames, merges or keeps classes": "num_classes nc "
    "n_classes classes",
    "the size is that of the crops that end augment.train and augment.eval, such as {{CenterCrop: {{height: {}, "
    "width: {}}}}}": "imgsz img_size image_size input_size crop_size resolution",
    "train.sizes=[256, 320, 384] draws a size for each batch of a detector": "multi_scale multiscale random_size",
    "model.weights=imagenet1k starts from official weights; docs/weights.md has more": "pretrained pretrain finetune",
    "mixing.kind=mosaic makes one picture of four, for a detector": "mosaic mosaic_prob",
    "mixing.until=90% leaves the last tenth unmixed": "close_mosaic no_aug_epochs num_last_epochs mixup_off_epoch",
    "feed.cache=8GiB keeps decoded samples for the epochs to come": "cache cache_images cache_data",
    "nothing: the same command goes on from the last checkpoint": "resume auto_resume",
    "train.batch_size is the batch of an optimizer step; train.micro_batch=auto lets it go through the model in parts "
    "that fit": "accumulate accumulate_grad_batches gradient_accumulation_steps grad_accum_steps",
}
"""Answers that are no single key -> their guesses."""

KINDS = {
    "task.kind=video-classification": "action_recognition",
    "task.kind=keypoints": "pose pose_estimation human_pose",
    "data.source.kind=folder": "directory dir",
    "data.source.kind=table": "csv tsv parquet",
    "data.source.kind=coco": "cocodetection",
    "data.source.kind=voc": "pascal pascal_voc",
    "data.source.kind=yolo": "ultralytics",
    "data.source.kind=webdataset": "wds tar tars",
    "optimizer.kind=sgd": "momentum nesterov",
    "schedule.kind=cosine": "cosineannealinglr cosine_annealing",
    "schedule.kind=polynomial": "poly poly_lr",
    "schedule.kind=polynomial, with power 1": "linear linearlr",
    "schedule.kind=step": "multisteplr multi_step_lr",
    "schedule.kind=plateau": "reducelronplateau reduce_lr_on_plateau reduce_on_plateau",
}
"""Kind to write -> its names elsewhere that do not look like it."""

MOST_PLACES = 3
NUMBER = "10"
"""Stands where a number belongs and none was given."""


def answer(path: str, value: Any) -> str | None:
    """Return what to write in place of a key that recipes do not have, as a part of a sentence; None: nobody knows.

    >>> answer("train.epochs", 3)
    'write train.duration=3ep'
    """
    return synonym(path, value) or elsewhere(path, value)


def synonym(path: str, value: Any) -> str | None:
    """Answer by the tables; for a section that recipes do not have, the keys in it."""
    parts = path.lower().replace("-", "_").split(".")
    for guess in (".".join(parts[-2:]), parts[-1]):
        if guess in _TABLE:
            return _TABLE[guess].format(_shown(value, _TABLE[guess]))
    return _inside(synonym, path, value)


def elsewhere(path: str, value: Any) -> str | None:
    """Answer with the few places where a key of this name is."""
    places = [place for place in every_key() if place.rpartition(".")[2] == path.rpartition(".")[2] and place != path]
    if 0 < len(places) <= MOST_PLACES:
        return f"write {' or '.join(f'{place}={_shown(value, place)}' for place in places)}"
    return _inside(elsewhere, path, value)


def kind(path: str, name: str) -> str | None:
    """Answer a kind that the section at `path` does not have, as it is called elsewhere; None: nobody knows.

    >>> kind("optimizer", "Nesterov")
    'write kind: sgd'
    """
    asked = name.lower().replace("-", "_")
    for right, names in KINDS.items():
        section, _, words = right.partition(".kind=")
        if asked in names.split() and (path == section or path.startswith(f"{section}.")):
            return f"write kind: {words}"
    return None


def _inside(find: Callable[[str, Any], str | None], path: str, value: Any) -> str | None:
    inner = [find(f"{path}.{key}", one) for key, one in value.items()] if isinstance(value, Mapping) else []
    return "; ".join(list(dict.fromkeys(filter(None, inner)))[:MOST_PLACES]) or None


@cache
def every_key() -> tuple[str, ...]:
    """List every dotted key that is no section, of choices those of all kinds."""
    return tuple(dict.fromkeys(_keys(Recipe, "")))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = sections(field.annotation)
        for section in inner:
            yield from _keys(section, f"{prefix}{name}.")
        if not inner:
            yield f"{prefix}{name}"


def _shown(value: Any, template: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str) and value != "":
        is_number = str(value).replace(".", "", 1).isdigit()
        return str(value) if is_number or not template.endswith(("}ep", "}st")) else NUMBER
    return NUMBER if template.endswith(("}ep", "}st")) else "..."


_TABLE = {
    **{guess: f"write {right}" for right, guesses in KEYS.items() for guess in guesses.split()},
    **{guess: words.replace("{}", "{0}") for words, guesses in WORDS.items() for guess in guesses.split()},
}
