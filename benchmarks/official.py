"""Models against their publishers' own code: one state dict, the same inputs, one run.

    python -m benchmarks.models --official FOLDER [NAME...]

FOLDER has checkouts under their repositories' names: facebookresearch's TimeSformer, raoyongming's HorNet,
mit-han-lab's temporal-shift-module, piergiaj's pytorch-i3d, and vision, of which the folder torchvision suffices.
TimeSformer wants einops besides (pip install einops). Nothing of them is a dependency, and nothing is copied: modules
are imported from there, beside small stands-in for what these import and do not use (timm, fvcore, transforms).

Theirs are drawn at random, their state dict is loaded into ours as a user's would be, and outputs have to agree. A
ratio is theirs over ours, of processor time, as of the other tables: above 1 ours is faster. `as shipped` is their code
as it comes; `channels last` has both models and inputs so laid out; `exported` is the form in which ours predicts.
"""

import copy
import importlib
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import models
from models.inference import prepare
from models.memory_format import CHANNELS_LAST, channels_last
from models.pointwise import dilate
from models.weights import load_weights
from pipeline.base.errors import unknown


@dataclass(frozen=True)
class Peer:
    """A publisher's model: how it is built, what it is given, and what of its answer are the logits."""

    repository: str
    build: Callable[[], nn.Module]
    classes: int
    given: Callable[[Tensor], Tensor] = lambda x: x
    logits: Callable[[Any], Tensor] = lambda out: out


def peers(folder: Path) -> dict[str, Peer]:
    """Return them by our names; each imports its repository below `folder` when it is built."""
    vision = partial(torchvision, folder / "vision" / "torchvision")
    small = {"alexnet": "alexnet", "vgg16_bn": "vgg", "densenet121": "densenet", "mobilenetv2": "mobilenetv2"}
    modules = small | dict.fromkeys(("resnet50", "resnext50_32x4d", "wide_resnet50_2"), "resnet")
    modules |= {"vit_b_16": "vision_transformer", "swin_t": "swin_transformer", "convnext_tiny": "convnext"}
    clips = {"r3d_18": "video.resnet", "r2plus1d_18": "video.resnet", "s3d": "video.s3d"}
    theirs = {"mobilenetv2": "mobilenet_v2"}
    found = {
        name: Peer("vision", partial(vision, module, theirs.get(name, name), classes), classes)
        for names, classes in ((modules, 1000), (clips, 400))
        for name, module in names.items()
    }
    found["timesformer_base"] = Peer("TimeSformer", partial(timesformer, folder / "TimeSformer"), 400)
    for name in ("hornet_tiny_7x7", "hornet_tiny_gf"):
        found[name] = Peer("HorNet", partial(hornet, folder / "HorNet", name), 1000)
    for name in ("tsn_resnet50", "tsm_resnet50"):
        build = partial(tsn, folder / "temporal-shift-module", folder, shift=name.startswith("tsm"))
        found[name] = Peer("temporal-shift-module", build, 400, frames_as_channels)
    i3d = partial(inception, folder / "pytorch-i3d")
    found["i3d"] = Peer("pytorch-i3d", i3d, 400, logits=lambda out: out.mean(2))
    return found


def torchvision(folder: Path, module: str, name: str, classes: int) -> nn.Module:
    """Build a model of torchvision's without its compiled operators, which its `__init__` would load."""
    package("torchvision", folder)
    package("torchvision.models", folder / "models")
    package("torchvision.models.video", folder / "models" / "video")
    package("torchvision.ops", folder / "ops")
    package("torchvision.transforms", folder / "transforms")
    unused = ("ImageClassification", "VideoClassification", "InterpolationMode")
    stand_in("torchvision.transforms._presets", **dict.fromkeys(unused, _Anything()))
    made: nn.Module = getattr(importlib.import_module(f"torchvision.models.{module}"), name)(num_classes=classes)
    return made


def timesformer(folder: Path) -> nn.Module:
    """Build TimeSformer-B of divided attention for 8 frames."""
    package("timesformer", folder / "timesformer")
    package("timesformer.models", folder / "timesformer" / "models")
    stand_in("torch._six", container_abcs=importlib.import_module("collections.abc"))
    stand_in("timesformer.models.build", MODEL_REGISTRY=_Anything())
    vit = importlib.import_module("timesformer.models.vit")
    norm = partial(nn.LayerNorm, eps=1e-6)
    options = {"patch_size": 16, "num_classes": 400, "embed_dim": 768, "depth": 12, "num_heads": 12, "mlp_ratio": 4}
    more = {"qkv_bias": True, "norm_layer": norm, "num_frames": 8, "attention_type": "divided_space_time"}
    made: nn.Module = vit.VisionTransformer(**options, **more)
    return made


def hornet(folder: Path, name: str) -> nn.Module:
    """Build HorNet-T."""
    package("timm", folder)
    package("timm.models", folder)
    stand_in("timm.models.layers", trunc_normal_=nn.init.trunc_normal_, DropPath=nn.Identity)
    stand_in("timm.models.registry", register_model=lambda made: made)
    sys.path.insert(0, str(folder))
    made: nn.Module = getattr(importlib.import_module("hornet"), name)()
    return made


def tsn(folder: Path, checkouts: Path, shift: bool) -> nn.Module:
    """Build TSN or TSM on torchvision's ResNet-50, for 8 frames."""
    torchvision(checkouts / "vision" / "torchvision", "resnet", "resnet50", 1000)
    resnet = importlib.import_module("torchvision.models.resnet")
    names = stand_in("torchvision.models", resnet50=lambda _: resnet.resnet50(), ResNet=resnet.ResNet)
    stand_in("torchvision", models=names)
    package("ops", folder / "ops")
    stand_in("ops.transforms", torchvision=sys.modules["torchvision"])  # by which it comes to `ops.models`
    made: nn.Module = importlib.import_module("ops.models").TSN(
        400, 8, "RGB", base_model="resnet50", is_shift=shift, dropout=0.5, partial_bn=False, print_spec=False
    )
    return made


def inception(folder: Path) -> nn.Module:
    """Build I3D on RGB."""
    sys.path.insert(0, str(folder))
    made: nn.Module = importlib.import_module("pytorch_i3d").InceptionI3d(400, in_channels=3)
    return made


def frames_as_channels(x: Tensor) -> Tensor:
    """Lay frames one behind the other among the channels, as TSN takes them: [B, 3, T, H, W] -> [B, T*3, H, W]."""
    return x.transpose(1, 2).flatten(1, 2)


def package(name: str, folder: Path) -> None:
    """Make a package of a folder without running its `__init__`."""
    stand_in(name).__path__ = [str(folder)]


def stand_in(name: str, **values: Any) -> ModuleType:
    """Make a module of these values, unless there is one of that name."""
    module = sys.modules.setdefault(name, ModuleType(name))
    vars(module).update(values)
    return module


class _Anything:
    """Takes every call and every attribute: a registry, a decorator, a transform that nobody uses."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        return given[0] if given and callable(given[0]) else self

    def __getattr__(self, name: str) -> Any:
        return self


def compared(folder: Path, names: Sequence[str], compare: Callable[[str, nn.Module, nn.Module, Tensor], None]) -> None:
    """Call `compare(what, ours, theirs, x)` for each name and form, in turns."""
    known = peers(folder)
    for name in names or known:
        if name not in known:
            raise SystemExit(unknown("model with official code", name, known))
        peer = known[name]
        if not (folder / peer.repository).is_dir():
            print(f"{name}: {folder / peer.repository} is not there: left out", flush=True)
            continue
        torch.manual_seed(0)
        with redirect_stdout(None):  # HorNet tells of every block
            theirs = Fed(peer.build(), peer)
        theirs.eval()  # which of TSN gives nothing back
        for p in theirs.parameters():
            if not p.any():  # such as ViT's head, behind which nothing would differ
                nn.init.normal_(p, std=0.02)
        ours = models.build(name, peer.classes).eval()
        load_weights(ours, theirs.model.state_dict())
        dilate(ours)  # as a training on a CPU does
        x = torch.randn(BATCH.get(name, 1), *models.check_options(name).input_shape)
        compare(f"{name}, as shipped", ours, theirs, x)
        layout = CHANNELS_LAST[x.dim()]
        ours, laid = laid_out(ours), x.contiguous(memory_format=layout)
        compare(f"{name}, channels last", ours, laid_out(theirs), laid)
        with torch.device("meta"):
            twin = models.build(name, peer.classes)
        prepare(ours, twin, x.to("meta"))
        compare(f"{name}, exported", ours, theirs, laid)


class Fed(nn.Module):
    """A peer that takes what ours takes, and gives what ours gives."""

    def __init__(self, model: nn.Module, peer: Peer) -> None:
        super().__init__()
        self.model, self.peer = model, peer

    def forward(self, x: Tensor) -> Tensor:
        """Map what ours takes to logits [B, classes]."""
        return self.peer.logits(self.model(self.peer.given(x)))


def laid_out(model: nn.Module) -> nn.Module:
    """Return a copy whose kernels, of images and of clips, have their channels last."""
    made = copy.deepcopy(model)
    channels_last(made)
    return made


BATCH = {"hornet_tiny_7x7": 2, "hornet_tiny_gf": 2, "resnet50": 8, "mobilenetv2": 8}
