"""From a checked recipe to a plan: what would run, and why, and what can be refused without starting anything."""

import json
from collections.abc import Iterable
from dataclasses import replace

from pipeline.base.errors import ZoetropeError
from pipeline.base.job import check_store, check_tracking
from pipeline.cluster.capacity import room_problem, sharing_warning
from pipeline.graph.plan import Graph, Plan, plan
from pipeline.recipe import Recipe, plain
from pipeline.recipe.sampling import Weighted, class_weights, epoch_samples
from pipeline.recipe.sources import DrawnSource, WebDatasetSource
from pipeline.recipe.validate import recipe_error, transform_problems
from pipeline.shards.quality import facts_warning
from pipeline.shards.short import short_warning
from pipeline.sources import summary
from pipeline.sources.listing import Listing
from pipeline.stages import evaluate, export, ingest, shard, train
from pipeline.store import Artifact, Store, open_store
from pipeline.tasks import task_of
from pipeline.tasks.base import riding
from pipeline.tracking.address import resolve
from pipeline.training.fitting import fitting_problems, fitting_warnings, start_words
from pipeline.training.followed import metric_problems
from pipeline.training.lone import lone_problem
from pipeline.training.sizes import scaled
from pipeline.training.unreached import unreached

GRAPH = Graph((ingest.STAGE, shard.STAGE, train.STAGE, evaluate.STAGE, export.STAGE))


def make_plan(recipe: Recipe, rerun: Iterable[str] = ()) -> tuple[Plan, Store]:
    """Make the plan of a recipe in its store. Raises ZoetropeError for all that can be seen before anything is started.

    What is there already was checked when it was made, so a plan with nothing to do loads nothing heavy.
    """
    store = open_store(recipe.store)
    check_store(store.url)
    check_tracking(resolve(recipe.tracking.uri, store.url).uri)
    planned = plan(GRAPH, plain(recipe), store, rerun)
    ingested = _artifacts(planned)["ingest"]
    notes = ingested.facts.get(ingest.DATA, []) if ingested else []
    if planned.to_run:
        listing = _listing(recipe, planned)
        problems = [*_augmentation_problems(recipe), *_sample_problems(recipe, planned, listing)]
        if not problems and _trains(planned):
            alone = lone_problem(recipe, _stored(planned))
            problems = [*metric_problems(recipe), *filter(None, [alone]), *fitting_problems(recipe)]
        if problems:
            raise recipe_error(recipe.name, problems)
        if listing and not ingested:
            notes = summary.of_listing(listing)
    told = [start_words(recipe), _cache_words(recipe, planned)] if _trains(planned) else []
    return replace(planned, notes=(*notes, *filter(None, told))), store


def _cache_words(recipe: Recipe, planned: Plan) -> str | None:
    """Tell how many samples `feed.cache` has a place for, once there are shards."""
    shards = _artifacts(planned)["shard"]
    if recipe.feed.cache is None or not shards:
        return None
    from pipeline.feed import cache
    from pipeline.shards.dataset import open_dataset

    try:
        return cache.words(recipe, open_dataset(shards.files))
    except ZoetropeError:  # told by what reads the samples
        return None


def _artifacts(planned: Plan) -> dict[str, Artifact | None]:
    return {step.stage.name: step.artifact for step in planned.steps}


def _listing(recipe: Recipe, planned: Plan) -> Listing | None:
    """Return what the source holds, where neither shards nor the recipe say how much, and names alone do.

    What is in tars is not told by their names, and there may be many.
    """
    known = _artifacts(planned)["shard"] or isinstance(recipe.data.source, DrawnSource)
    return None if known or isinstance(recipe.data.source, WebDatasetSource) else ingest.look(recipe)


def _augmentation_problems(recipe: Recipe) -> list[str]:
    """Report wrong transforms; right ones that do not fit what the shards hold, or give pictures of several sizes."""
    task = task_of(recipe)
    rides = {name: riding(task, name == "train", recipe.clip.flow is not None) for name in ("train", "eval")}
    if problems := transform_problems(plain(recipe), rides, recipe.data.bands):
        return problems
    from pipeline.feed.views import view_size

    frames = recipe.clip.frames
    if recipe.task.modality == "video" and (valid := recipe.model.valid_frames(frames)) != frames:
        problems.append(
            f"clip.frames: {recipe.model.kind} takes clips of {valid} frames, not of {frames}; set it to {valid}, or "
            f"model.frames to {frames}"
        )
    for name in ("train", "eval"):
        is_training = name == "train"
        if not is_training and task.any_size:
            continue  # the sizes are those in the shards' indices
        try:
            height, width = view_size(recipe, is_training)
        except ZoetropeError as error:
            problems.append(f"augment.{name}: {error}")
            continue
        model = recipe.model
        valid = model.valid_side(height), model.valid_side(width)
        if valid != (height, width):  # an evaluation mirrors pictures up to a valid size
            problems.append(
                f"augment.{name}: makes {width} x {height} px, which {model.kind} does not take; end the list with "
                f"{{RandomCrop: {{height: {valid[0]}, width: {valid[1]}}}}}"
            )
        if is_training:
            problems += _size_problems(recipe, (height, width))
    return problems


def _size_problems(recipe: Recipe, made: tuple[int, int]) -> list[str]:
    """Report sizes of `train.sizes` that the model does not take, of views of `made` (H, W) px."""
    problems, model = [], recipe.model
    for short_px in recipe.train.sizes:
        height, width = scaled(made, short_px)
        valid = model.valid_side(height), model.valid_side(width)
        if valid != (height, width):
            problems.append(
                f"train.sizes: {short_px} is {width} x {height} px, which {model.kind} does not take; the next that it "
                f"takes is {valid[1]} x {valid[0]} px"
            )
    return problems


def _sample_problems(recipe: Recipe, planned: Plan, listing: Listing | None) -> list[str]:
    """Report a training split too small for a batch, or a class that is not there, as far as
    artifacts or a listing tell.
    """
    artifacts = _artifacts(planned)
    source, batch, sampling = recipe.data.source, recipe.train.distinct, recipe.train.sampling
    problems: list[str] = []
    if shards := artifacts["shard"]:
        count = shards.facts["train"]
    elif isinstance(source, DrawnSource):
        count = source.samples
    elif listing:
        count = sum(candidate.split == "train" for candidate in listing.candidates)
        problems = _class_problems(recipe, listing.classes())
    else:
        return []
    if (ingested := artifacts["ingest"]) and isinstance(sampling, Weighted):
        problems = _class_problems(recipe, json.loads(ingested.file("classes.json").read_text()))
    if epoch_samples(sampling, count) < batch and not recipe.train.keep_last:
        problems.append(
            f"train.batch_size: a batch of {batch} samples cannot be made of {count} training samples; "
            f"set it to at most {count * recipe.train.repeats}, or train.keep_last to true"
        )
    return problems


def _class_problems(recipe: Recipe, classes: list[str]) -> list[str]:
    """Report a name in the recipe that is no class."""
    try:
        if isinstance(recipe.train.sampling, Weighted):
            class_weights(recipe.train.sampling, classes)
    except ZoetropeError as error:
        return [str(error)]
    return []


def check_start(recipe: Recipe, planned: Plan) -> None:
    """Raise for a plan that cannot be run on this machine, and perhaps on another: its training has no room here."""
    if _trains(planned) and (problem := room_problem(recipe)):
        raise ZoetropeError(problem)


def _stored(planned: Plan) -> int | None:
    """Return samples of the training split, once there are shards."""
    shards = next(step.artifact for step in planned.steps if step.stage.name == "shard")
    return int(shards.facts["train"]) if shards else None


def _trains(planned: Plan) -> bool:
    return any(step.stage.name == "train" for step in planned.to_run)


def warnings(recipe: Recipe, planned: Plan) -> list[str]:
    """Return what does not stop a plan and should be known before a run, such as adopted shards
    that are sorted by class.
    """
    shards = next(step.artifact for step in planned.steps if step.stage.name == "shard")
    messages: list[str | None] = [facts_warning(shards.facts, recipe.train.shuffle_window) if shards else None]
    if _trains(planned):
        messages += [
            room_problem(recipe),
            sharing_warning(recipe),
            *unreached(recipe.train, recipe.schedule, _stored(planned)),
            *fitting_warnings(recipe),
        ]
        messages += [short_warning(recipe, shards.files)] if shards else []
    return [text for text in messages if text]
