"""One contract for every name in the table, on narrow models; a new architecture is held to it by having a name."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parallel import DistributedDataParallel

import models
from models.memory_format import CHANNELS_LAST, channels_last
from models.options import OPTIONS
from models.options.cascade_rcnn import OnStages
from models.options.densenet import DenseNetOptions
from models.options.rcnn import RCNNFamily
from models.options.resnet import ResNeXtOptions, SEResNetOptions, TrunkOptions, WideResNetOptions
from models.options.trn import TRNOptions
from models.options.upernet import UPerNetFamily
from models.options.vgg import VGGOptions
from models.options.video3d import I3DResNetOptions, SlowFastOptions
from models.options.yolo import YOLOv5Family
from models.weights.match import match
from models.yolo_cells import maps_of
from tests.models.small import ONE_EACH, batch, shallow, small

NUM_CLASSES = 5
MAPS = ("heat", "limbs")
"""What a model of key points gives."""


RCNNS = (
    "fasterrcnn_resnet18_fpn",
    "fasterrcnn_mobilenet_v2_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "cascade_mask_rcnn_resnet18",
)
"""Those of whose modules every other one is made."""


def slow(names: Iterable[str], marked: Callable[[str], bool]) -> list[Any]:
    """Names, of which those that are marked wait for the slow suite."""
    return [pytest.param(name, marks=pytest.mark.slow) if marked(name) else name for name in names]


def deeper(name: str) -> bool:
    """Whether it is the module of its family's first name with more layers; not of every classifier's."""
    family = OPTIONS[name]
    if issubclass(family, UPerNetFamily):
        return name not in ("upernet_resnet50", "upernet_swin_t", "upernet_convnext_tiny", "upernet_hornet_tiny_gf")
    if issubclass(family, RCNNFamily):
        return name not in RCNNS
    if issubclass(family, YOLOv5Family):
        return not name.endswith("n")
    if name.startswith(("two_stream_", "fusion_")):
        return name not in ("two_stream_i3d", "two_stream_tsm_resnet18", "two_stream_tsn_resnet18", "fusion_resnet18")
    if issubclass(family, SlowFastOptions | I3DResNetOptions | TRNOptions):
        return name not in ("slowfast_4x16_r50", "i3d_resnet50", "trn_resnet18")
    classifiers = family in (VGGOptions, ResNeXtOptions, WideResNetOptions, SEResNetOptions, DenseNetOptions)
    many = classifiers or name == "densenet161" or (issubclass(family, TrunkOptions) and family.answers == "mask")
    return many and name not in (family.names()[0], "vgg16_bn")


NAMES = slow(models.names(), deeper)
# For what takes long: one of each module, and three whose blocks none of the others has.
TRACED_SLOWLY = (
    *("tsm_resnet50", "unet_bn", "unetpp", "segnet", "vgg", "alexnet", "fcn_alexnet", "fcn_resnet", "pspnet", "gcn"),
    *("deeplabv1", "deeplabv2", "deeplabv3mg", "deeplabv3cascade", "deeplabv3plus", "swin", "upernet"),
    *("se_resnet", "densenet", "maskrcnn", "cascade", "two_stream", "fusion", "openpose", "pose_"),
)
DIFFERENTIATED = (
    *("resnet18", "mobilenetv2", "tsm_resnet18", "trn_resnet18", "r3d_18", "slowfast_4x16_r50", "timesformer_base"),
    *("vit_b_16", "swin_t", "convnext_tiny", "hornet_tiny_gf", "unet", "deeplabv3_resnet50", "upernet_hornet_tiny_7x7"),
    *("openpose", "yolov5n", "ssd300_vgg16", "fasterrcnn_mobilenet_v2_fpn", "rcan", "two_stream_tsm_resnet18"),
)
"""Those of whose modules the others are made; to trace backwards, too, takes as long again as to trace forwards."""
MODULES = sorted({*ONE_EACH, "hornet_tiny_gf", "tsm_resnet50", "unet", "unet_bn"})
FEW = slow(MODULES, lambda name: name.startswith(TRACED_SLOWLY))
EACH = slow(MODULES, deeper)
"""For what more layers of the same module cannot change: that a model is as large as it should be, all are asked."""


def build(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    model = models.build(name, NUM_CLASSES, **{**small(name), **options})
    with torch.no_grad():
        # Branches that start at zero, or nearly, would hide what they do.
        for key, p in model.named_parameters():
            if not key.endswith("bias") and p.abs().max() < 1e-5:
                p.normal_(std=0.1)
            if "rcnn_resnet101" in name and key.startswith("backbone") and p.dim() == 4:
                p.mul_(0.8)  # norms that are frozen where they start do not keep 33 blocks from overflowing
    return model


def heads(out: Any) -> tuple[Tensor, ...]:
    """The main head's logits, and behind them what auxiliary heads give in training; or what a detector gives."""
    if isinstance(out, dict):
        return tuple(out[name] for name in ("codes", "scores", "deltas", "objectness", "masks", *MAPS) if name in out)
    return out if isinstance(out, tuple) else (out,)


def answer(out: Any) -> Tensor:
    """What is compared: the logits, or a detector's heads beside each other."""
    assert isinstance(out, Tensor | dict)
    return torch.cat([head.flatten(1) for head in heads(out)], 1)


def answered(name: str, model: Any, x: Tensor) -> set[tuple[int, ...]]:
    """The shapes that are due."""
    if OPTIONS[name].answers == "classes":
        return {(len(x), NUM_CLASSES)}
    if issubclass(OPTIONS[name], RCNNFamily):
        maps = [[-(-px // 32) * 32 // stride for px in x.shape[2:]] for stride in (4, 8, 16, 32)]
        anchors = [3 * h * w for h, w in [*maps, [-(-side // 2) for side in maps[-1]]]]
        most = model.proposals[not model.training]
        regions = (len(x), min(most, sum(min(most, count) for count in anchors)))
        stages = (3,) if name.startswith("cascade") else ()
        told = NUM_CLASSES + 1
        if stages:
            told = NUM_CLASSES if issubclass(OPTIONS[name], OnStages) else 1
        shapes = {(*regions, *stages, 4 * told), (*regions, *stages, NUM_CLASSES + 1)}
        if model.masks and model.training:
            drawn = min(model.sampling.most, regions[1])
            shapes.add((len(x), drawn, *stages, NUM_CLASSES + (not stages), 28, 28))
        return shapes | {(len(x), sum(anchors), 4), (len(x), sum(anchors))}
    if issubclass(OPTIONS[name], YOLOv5Family):
        cells = sum(3 * h * w for h, w in maps_of((x.shape[2], x.shape[3])))
        return {(len(x), cells, 4), (len(x), cells), (len(x), cells, NUM_CLASSES)}
    if OPTIONS[name].answers == "objects":
        places = zip(*(model.sides(px) for px in x.shape[2:]), strict=True)
        boxes = sum(h * w * count for (h, w), count in zip(places, model.priors.counts, strict=True))
        return {(len(x), boxes, 4), (len(x), boxes, NUM_CLASSES + 1)}
    if OPTIONS[name].answers == "keypoints":
        options = models.check_options(name, **small(name)).model_dump()
        down = 0 if name.startswith("openpose") else model.stride - 1
        sides = [(px + down) // model.stride for px in x.shape[2:]]
        counts = [options["joints"] + 1, 2 * options.get("limbs", 0)]
        return {(len(x), options["stages"], count, *sides) for count in counts if count}
    if OPTIONS[name].answers == "image":
        return {(len(x), 3, *(model.scale * px for px in x.shape[2:]))}
    return {(len(x), NUM_CLASSES, *(side - 2 * model.margin_px for side in x.shape[2:]))}


@pytest.mark.parametrize("name", NAMES)
def test_shapes_backward_and_determinism(name: str) -> None:
    model, x = build(name), batch(name, (64, 64))
    logits = heads(model(x))
    assert {tuple(one.shape) for one in logits} == answered(name, model, x)
    torch.stack([one.square().sum() for one in logits]).sum().backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    model.eval()
    with torch.no_grad():
        if OPTIONS[name].answers == "classes":
            features: Tensor = model.features(x)  # type: ignore[operator]  # which all of these have
            assert (features.shape[0], features.dim()) == (2, 2)
        said = answer(model(x))
        assert torch.equal(said, answer(model(x)))
        # Samples do not see each other; sums of large numbers round as these do.
        atol = 1e-5 * max(1.0, said.abs().max().item())
        torch.testing.assert_close(said[:1], answer(model(x[:1])), rtol=1e-4, atol=atol)


@pytest.mark.parametrize("name", EACH)
def test_state_dict_round_trip(name: str) -> None:
    model, other, x = build(name).eval(), build(name).eval(), batch(name)
    with torch.no_grad():
        for p in other.parameters():
            p.fill_(0.5)
        assert not torch.equal(answer(model(x)), answer(other(x)))
        other.load_state_dict(model.state_dict())
        assert torch.equal(answer(model(x)), answer(other(x)))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ONE_EACH
        if "in_channels" in OPTIONS[name].model_fields and OPTIONS[name].eats != "video+flow"  # whose frames are RGB
    ],
)
def test_weights_for_rgb_start_a_model_of_grey_pictures(name: str) -> None:
    with torch.device("meta"):
        grey, rgb = (models.build(name, NUM_CLASSES, **small(name), in_channels=n).state_dict() for n in (1, 3))
    matched = match({key: torch.zeros(value.shape) for key, value in grey.items()}, _ones(rgb), "the weights")
    assert matched.problem == ""
    assert matched.new.keys() == grey.keys()
    firsts = matched.report.resized
    assert firsts
    assert {(before[1], after[1]) for before, after in firsts.values()} == {(3, 1)}
    assert all(bool((matched.new[key] == 1).all()) for key in firsts)


def _ones(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: torch.ones(value.shape) for key, value in state.items()}


@pytest.mark.parametrize("name", EACH)
def test_other_input_sizes(name: str) -> None:
    model = build(name).eval()
    for size_px in ((16, 16), (33, 47), (64, 48)):
        with torch.no_grad():
            x = batch(name, size_px)
            assert {tuple(one.shape) for one in heads(model(x))} == answered(name, model, x), size_px
            assert answer(model(batch(name, size_px, num_frames=1))).isfinite().all(), size_px


@pytest.mark.parametrize("name", EACH)
def test_channels_last_gives_the_same(name: str) -> None:
    model, x = build(name).eval(), batch(name)
    with torch.no_grad():
        expected = answer(model(x))
        channels_last(model)
        # Of the largest logit: what rounds differently is as large as what is added up.
        atol = 1e-5 * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(
            answer(model(x.to(memory_format=CHANNELS_LAST[x.dim()]))), expected, rtol=1e-4, atol=atol
        )


@pytest.mark.parametrize("name", FEW)
def test_autocast_trains(name: str) -> None:
    model = build(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = heads(model(batch(name)))
    if OPTIONS[name].answers == "classes":  # on CPUs autocast interpolates in float32
        assert logits[0].dtype == torch.bfloat16
    torch.stack([one.float().sum() for one in logits]).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    """A group for DDP, whose reducer complains in the second step of parameters that got no gradient in the first."""
    distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", FEW)
@pytest.mark.usefixtures("one_process")
def test_trains_under_ddp(name: str, recompute: bool) -> None:
    if recompute and "gradient_checkpointing" not in OPTIONS[name].model_fields:
        pytest.skip("has no blocks to compute again")
    model = DistributedDataParallel(build(name, **({"gradient_checkpointing": True} if recompute else {})))
    for _ in range(2):
        torch.stack([one.square().sum() for one in heads(model(batch(name)))]).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_compiles_whole(name: str) -> None:
    """Dynamo traces the model without a graph break, and of `DIFFERENTIATED` autograd does.

    Code generation, which takes a minute, is left out.
    """
    # In double precision: batch norms of two small maps make much of what float32 rounds.
    with shallow():
        model, x = build(name).double(), batch(name).double()
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
    torch.manual_seed(1)  # TRN draws tuples
    expected = heads(model(x))
    torch.manual_seed(1)
    backend = "aot_eager" if name in DIFFERENTIATED else "eager"
    compiled = heads(torch.compile(model, backend=backend, fullgraph=True)(x))
    torch.testing.assert_close(compiled, expected, rtol=1e-6, atol=1e-8)
    torch.stack([one.sum() for one in compiled]).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
