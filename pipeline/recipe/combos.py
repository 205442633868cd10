"""What does not go together in a recipe, each part of which may be right: said before anything starts."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from models.options.own import options_of
from pipeline.base import plugins
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.base.redact import redact
from pipeline.recipe.channels import channel_problems
from pipeline.recipe.duration import parse
from pipeline.recipe.evaluate import KEYS, Evaluate
from pipeline.recipe.flow import flow_problems
from pipeline.recipe.loss import TERMS
from pipeline.recipe.posing import pose_problems
from pipeline.recipe.restoring import restoration_problems
from pipeline.recipe.schema import Train
from pipeline.recipe.sources import (
    SOURCE_MODALITY,
    WITH_KEYPOINTS,
    WITH_MASKS,
    WITH_OBJECTS,
    WITH_PICTURES,
    WITHOUT_LABELS,
)
from pipeline.recipe.tasks import SECTIONS, WAYS, TaskSection, fitting_models, own_section, section_of
from pipeline.recipe.values import at, word

UNSTRATIFIED = {
    "mask": "the classes of masks are known once these are decoded",
    "image": "pictures to be restored have no classes",
}
"""What models answer -> why samples cannot be held out by their classes."""


def cross_problems(values: Mapping[str, Any]) -> list[str]:
    """Return what no section can see alone, in values that may be wrong in other ways."""
    problems = []
    task, model = (word(values, key) for key in ("task.kind", "model.kind"))
    if checked := task_section(values):
        modality = checked.modality
        for where in _source_keys(values):
            kind = word(values, f"{where}.kind")
            if SOURCE_MODALITY.get(kind, modality) != modality:
                problems.append(f"{where}.kind: {kind} makes {SOURCE_MODALITY[kind]}s, but task.kind is {task}")
            problems += _source_problems(kind, where, checked)
            if kind == "table" and checked.answers == "classes":
                problems += _table_problems(values, where, checked.label_sets)
        problems += _sampling_problems(values) + _split_problems(values, checked)
        problems += _model_problems(model, checked) + _evaluate_problems(values, checked)
        problems += _mixing_problems(values, checked)
        problems += _loss_problems(values, checked)
        if at(values, "train.sizes") and checked.answers != "objects":
            problems.append(
                f"train.sizes: is for detection, and task.kind is {task}; let augment.train draw a size a sample, "
                "as RandomResizedCrop does"
            )
        problems += channel_problems(values, checked, _source_keys(values)) + _momentum_problems(values)
        problems += flow_problems(values, checked, _source_keys(values))
        if checked.answers == "image":
            problems += restoration_problems(values, _source_keys(values))
        if checked.answers == "keypoints":
            problems += pose_problems(values)
    crops = at(values, "evaluate.crops")
    if isinstance(crops, int) and crops > 1 and "CenterCrop" not in _last(at(values, "augment.eval")):
        problems.append(f"evaluate.crops: {crops} crops take the place of a CenterCrop; let augment.eval end with one")
    return problems + _sharing_problems(values) + list(_secrets(values))


def task_section(values: Mapping[str, Any]) -> TaskSection | None:
    """Return the section of the task; None where it is wrong, which is said already."""
    kind = word(values, "task.kind")
    if not plugins.is_own(kind):
        return section_of(kind) if kind in SECTIONS else None
    try:
        return own_section(kind).model_validate(values["task"])
    except (ZoetropeError, ValidationError):
        return None


def _source_problems(kind: str, where: str, task: TaskSection) -> list[str]:
    """Refuse a source that does not give what the task's targets are."""
    for answers, what, kinds in (
        ("mask", "masks", WITH_MASKS),
        ("objects", "boxes", WITH_OBJECTS),
        ("keypoints", "key points", WITH_KEYPOINTS),
        ("image", "pictures alone", WITH_PICTURES),
    ):
        if task.answers == answers and kind not in ("", *kinds):
            return [
                f"{where}.kind: {kind} gives no {what}, and task.kind {task.kind} needs them; sources that give them "
                f"are: {', '.join(kinds)}"
            ]
    if task.answers == "classes" and kind in WITHOUT_LABELS:
        return [
            f"{where}.kind: {kind} gives no labels, and task.kind {task.kind} needs them; for a folder a class set it "
            "to folder, for a list of files to table"
        ]
    return []


def _model_problems(model: str, task: TaskSection) -> list[str]:
    """Refuse a model that takes or answers something else than the task's samples are and ask for."""
    try:
        options = options_of(model)
    except ZoetropeError:  # said already
        return []
    names = ", ".join(fitting_models(task))
    if options.modality() != task.modality:
        return [
            f"model.kind: {model} takes {options.modality()}s, but task.kind is {task.kind}; "
            f"models for {task.modality}s are: {names}"
        ]
    if options.answers == task.answers and options.outlines != task.outlines:
        does = "answers objects with masks" if options.outlines else "answers boxes alone"
        return [f"model.kind: {model} {does}, but task.kind is {task.kind}; models that fit are: {names}"]
    if options.answers != task.answers:
        return [
            f"model.kind: {model} answers {options.answers}, but task.kind is {task.kind}; "
            f"models that answer {task.answers} are: {names}"
        ]
    return []


def _evaluate_problems(values: Mapping[str, Any], task: TaskSection) -> list[str]:
    """Refuse ways to measure that are for masks alone, or not for them."""
    evaluate = at(values, "evaluate")
    if not isinstance(evaluate, Mapping):
        return []
    fields = Evaluate.model_fields
    asked = {key: [answer for answer, keys in KEYS.items() if key in keys] for key in evaluate}
    return [
        f"evaluate.{key}: is for models that answer {' or '.join(answers)}, and those of task.kind {task.kind} answer "
        f"{task.answers}; leave it out"
        for key, answers in asked.items()
        if answers and task.answers not in answers and evaluate[key] != fields[key].default
    ]


def _loss_problems(values: Mapping[str, Any], task: TaskSection) -> list[str]:
    """Refuse keys of the loss that mean nothing for the task's targets."""
    problems = []
    if at(values, "loss.border") and task.answers != "mask":
        problems.append(f"loss.border: is of masks with instance maps, and task.kind is {task.kind}; leave it out")
    if (at(values, "loss.stride") or 1) != 1 and task.answers != "mask":
        problems.append(f"loss.stride: is of masks, and task.kind is {task.kind}; leave it out")
    terms = at(values, "loss.terms")
    if terms is not None and task.answers in ("classes", "objects", "keypoints"):
        problems.append(
            f"loss.terms: are for tasks whose models answer masks or images, and those of task.kind {task.kind} answer "
            f"{task.answers}, which have one loss; leave it out"
        )
    elif isinstance(terms, Mapping):
        own, others = (TERMS[task.answers], {name for of in TERMS.values() for name in of})
        problems += [f"loss.terms: {unknown('term', name, own)}" for name in terms if name in others - {*own}]
    without = {
        "objects": "a detector's loss is its architecture's, as published, which has none",
        "keypoints": "is of classes, and joints have maps",
        "image": "is of classes, and a restored picture has none",
    }
    if why := without.get(task.answers):
        problems += [
            f"loss.{key}: {why}; leave it out"
            for key in ("label_smoothing", "class_weights", "distill")
            if at(values, f"loss.{key}")
        ]
    return problems


def _mixing_problems(values: Mapping[str, Any], task: TaskSection) -> list[str]:
    """Refuse ways of mixing that mean nothing for the task's targets."""
    several, allowed = at(values, "mixing.of"), task.mixes
    ways = [word(values, "mixing.kind"), *(word(one, "kind") for one in several or [] if isinstance(several, list))]
    wrong = [way for way in ways if way in WAYS - allowed]
    words = ", ".join(["none", *sorted(allowed)])
    return [f"mixing.kind: {wrong[0]} has no meaning for task.kind {task.kind}; allowed are: {words}"] if wrong else []


def _momentum_problems(values: Mapping[str, Any]) -> list[str]:
    """Refuse to warm up a momentum that the optimizer does not have."""
    kind = word(values, "optimizer.kind")
    if at(values, "schedule.warmup_momentum") is None or kind not in ("adamw", "adabound"):
        return []
    return [f"schedule.warmup_momentum: {kind} has none that is called so; leave it out, or take sgd or rmsprop"]


def _secrets(value: Any, where: str = "") -> Iterator[str]:
    """Yield every URL that holds a password or a signature.

    MLflow's alone may: it is no input, and hidden in all records.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _secrets(inner, f"{where}[{number}]")
    elif isinstance(value, str) and "://" in value and redact(value) != value and where != "tracking.uri":
        yield (
            f"{where}: {redact(value)} holds a password or a signature, and recipes are kept with what they made. Give "
            "credentials by the environment (AWS_ACCESS_KEY_ID, ...), or fetch the file yourself and name its path"
        )


def _sharing_problems(values: Mapping[str, Any]) -> list[str]:
    """Refuse a batch that workers and micro-batches cannot share, since samples that are mixed stay together."""
    workers, batch, micro = (at(values, key) for key in ("cluster.workers", "train.batch_size", "train.micro_batch"))
    workers = workers.get("max") if isinstance(workers, Mapping) else workers
    group = at(values, "train.mix_group") or Train.model_fields["mix_group"].default
    mixed = word(values, "mixing.kind") not in ("", "none")
    if not isinstance(batch, int) or not isinstance(group, int) or min(batch, group) < 1:
        return []
    problems = []
    repeats = at(values, "train.repeats")
    if isinstance(repeats, int) and repeats > 0 and batch % repeats:
        problems.append(f"train.repeats: a batch of {batch} cannot hold each sample {repeats} times; let one divide it")
    in_groups = f" in groups of {group} that are mixed" if mixed else ""
    most = batch // group if mixed else batch
    if isinstance(workers, int) and workers > max(most, 1):
        problems.append(
            f"cluster.workers: {workers} workers cannot share a batch of {batch}{in_groups}; set it to at most "
            f"{max(most, 1)}, or raise train.batch_size" + (", or lower train.mix_group" if mixed else "")
        )
    if mixed and isinstance(micro, int) and micro < batch and micro % group:
        problems.append(
            f"train.micro_batch: {micro} samples are not whole groups of {group} that are mixed; "
            f"set it to a multiple of {group}, or train.mix_group to what divides it"
        )
    return problems


def _source_keys(values: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of all sources: `data.source`, or those of a mixture."""
    of = at(values, "data.source.of")
    mixed = word(values, "data.source.kind") == "mixture" and isinstance(of, Mapping)
    return [f"data.source.of.{name}" for name in of] if mixed else ["data.source"]


def _sampling_problems(values: Mapping[str, Any]) -> list[str]:
    """Refuse ways to sample that the source does not allow."""
    kind, source = word(values, "train.sampling.kind"), word(values, "data.source.kind")
    batch, keep_last = at(values, "train.batch_size"), at(values, "train.keep_last")
    epoch = _samples(at(values, "train.sampling.epoch"))
    if epoch and isinstance(batch, int) and epoch < batch and not keep_last:
        return [
            f"train.sampling.epoch: an epoch of {epoch} samples has no batch of {batch}; set it to {batch}sa or more"
        ]
    if kind != "shares":
        return []
    if source != "mixture":
        return [f"train.sampling.kind: shares are of the sources of a mixture, and data.source.kind is {source}"]
    problems = []
    if keep_last:
        problems.append("train.keep_last: with train.sampling.kind shares no epoch has a rest; leave it out")
    names, shares = at(values, "data.source.of"), at(values, "train.sampling.of")
    if isinstance(names, Mapping) and isinstance(shares, Mapping):
        problems += [f"train.sampling.of: {unknown('source', name, names)}" for name in shares if name not in names]
        problems += [f"train.sampling.of: says no share of {name!r}" for name in names if name not in shares]
    return problems


def _split_problems(values: Mapping[str, Any], task: TaskSection) -> list[str]:
    """Refuse ways to hold out that the source or the task does not allow."""
    problems = []
    if at(values, "data.split.stratify") is True and (why := UNSTRATIFIED.get(task.answers)):
        problems.append(f"data.split.stratify: {why}, so it is not for task.kind {task.kind}; leave it out")
    group = word(values, "data.split.group")
    others = [where for where in _source_keys(values) if word(values, f"{where}.kind") != "table"]
    if group and "(" not in group and others:
        kind = word(values, f"{others[0]}.kind")
        problems.append(
            f"data.split.group: {group!r} names a column, and {others[0]}.kind is {kind}, not table; write a regular "
            'expression over the path, whose parentheses hold the group, such as "(.*)/" for the folder of a file'
        )
    return problems


def _table_problems(values: Mapping[str, Any], where: str, label_sets: bool) -> list[str]:
    """Refuse labels that a table cannot give as the task wants them; `where` is the source's key."""
    separator, path = at(values, f"{where}.separator"), word(values, f"{where}.path")
    if separator is not None and not label_sets:
        return [f"{where}.separator: is for several labels a sample, and task.kind asks for one; leave it out"]
    if separator is None and label_sets and path.partition("?")[0].lower().endswith((".csv", ".tsv", ".txt")):
        return [f'{where}.separator: is missing; say what stands between the labels of a sample, such as "|"']
    if separator == "":
        return [f"{where}.separator: is empty; say what stands between the labels of a sample"]
    return []


def _samples(length: Any) -> int:
    """Return a length in samples; 0 where it is none, or no right one."""
    try:
        parsed = parse(length)
    except ValueError:
        return 0
    return int(parsed.amount) if parsed.unit == "sa" else 0


def _last(transforms: Any) -> Any:
    """Return the last transform, as written; an empty mapping where there is none."""
    last = transforms[-1] if isinstance(transforms, list) and transforms else None
    return last if isinstance(last, Mapping) else {}
