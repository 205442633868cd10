"""Names of parameters: every official release has its own, and all names of a family come down to one set here.

The model's own names and the names in a file are both brought to this set and then compared, so a file of any known
layout loads into a model of any other one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from models.weights.layouts import own_layout

# What DistributedDataParallel, the TimeSformer release and torch.compile put in front of all names.
PREFIXES = ("module.", "model.", "_orig_mod.")

_TORCHVISION_VIT = (
    (r"^class_token$", "cls_token"),
    (r"^(encoder\.)?pos_embedding$", "pos_embed"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"\.self_attention\.in_proj_", ".attn.qkv."),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
)
# Of models that answer a mask, the last layer becomes `mask_head.`, and what is between it and the trunk `mask.`. Of
# detectors, what tells classes becomes `objects_head.`, and what else no classifier has `objects.`.
_OBJECTS = ((r"^(?=extras\.|norm\.weight$|boxes\.)", "objects."), (r"^scores\.", "objects_head."))
_RCNN = (
    (r"^backbone\.", ""),
    (r"^(?:roi|mask)\.((?:\d\.)?)(?=scores\.|codes\.|logits\.)", r"objects_head.\1"),
    (r"^(?=fpn\.|rpn\.|roi\.|mask\.)", "objects."),
)
_POSE = (
    (r"^backbone\.", ""),
    (r"^refine\.(?=\d+\.outs\.|[1-9]\d*\.layers\.0\.0\.)", "keypoints_head.refine."),
    (r"^(?=laterals\.|fuse\.|refine\.)", "keypoints."),
)
# The port keeps Caffe's names below those of its parts, and its file has them alone.
_OPENPOSE = (
    (r"^model\d(_\d)?\.", ""),
    (r"^(?=(conv5_5_CPM_L\d|conv6_2_CPM|Mconv[17]_stage\d(_L\d)?)\.)", "keypoints_head."),
)
# Without the `model.` in front; the last layer tells boxes and classes with one convolution.
_YOLO = ((r"^24\.m\.", "objects_head."),)
_DEEPLAB = (
    (r"^backbone\.(?=layer[5-7]\.)", "mask."),  # DeepLab v3's copies of a stage
    (r"^backbone\.", ""),
    (r"^classifier\.(4|1\.4|head)\.", "mask_head."),
    # Every layer of GCN, and every rate of DeepLab v2, has as many channels as there are classes.
    (r"^classifier\.(?=gcn|br|final_conv|c\d\.)", "mask_head."),
    (r"^classifier\.(?!weight$|bias$)", "mask."),
    (r"^aux_classifier\.", "aux_fc."),
)
_UNET = (
    (r"^final_conv\.", "mask_head."),
    (r"\.(maxpool_conv\.1\.)?double_conv\.", "."),
    (r"^outc\.(conv\.)?", "mask_head."),
)
# Linear layers of the classifier are convolutions in FCN, whose `skip.` is what not every stride has. The first rules
# are for SSD, SegNet and DeepLab v1, those behind for the FCN-8s of pytorch-segmentation, whose trunk is in three.
_VGG = (
    *_OBJECTS,
    (r"^(?=decoder\.|fc[67]?\.|branches\.)", "mask."),
    (r"^(fc8|score)\.(?=weight$|bias$)", "mask_head."),
    *((rf"^pool4\.{layer}\.", f"features.{17 + layer}.") for layer in (0, 2, 4)),
    *((rf"^pool5\.{layer}\.", f"features.{24 + layer}.") for layer in (0, 2, 4)),
    (r"^pool3\.", "features."),
    (r"^output\.6\.", "score.fc7."),
    (r"^output\.", "classifier."),
    (r"^adj_(pool\d)\.", r"score.\1."),
    (r"^up_output\.", "upscore.pool4."),
    (r"^up_pool4_out\.", "upscore.pool3."),
    (r"^up_final\.", "upscore.x8."),
    (r"^classifier\.6\.", "head."),
    (r"^score\.fc7\.", "mask_head."),
    (r"^(up)?score\.", r"skip.\g<0>"),
)
# The files have `norm.1.`, the model that reads them `norm1.`.
_DENSENET = ((r"(\.denselayer\d+\.(?:norm|conv))\.(?=[12]\.)", r"\1"), (r"^classifier\.", "head."))
RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "ViT": _TORCHVISION_VIT,
    **dict.fromkeys(("VGG", "VGG with batch norms", "AlexNet", "FCN-AlexNet"), _VGG),
    "U-Net": _UNET,
    "DenseNet": _DENSENET,
    "OpenPose": _OPENPOSE,
    "YOLOv5": _YOLO,
}
# ECO-Lite is the first layers of BN-Inception, and 3D layers and a head on them that this has not.
_ECO = ((r"^(?=res[345][ab]_)", "volumes."), (r"^head\.", "volumes_head."))
VOLUMES = ("3D ResNet", "S3D", "Inception-v1", "SlowFast", "BN-Inception", "C3D")
"""Of 3D convolutions."""
# The head of every layout becomes `head.`.
_HEAD = re.compile(r"^(new_fc|fc|classifier\.1|classifier|logits\.conv3d|fc_final|fc8)\.(?=weight$|bias$)")


@dataclass(frozen=True)
class Names:
    """The names of one state dict, brought to the family's common set.

    `family` is None when no family was recognised; then the names are what they were. `common` maps each name to its
    common one. `shifts` are the common names of the modules behind a temporal shift, as far as the names tell.
    """

    family: str | None
    common: dict[str, str]
    shifts: frozenset[str]


def read_names(names: Iterable[str]) -> Names:
    """Recognise the family by its names, and bring them to the family's common set."""
    stripped = own_layout(strip_prefixes(list(names)))
    plain = {name: short.removeprefix("base_model.") for name, short in stripped.items()}
    if {name.partition(".")[0] for name in stripped.values()} - {"aux_classifier"} == {"backbone", "classifier"}:
        plain = {name: _renamed(short, _DEEPLAB) for name, short in stripped.items()}
    if {name.partition(".")[0] for name in stripped.values()} - {"mask"} == {"backbone", "fpn", "rpn", "roi"}:
        plain = {name: _renamed(short, _RCNN) for name, short in stripped.items()}
    if {name.partition(".")[0] for name in stripped.values()} == {"backbone", "laterals", "fuse", "refine"}:
        plain = {name: _renamed(short, _POSE) for name, short in stripped.items()}
    family = _family(set(plain.values()))
    if family in ("ResNet", "MobileNetV2"):
        shifts = frozenset(short.split(".net.")[0] for short in plain.values() if ".net." in short)
        common = {name: _HEAD.sub("head.", short.replace(".net.", ".")) for name, short in plain.items()}
        if family == "MobileNetV2":
            common = _flat({name: _renamed(short, _OBJECTS) for name, short in common.items()})
        else:
            # The block inside the wrapper that carries a non-local block.
            common = {name: short.replace(".block.", ".") for name, short in common.items()}
            shifts = frozenset(re.sub(r"\.block(?=\.|$)", "", shift) for shift in shifts)
        return Names(family, common, shifts)
    if family in ("Xception", "HorNet", "Swin", "ConvNeXt"):
        return Names(family, plain, frozenset())
    if family in VOLUMES:
        common = {name: _HEAD.sub("head.", short) for name, short in plain.items()}
        if any(short.startswith("res3a_") for short in common.values()):
            common = {name: _renamed(short, _ECO) for name, short in common.items()}
        return Names(family, common, frozenset())
    rules = RULES.get(family or "", ())
    return Names(family, {name: _renamed(short, rules) for name, short in stripped.items()}, frozenset())


def strip_prefixes(names: list[str]) -> dict[str, str]:
    """Return each name and what remains without the wrappers' prefixes, which are taken off where all have them."""
    short = {name: name for name in names}
    while short:
        prefix = next((p for p in PREFIXES if all(s.startswith(p) for s in short.values())), None)
        if prefix is None:
            break
        short = {name: s.removeprefix(prefix) for name, s in short.items()}
    return short


def _family(names: set[str]) -> str | None:
    """Tell the family, by what only that family has."""

    def some(start: str) -> bool:
        return any(name.startswith(start) for name in names)

    if some("layer1.0.") and some("layer4.0.") and some("conv1."):
        return "ResNet"
    if some("layer1.0.conv1.0.") and some("stem."):
        return "3D ResNet"
    if some("features.5.branch0.") and some("features.15."):
        return "S3D"
    if any("_CPM" in name for name in names):
        return "OpenPose"
    if some("conv1_7x7_s2."):
        return "BN-Inception"
    if some("conv5b.") and some("fc6."):
        return "C3D"
    if some("s1.pathway1_stem."):
        return "SlowFast"
    if some("Conv3d_1a_7x7.") and some("Mixed_5c."):
        return "Inception-v1"
    if some("block1.") and some("block20."):
        return "Xception"
    if some("features.0.0.") and some("features.17.") and some("features.18.0."):
        return "MobileNetV2"
    if some("9.cv1.conv.") and some("24.m.0."):
        return "YOLOv5"
    if some("features.denseblock1."):
        return "DenseNet"
    if (some("patch_embed.proj.") and some("blocks.0.")) or (some("conv_proj.") and some("encoder.layers.")):
        return "ViT"
    if some("downsample_layers.0.0."):
        parts = {"HorNet": ".gnconv.", "Swin": ".attn.qkv.", "ConvNeXt": ".dwconv."}
        return next((family for family, part in parts.items() if any(part in name for name in names)), None)
    if some("features.10.") and some("classifier.1.") and some("classifier.4."):
        return "AlexNet"
    if some("convs.") and some("upscore.x32."):
        return "FCN-AlexNet"
    with_linear = some("features.0.") and some("classifier.3.")
    if with_linear or some("features.28.") or (some("pool5.4.") and some("up_final.")):
        return "VGG with batch norms" if some("features.1.") else "VGG"
    if some("down4.") and some("up4.") and ((some("inc.") and some("outc.")) or some("start_conv.")):
        return "U-Net"
    return None


def _renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """Apply all rules to a name, one behind another."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _flat(common: dict[str, str]) -> dict[str, str]:
    """Name MobileNetV2's blocks as one list of layers: torchvision's `conv.1.0.` is `conv.3.` of the release of TSM.

    torchvision nests convolution, norm and activation (0, 1, 2); the projection and its norm follow unnested.
    """
    nested = re.compile(r"^(features\.\d+\.conv)\.(\d+)\.(\d+)\.")
    groups: dict[str, int] = {}
    for name in common.values():
        if found := nested.match(name):
            groups[found[1]] = max(groups.get(found[1], 0), int(found[2]) + 1)

    def flat(name: str) -> str:
        if found := nested.match(name):
            return f"{found[1]}.{3 * int(found[2]) + int(found[3])}.{name[found.end() :]}"
        found = re.match(r"^(features\.\d+\.conv)\.(\d+)\.", name)
        if found and found[1] in groups:
            count = groups[found[1]]
            return f"{found[1]}.{3 * count + int(found[2]) - count}.{name[found.end() :]}"
        return name

    return {name: flat(short) for name, short in common.items()}
