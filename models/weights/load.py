"""Weights into a model: the entry that fits is searched, its names matched, and everything accounted for."""

import dataclasses
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.official import Official
from models.two_stream import TwoStream
from models.weights.match import LoadedWeights, Match, dtype_name, few, match, without_head
from models.weights.read import Source, read_state, unwrap
from models.weights.search import entries, tensors
from pipeline.base.errors import ZoetropeError

# An entry with less of the model's names is not tried. A ViT has 2 in 5 of those of a TimeSformer with more attentions.
FEWEST = 0.25
# How averages of weights are called: state_dict_ema, model_ema, params_ema, averaged_model.
AVERAGE = re.compile(r"(?<![a-z])(ema|swa|avg|averaged?)(?![a-z])", re.IGNORECASE)


def load_weights(
    model: nn.Module, source: Source, say: Callable[[str], None] = warnings.warn, new_head: bool = False
) -> LoadedWeights:
    """Load a file, URL, hub id (`hf://organisation/name/file`), official row or state dict into `model`, in place.

    Official layouts are recognised: torchvision's ResNet and its relatives, DenseNet, VGG, AlexNet, MobileNetV2, ViT,
    Swin, ConvNeXt, FCN, DeepLab v3, video ResNets and S3D, timm's ViT, Cadene's SE-ResNet, the releases of TSM (RGB,
    flow, non-local, MobileNetV2, online), TimeSformer with the ViT weights that it starts from, HorNet, Swin
    (OpenMMLab's, too) and ConvNeXt, segmentation networks of semseg, pytorch-segmentation and deeplab-pytorch, UPerNet
    of mmsegmentation, SSD of ssd.pytorch and torchvision and its Faster R-CNN, SlowFast of PySlowFast and PyTorchVideo,
    TRN, C3D of c3d-pytorch, ECO-Lite of ECO-pytorch with the BN-Inception that it starts from, and I3D of pytorch-i3d
    with torchvision's Inception-v1 that it starts from (see `layouts.py`). Kernels of images are inflated to those of
    clips. Position and time embeddings and global filters are resized; a first convolution on RGB is averaged over its
    channels for an input of another number (Wang et al. 2016, section 3.2); a head of another size stays as the model
    has it, and so does one of the same size where `new_head` says that it is for other classes. Attentions that ViT
    does not have start as a copy of the one that it has. A classifier's weights start the trunk of a model that answers
    a mask or objects, and VGG-16's fc6 and fc7 the convolutions that FCN has in their place.

    Where the weights stand in the file is searched: under any keys, behind any prefix. Where more than one entry fits,
    such as an average beside the weights themselves, the weights are taken, and the report tells of the average;
    `file#entry` takes another one. `say` is told when a file of the hub may be older than what is there now.

    The release of TSM names online weights as it names image weights, so nothing can tell whether they were trained
    for the shift of `model`: online weights belong to `direction="past"`.

    Of a two-stream network both streams start from weights of one stream, where the source has not those of both.

    ZoetropeError when anything else does not fit, several entries do, or a number is not finite; then the model is left
    as it was.
    """
    own = model.state_dict()
    try:
        found = read_state(source, partial(_choose, own), say)
    except ZoetropeError:
        if not isinstance(model, TwoStream):
            raise
        return _load_each(model, source, say, new_head)
    if new_head:
        found = without_head(found, own)
    what = source.url if isinstance(source, Official) else str(source)
    _check_numbers(found, own, "the mapping" if isinstance(source, Mapping) else what)
    model.load_state_dict({**own, **found.new})
    return found.report


def _load_each(model: TwoStream, source: Source, say: Callable[[str], None], new_head: bool) -> LoadedWeights:
    """Load weights of one stream into both; the report names the parts of both."""
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        reports = {name: load_weights(part, source, say, new_head) for name, part in model.streams.items()}
    except ZoetropeError:
        model.load_state_dict(kept)
        raise
    return _joined(model, reports)


def _joined(model: TwoStream, reports: Mapping[str, LoadedWeights]) -> LoadedWeights:
    """Put the reports of both streams into one; what stands behind the streams is missing in the source."""

    def named(what: str) -> tuple[str, ...]:
        return tuple(f"{stream}.{name}" for stream, one in reports.items() for name in getattr(one, what))

    def mapped(what: str) -> dict[str, Any]:
        return {f"{stream}.{name}": to for stream, one in reports.items() for name, to in getattr(one, what).items()}

    behind = tuple(name for name in model.state_dict() if name.partition(".")[0] not in reports)
    unexpected = tuple(dict.fromkeys(name for one in reports.values() for name in one.unexpected))
    first = next(iter(reports.values()))
    return LoadedWeights(
        family=first.family,
        loaded=named("loaded"),
        missing=(*named("missing"), *behind),
        unexpected=unexpected,
        resized=mapped("resized"),
        copied=mapped("copied"),
        replaced=named("replaced"),
        entry=first.entry,
        beside=first.beside,
    )


def check_weights(model: nn.Module, source: Source, say: Callable[[str], None] = warnings.warn) -> None:
    """Raise the ZoetropeError that `load_weights` would raise of a source whose names or shapes do not fit.

    The model may lie on the meta device, and takes nothing.
    """
    try:
        read_state(source, partial(_choose, model.state_dict()), say)
    except ZoetropeError:
        if not isinstance(model, TwoStream):
            raise
        for part in model.streams.values():
            check_weights(part, source, say)


def check_shapes(model: nn.Module, given: nn.Module, what: str) -> None:
    """Raise the ZoetropeError that weights of the module `given` would be answered with, called `what` in words.

    Both modules may lie on the meta device.
    """
    if isinstance(model, TwoStream):
        for part in model.streams.values():
            check_shapes(part, given, what)
        return
    # One number seen as many: shapes without memory.
    state = {name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in given.state_dict().items()}
    if problem := match(model.state_dict(), state, what).problem:
        raise ZoetropeError(problem)


def _choose(own: Mapping[str, Tensor], content: Any, what: str) -> Match:
    """Choose the match that is taken; its report tells of the entries beside it.

    What stands alone or under a known key goes before all that is searched. ZoetropeError when nothing fits, or when
    several entries do that are not averages.
    """
    try:
        known = match(own, unwrap(content, what), what)
    except ZoetropeError as error:
        known = Match(problem=str(error))
    named = tensors(content, what)
    tried = {
        start: match(own, state, f"{what}#{start[:-1]}" if start else what)
        for start, state in entries(named, round(FEWEST * len(own))).items()
    }
    fitting = _largest({start: one for start, one in tried.items() if not one.problem})
    outside: list[str] = []
    if not known.problem:
        taken, entry = known, next((start for start, one in fitting.items() if one.sources == known.sources), "")
    elif not fitting:
        raise ZoetropeError(max([known, *tried.values()], key=lambda one: len(one.new)).problem)
    else:
        plain = [start for start in fitting if len(fitting) == 1 or not AVERAGE.search(start)]
        if len(plain) != 1:
            names = [start[:-1] for start in fitting]
            raise ZoetropeError(
                f"{what} holds {len(names)} sets of weights that fit the model: {few(names)}. Say which, with # "
                f"behind the file's name: #{' or #'.join(names[:2])}"
            )
        taken, entry = fitting[plain[0]], plain[0]
        mapping = entry[: entry.rfind("/") + 1]
        beside_it = [name.removeprefix(mapping) for name in named if name.startswith(mapping)]
        outside = [name for name in beside_it if "/" not in name and not f"{mapping}{name}".startswith(entry)]
    beside = tuple(start[:-1] for start, one in fitting.items() if one.sources != taken.sources)
    report = dataclasses.replace(
        taken.report,
        unexpected=(*taken.report.unexpected, *outside),
        entry=entry[:-1] if known.problem or beside else "",
        beside=beside,
    )
    return dataclasses.replace(taken, report=report)


def _largest(fitting: Mapping[str, Match]) -> dict[str, Match]:
    """Leave out the entries that hold nothing that an earlier or a larger one does not: `module` in the whole."""
    found: dict[str, Match] = {}
    for start, one in fitting.items():
        if not any(one.sources < other.sources for other in fitting.values()) and all(
            one.sources != other.sources for other in found.values()
        ):
            found[start] = one
    return found


def _check_numbers(found: Match, own: Mapping[str, Tensor], what: str) -> None:
    """Raise ZoetropeError with the first tensor that has nan or infinite numbers in the model's
    precision, or none in it.
    """
    for name, tensor in found.new.items():
        origin, wanted = found.origins[name], dtype_name(own[name])
        try:
            finite = torch.isfinite(tensor.to(own[name].dtype))
        except NotImplementedError as error:  # such as two numbers in a byte
            raise ZoetropeError(
                f"{what} cannot be loaded: {origin} is of {dtype_name(tensor)}, which is not converted to {wanted}"
            ) from error
        if not finite.all():
            raise ZoetropeError(
                f"{what}: {origin} has {int((~finite).sum())} of {finite.numel()} numbers that are nan or infinite in "
                f"{wanted}; its training has diverged or the file is damaged: take weights of an earlier time"
            )
