"""Weights against a model's: names matched, what differs made to fit, what does not fit said in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from models.gnconv import resize_filter
from models.timesformer import resize_positions, resize_times
from models.weights.names import Names, read_names
from models.weights.unfolded import in_swins_order
from pipeline.base.errors import nearest

# The first convolution of every family, which sees the input's channels.
FIRST_CONVOLUTIONS = (
    "conv1.weight",
    "features.0.0.weight",
    "patch_embed.proj.weight",
    "downsample_layers.0.0.weight",
    "features.0.weight",
    "features.conv0.weight",
    "inc.0.weight",
    "start_conv.0.weight",
    "stem.0.weight",
    "features.0.0.0.weight",
    "Conv3d_1a_7x7.conv3d.weight",
    "conv1_7x7_s2.weight",
    "conv1_1.weight",
    "convs.0.weight",
    "nodes.0_0.0.weight",
    "mask.branches.0.0.weight",
    "s1.pathway0_stem.conv.weight",
    "s1.pathway1_stem.conv.weight",
    "0.conv.weight",
    "backbone.downsample_layers.0.0.weight",
)
# Layers whose shape follows the number of classes, or by how much a picture is enlarged.
HEADS = (
    "head.",
    "aux_fc.weight",
    "aux_fc.bias",
    "aux_fc.4.",
    "mask_head.",
    "objects_head.",
    "keypoints_head.",
    "relations_head.",
    "volumes_head.",
    "skip.",
    "tail.0.",
)
# Of Swin: no weights but numbers that follow from sizes.
COMPUTED = ("relative_position_index", "attn_mask")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LoadedWeights:
    """What became of the weights. Names are the model's, but for `unexpected`, which are the source's."""

    family: str | None = None
    # Filled from the source; those of `resized` and `copied` are among them.
    loaded: tuple[str, ...] = ()
    # Not in the source, left as the model had them: parts that are new in the model.
    missing: tuple[str, ...] = ()
    # In the source and of no use for the model.
    unexpected: tuple[str, ...] = ()
    # Embeddings, filters and first convolutions: the shape in the source and in the model.
    resized: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    # Filled from the source's weights of another layer (its name in the source).
    copied: dict[str, str] = field(default_factory=dict)
    # The head, when it has another number of classes: left as the model had it.
    replaced: tuple[str, ...] = ()
    # Where in the source they stood, when that had to be searched, and the entries beside it that would fit too.
    entry: str = ""
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line of counts, and the names of what is out of the ordinary."""
        parts = [f"{len(self.loaded)} loaded"]
        for what in ("missing", "unexpected", "resized", "copied", "replaced"):
            if names := list(getattr(self, what)):
                words = "of the head not taken, it is for other classes" if what == "replaced" else what
                parts.append(f"{len(names)} {words} ({few(names)})")
        if self.entry or self.beside:
            parts.append(f"taken from {self.entry or 'the top'}")
        if self.beside:
            parts.append(f"not from {few(list(self.beside))}, for which write #{self.beside[0]} behind the file")
        return ", ".join(parts)


@dataclass(frozen=True)
class Match:
    """A state dict against a model's. It fits when `problem` is empty.

    `new` are the tensors that it gives, by the model's names, and `origins` the names of what they were made of;
    `sources` tells one set of such tensors from another.
    """

    report: LoadedWeights = field(default_factory=LoadedWeights)
    problem: str = ""
    new: dict[str, Tensor] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    sources: frozenset[int] = frozenset()


def match(own: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> Match:
    """Match a state dict, called `what` in words, with that of a model, `own`, which is not changed."""
    state = {name: value for name, value in state.items() if not name.endswith(COMPUTED)}
    target, given = read_names(own), read_names(state)
    by_common = {common: name for name, common in given.common.items()}
    problem = _other_family(target, given, state) or _other_shifts(target, given)
    if not problem and len(by_common) < len(state):
        problem = "the weights hold the same layer under two names; they are not one model's state dict"
    if problem:
        return Match(problem=f"{what}: {problem}")

    new: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    resized: dict[str, tuple[Shape, Shape]] = {}
    copied: dict[str, str] = {}
    missing, replaced, wrong, odd = [], [], [], []
    for name, wanted in own.items():
        common = target.common[name]
        origin = by_common.get(common) or _stand_in(common, by_common)
        if origin is None:
            missing.append(name)
            continue
        if kind := _odd_kind(state[origin], wanted):
            odd.append(f"{origin} {kind}")
            continue
        fitted = _fit(name, common, in_swins_order(origin, state[origin]), wanted.shape)
        if fitted is not None:
            new[name], origins[name] = fitted, origin
            if state[origin].shape != wanted.shape and not common.endswith(".gamma"):
                resized[name] = (tuple(state[origin].shape), tuple(wanted.shape))
            if given.common[origin] != common:
                copied[name] = origin
        elif common.startswith(HEADS) and _is_of_other_classes(
            common, _with_places(state[origin], wanted.shape).shape, wanted.shape
        ):
            replaced.append(name)
        else:
            wrong.append(f"{origin} is {tuple(state[origin].shape)}, the model has {tuple(wanted.shape)}")
    known = set(target.common.values())
    unexpected = [name for name, common in given.common.items() if common not in known]

    problems = [f"{len(wrong)} of another shape: {few(wrong)}"] if wrong else []
    lost = [name for name in missing if not _may_miss(target.common[name], by_common)]
    foreign = [name for name in unexpected if not _may_be_left(given.common[name], known)]
    problems += [f"{len(lost)} missing: {few(lost)}"] if lost else []
    problems += [f"{len(foreign)} that the model does not have: {few(foreign)}"] if foreign else []
    if lost and (near := nearest(lost[0], foreign, 1)):
        problems.append(f"the nearest to {lost[0]} is {near[0]}")
    if odd:
        problem = f"{what} cannot be loaded: {few(odd)}"
    elif problems:
        problem = (
            f"{what}: these weights are not this model's{f' ({given.family})' if given.family else ''}: "
            + "; ".join(problems)
            + ". Build the model with the options that the weights were trained with"
        )
    report = LoadedWeights(
        given.family, tuple(new), tuple(missing), tuple(unexpected), resized, copied, tuple(replaced)
    )
    return Match(report, problem, new, origins, frozenset(id(state[origin]) for origin in origins.values()))


def without_head(found: Match, own: Mapping[str, Tensor]) -> Match:
    """Leave out the head, for classes that are others though as many; it stays as the model had it."""
    common = read_names(own).common
    head = tuple(name for name in found.new if common[name].startswith(HEADS))
    report = replace(
        found.report,
        loaded=tuple(name for name in found.report.loaded if name not in head),
        replaced=(*found.report.replaced, *head),
    )
    return replace(found, report=report, new={name: t for name, t in found.new.items() if name not in head})


def few(names: list[str]) -> str:
    """Return the first three, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def dtype_name(tensor: Tensor) -> str:
    """Name a dtype as in `float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def _odd_kind(given: Tensor, wanted: Tensor) -> str | None:
    """Return what a tensor is that cannot take the place of `wanted`, whatever its shape; None when it can."""
    if given.is_meta:
        return "has no values (it was saved from the device `meta`)"
    if given.is_nested or given.layout != torch.strided:
        return "is sparse or nested: save it as to_dense()"
    if given.is_quantized:
        return "is quantised: save it as dequantize()"
    if given.is_complex() != wanted.is_complex():
        return f"is of {dtype_name(given)}, the model's of {dtype_name(wanted)}"
    if wanted.is_floating_point() and not given.is_floating_point():
        return f"holds whole numbers ({dtype_name(given)}), the model's are of {dtype_name(wanted)}"
    return None


def _other_family(target: Names, given: Names, state: Mapping[str, Tensor]) -> str:
    if target.family == given.family:
        return ""
    looks = f"look like those of a {given.family}" if given.family else "are of no family that is known here"
    return (
        f"the weights {looks}, the model is {f'a {target.family}' if target.family else 'of another kind'}; "
        f"their first names are {few(list(state))}"
    )


def _other_shifts(target: Names, given: Names) -> str:
    """Tell what is wrong with the shifts; weights of TSN or an image model may start a TSM.

    Weights trained with shifts want the same shifts.
    """
    if not given.shifts or given.shifts == target.shifts:
        return ""
    theirs, ours = sorted(given.shifts), sorted(target.shifts)
    return (
        f"the weights were trained with {len(theirs)} temporal shifts ({few(theirs)}), the model has "
        f"{len(ours)}{f' ({few(ours)})' if ours else ''}: build a tsm_ model with the same `place`"
    )


def _stand_in(common: str, by_common: Mapping[str, str]) -> str | None:
    """Return the weights in the source that a layer which the source lacks starts from: ViT's
    one attention and its norm.
    """
    found = re.match(r"(blocks\.\d+)\.([a-z]+)_(attn|norm1)\.", common)
    if not found or _has_part(f".{found[2]}_", by_common):
        return None
    return by_common.get(f"{found[1]}.{found[3]}.{common[found.end() :]}")


def _fit(name: str, common: str, given: Tensor, shape: torch.Size) -> Tensor | None:
    """Return `given`, or what it becomes in the model's shape; None when it does not fit."""
    if given.shape == shape:
        return given
    if re.match(r"classifier\.[03]\.weight$", common) and given.dim() == 2 and len(shape) == 4:
        # A linear layer of VGG-16 as the convolution that it is over a map: its inputs are in the order [C, H, W].
        return given.reshape(shape) if (len(given), given.numel()) == (shape[0], shape.numel()) else None
    given = _with_places(given, shape)
    if given.shape == shape:
        return given
    if common.endswith(".gamma") and given.numel() == shape.numel():
        return given.reshape(shape)  # torchvision's has a place, [C, 1, 1]
    if given.dim() != len(shape):
        return None
    if common == "pos_embed" and given.shape[2] == shape[2] and _is_square(given) and shape[1] > 1:
        side = round((shape[1] - 1) ** 0.5)
        return resize_positions(given, (side, side), "bicubic" if name.endswith("pos_embedding") else "nearest")
    if common == "time_embed" and given.shape[2] == shape[2]:
        return resize_times(given, shape[1])
    if common.endswith(".complex_weight") and given.shape[0] == shape[0]:
        return resize_filter(given, (shape[1], shape[2]))
    if (
        common in FIRST_CONVOLUTIONS
        and given.shape[1] == 3
        and given.shape[0] == shape[0]
        and given.shape[2:] == shape[2:]
    ):
        return given.mean(1, keepdim=True).expand(shape)
    return None


def _with_places(given: Tensor, shape: torch.Size) -> Tensor:
    """Return a kernel of images with the model's axis of time, and a linear layer as the convolution that it is.

    Along time a kernel comes N times, divided by N, so that a clip of equal frames is answered as the image is
    (Carreira & Zisserman 2017, section 2.4).
    """
    if given.dim() == 4 and len(shape) == 5:
        return given.unsqueeze(2).expand(-1, -1, shape[2], -1, -1) / shape[2]
    return given[..., None, None, None] if given.dim() == 2 and shape[2:] == (1, 1, 1) else given


def _is_of_other_classes(common: str, given: torch.Size, wanted: torch.Size) -> bool:
    """Shapes [K, ...] that differ in K alone, or [K, K, ...] of a transposed convolution over scores; of key points
    [C, D + K, ...], too, of what sees features and the maps of a stage.
    """
    if common.startswith("keypoints_head.") and (given[0], *given[2:]) == (wanted[0], *wanted[2:]):
        return True
    return given[1:] == wanted[1:] or (given[2:] == wanted[2:] and given[0] == given[1] and wanted[0] == wanted[1])


def _may_miss(common: str, by_common: Mapping[str, str]) -> bool:
    """Tell whether a source may lack a parameter: its part was added to what the source was trained as."""
    if common.endswith("num_batches_tracked"):  # Older than torch 0.4.1.
        return True
    if common.startswith("aux_fc."):
        return True
    if common.startswith("head."):
        return not _has_part("head.", by_common, start=True)
    for part in ("mask", "objects", "keypoints", "relations", "volumes"):
        if common.startswith((f"{part}.", f"{part}_head.")):
            return not _has_part(part, by_common, start=True)
    if found := re.match(r"skip\.\w+\.\w+\.", common):
        return not _has_part(found[0], by_common, start=True)
    if ".nl." in common:
        return not _has_part(".nl.", by_common)
    if found := re.match(r"blocks\.\d+\.([a-z]+)_fc\.", common):
        return not _has_part(f".{found[1]}_", by_common)
    if re.match(r"norm\d\.", common):  # HorNet's norms for dense tasks.
        return not any(re.match(r"norm\d\.", name) for name in by_common)
    return common == "time_embed" or common.startswith("tail.0.2.")  # EDSR x4 starts from x2


def _may_be_left(common: str, known: set[str]) -> bool:
    """Tell whether a weight may be left: parts of a classifier that a model without one has no use for, ViT's for
    pre-training, an auxiliary head.
    """
    if common.endswith("num_batches_tracked"):  # Frozen batch norms count nothing.
        return True
    if common.startswith(("head.", "norm.")):
        return "head.weight" not in known
    if common.startswith("inception_"):  # BN-Inception's later layers, which ECO-Lite has not
        return "inception_3c_3x3.weight" not in known
    if common.startswith("classifier."):  # VGG's linear layers
        return not any(name.startswith("classifier.") for name in known)
    return common.startswith(("pre_logits.", "aux_fc.", "skip.", "tail.0."))


def _has_part(part: str, names: Mapping[str, str], start: bool = False) -> bool:
    return any(name.startswith(part) if start else part in name for name in names)


def _is_square(pos_embed: Tensor) -> bool:
    places = pos_embed.shape[1] - 1
    return places > 0 and round(places**0.5) ** 2 == places
