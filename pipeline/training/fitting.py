"""What of `model.weights` and `train.freeze` does not fit the model, and what the recipe does otherwise than official
weights want: told by a plan, before anything starts.

Names and shapes are compared on torch's meta device, where nothing is computed; files are read where they are on this
machine, and nothing is fetched.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.official import Official
from models.options import OPTIONS
from models.source import FILE, is_name, locate
from pipeline.base.errors import ZoetropeError
from pipeline.base.plain_yaml import parse_yaml
from pipeline.recipe import Recipe, plain
from pipeline.training.start import Start, asked, find_start

if TYPE_CHECKING:
    from torch import nn

LINEAR, CUBIC = 1, 2
"""Numbers of cv2, which albumentations takes; the first is its default."""
RESIZES = ("SmallestMaxSize", "Resize")


def fitting_problems(recipe: Recipe) -> list[str]:
    """Return a sentence for weights that do not fit and for patterns that fit no parameter, as far as is known here.

    Loads torch only where the recipe has either, and not for weights of a trained model that is the same.
    """
    starts = asked(recipe.model.model_dump())
    if not recipe.train.freeze and (not starts or (len(starts) == 1 and _is_of_same_model(recipe))):
        return []
    import torch

    from pipeline.training.freeze import frozen
    from pipeline.training.model import build_model

    try:
        with torch.device("meta"):
            model = build_model(recipe, num_classes=2)
    except Exception:  # a user's own may compute with its weights when it is made; the training then tells
        return []
    problems = []
    try:
        frozen([name for name, _ in model.named_parameters()], recipe.train.freeze)
    except ZoetropeError as error:
        problems.append(str(error))
    for kind, weights in starts:
        is_whole = kind == recipe.model.kind
        try:
            _check_weights(find_start(kind, weights, recipe.store), model if is_whole else model.get_submodule("flow"))
        except ZoetropeError as error:
            problems.append(f"model.{'' if is_whole else 'flow_'}weights: {error}")
    return problems


def _is_of_same_model(recipe: Recipe) -> bool:
    """Tell whether the weights are those of an exported model whose recipe builds the same: they fit."""
    try:
        source = find_start(recipe.model.kind, recipe.model.weights or "", recipe.store).source
        file = Path("" if isinstance(source, Official) else locate(source)[0])
        exported = parse_yaml(file.with_name("recipe.yaml").read_text()) if file.name == FILE else None
    except (ZoetropeError, OSError, ValueError):  # what is wrong with them is told where they are compared
        return False
    ours = {**plain(recipe)["model"], "weights": None}
    return (
        recipe.model.kind in OPTIONS
        and isinstance(exported, dict)
        and isinstance(theirs := exported.get("model"), dict)
        and {**theirs, "weights": None} == ours
    )


def _check_weights(start: Start, model: "nn.Module") -> None:
    """Raise ZoetropeError for weights that do not fit; of what is still to be fetched, official ones are known."""
    import torch

    import models
    from models.weights import check_shapes, check_weights, file_here

    source = start.source
    if file := file_here(source):
        check_weights(model, file)
    elif isinstance(source, Official) and source.of in OPTIONS:
        with torch.device("meta"):
            given = models.build(source.of, 2, **source.model_options)
        check_shapes(model, given, f"{source.name} ({source.url})")


def start_words(recipe: Recipe) -> str | None:
    """Return a line on what `model.weights` names; None where it says so itself, or there is nothing."""
    weights = recipe.model.weights
    if not weights or not is_name(weights):
        return None
    source = find_start(recipe.model.kind, weights, recipe.store).source
    if not isinstance(source, Official):
        return f"weights: {weights} is {source}"
    from models.weights import file_here

    score = f", {source.metric} {source.score:g}%" if source.score else ""
    here = "is in the cache" if file_here(source) else "is fetched before training"
    return f"weights: {weights} is {source.url} ({source.licence}{score}), which {here}"


def fitting_warnings(recipe: Recipe) -> list[str]:
    """Return what should be known of a training's start: a licence, other preprocessing, parameters frozen as drawn."""
    if not recipe.model.weights:
        frozen_as_drawn = "train.freeze: these parameters stay as they are drawn, as there are no model.weights"
        return [frozen_as_drawn] if recipe.train.freeze else []
    official = find_start(recipe.model.kind, recipe.model.weights, recipe.store).source
    if not isinstance(official, Official):
        return []
    messages = []
    if not official.commercial:
        messages.append(f"model.weights: {official.name} has the licence {official.licence}: no commercial use")
    if others := preprocessing_differences(official, recipe):
        messages.append(f"model.weights: {official.name} was measured with other input: {'; '.join(others)}")
    return messages


def preprocessing_differences(official: Official, recipe: Recipe) -> list[str]:
    """Return where a recipe's input is not what official weights were measured with: each key with both values."""
    side, interpolation = _resized(recipe)
    is_rgb = recipe.inputs["pixels"] == len(official.mean)
    pairs = {
        "augment.mean": (list(official.mean), recipe.augment.mean if is_rgb else None),
        "augment.std": (list(official.std), recipe.augment.std if is_rgb else None),
        "augment.eval's crop in px": (official.crop_px, _crop_px(recipe) if official.crop_px else None),
        "its shorter side in px before that": (official.resize_px, side),
        "its interpolation": (official.interpolation, interpolation),
        **{key: (value, _at(recipe, key)) for key, value in official.wants.items()},
    }
    known = [(key, then, now) for key, (then, now) in pairs.items() if None not in (then, now)]
    return [f"{key}: {then}, here {now}" for key, then, now in known if then != now]


def _crop_px(recipe: Recipe) -> int | None:
    """Return the shorter side of what an evaluation looks at; None where that is not one size."""
    from pipeline.feed.views import view_size

    try:
        return min(view_size(recipe, training=False))
    except ZoetropeError:
        return None


def _resized(recipe: Recipe) -> tuple[int | None, str | None]:
    """Return the shorter side in px before the crop of an evaluation, and the interpolation that it was made with."""
    steps = [(name, keys) for step in recipe.augment.eval for name, keys in step.items() if name in RESIZES]
    if not steps:
        return recipe.stored_short_side, None
    name, keys = steps[-1]
    sides = [keys["max_size"]] if name == "SmallestMaxSize" else [keys.get("height"), keys.get("width")]
    interpolation = {LINEAR: "bilinear", CUBIC: "bicubic"}.get(keys.get("interpolation", LINEAR))
    known = [side for side in sides if isinstance(side, int)]
    return min(known) if len(known) == len(sides) else None, interpolation


def _at(recipe: Recipe, dotted: str) -> Any:
    value: Any = recipe
    for key in dotted.split("."):
        value = getattr(value, key)
    return value
