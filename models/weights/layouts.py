"""Layouts of released networks, most of them for segmentation and detection: their names brought to our models' own.

Code bases name the same networks each in its way: hszhao/semseg, yassouali/pytorch-segmentation,
kazuto1011/deeplab-pytorch and mmsegmentation; amdegroot/ssd.pytorch and torchvision. A layout is told by two parts that
no other one has together.
"""

import re
from collections.abc import Callable, Mapping

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def _sooner(found: re.Match[str]) -> str:
    """Count stages of kazuto's from 0 and blocks too: its stem is the first, and its first block is called 1."""
    return f"backbone.layer{int(found[1]) - 1}.{int(found[2]) - 1}."


def _deep_stem(layers: tuple[str, ...]) -> tuple[Rule, ...]:
    """Name the three convolutions of a stem, and the batch norm behind each."""
    names = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")
    return tuple((rf"^{re.escape(layer)}\.", f"backbone.{name}.") for layer, name in zip(layers, names, strict=True))


_STAGES: Rule = (r"^layer([1-4])\.", r"backbone.layer\1.")
_SEMSEG_PSPNET: tuple[Rule, ...] = (
    *_deep_stem(("layer0.0", "layer0.1", "layer0.3", "layer0.4", "layer0.6", "layer0.7")),
    _STAGES,
    (r"^ppm\.features\.(\d)\.1\.", r"classifier.0.levels.\1.0."),
    (r"^ppm\.features\.(\d)\.2\.", r"classifier.0.levels.\1.1."),
    (r"^cls\.", "classifier.1."),
    (r"^aux\.", "aux_classifier."),
)
_YASSOUALI_PSPNET: tuple[Rule, ...] = (
    *_deep_stem(("initial.0.0", "initial.0.1", "initial.0.3", "initial.0.4", "initial.0.6", "initial.1")),
    _STAGES,
    (r"^master_branch\.0\.stages\.(\d)\.1\.", r"classifier.0.levels.\1.0."),
    (r"^master_branch\.0\.stages\.(\d)\.2\.", r"classifier.0.levels.\1.1."),
    (r"^master_branch\.0\.bottleneck\.", "classifier.1."),
    (r"^master_branch\.1\.", "classifier.1.4."),
    (r"^auxiliary_branch\.", "aux_classifier."),
)
_YASSOUALI_SEGNET: tuple[Rule, ...] = (
    *(
        (rf"^stage{stage}_encoder\.(\d)\.", lambda found, first=first: f"features.{int(found[1]) + first}.")
        for stage, first in enumerate((0, 7, 14, 24, 34), 1)
    ),
    (r"^stage5_decoder\.6\.", "score."),
    (r"^stage([1-5])_decoder\.(\d)\.", lambda found: f"decoder.{int(found[1]) - 1}.{found[2]}."),
)
_YASSOUALI_GCN: tuple[Rule, ...] = (
    (r"^backbone\.initial\.0\.", "backbone.conv1."),
    (r"^backbone\.initial\.1\.", "backbone.bn1."),
    (r"^(gcn|br|final_conv)", r"classifier.\1"),
)
_YASSOUALI_UPERNET: tuple[Rule, ...] = (
    (r"^backbone\.initial\.0\.", "backbone.conv1."),
    (r"^backbone\.initial\.1\.", "backbone.bn1."),
    (r"^PPN\.stages\.(\d)\.1\.", r"classifier.pyramid.0.levels.\1.0."),
    (r"^PPN\.stages\.(\d)\.2\.", r"classifier.pyramid.0.levels.\1.1."),
    (r"^PPN\.bottleneck\.", "classifier.pyramid.1."),
    (r"^FPN\.conv1x1\.", "classifier.laterals."),
    (r"^FPN\.smooth_conv\.", "classifier.outputs."),
    (r"^FPN\.conv_fusion\.", "classifier.fuse."),
    (r"^head\.", "classifier.head."),
)
_YASSOUALI_V3PLUS: tuple[Rule, ...] = (
    (r"^backbone\.layer0\.0\.", "backbone.conv1."),
    (r"^backbone\.layer0\.1\.", "backbone.bn1."),
    (r"^ASSP\.aspp([1-4])\.", lambda found: f"classifier.aspp.convs.{int(found[1]) - 1}."),
    (r"^ASSP\.avg_pool\.", "classifier.aspp.convs.4."),
    (r"^ASSP\.conv1\.", "classifier.aspp.project.0."),
    (r"^ASSP\.bn1\.", "classifier.aspp.project.1."),
    (r"^decoder\.conv1\.", "classifier.reduce.0."),
    (r"^decoder\.bn1\.", "classifier.reduce.1."),
    (r"^decoder\.output\.7\.", "classifier.head."),
    (r"^decoder\.output\.", "classifier.fuse."),
)
_KAZUTO: tuple[Rule, ...] = (
    (r"^layer1\.conv1\.conv\.", "backbone.conv1."),
    (r"^layer1\.conv1\.bn\.", "backbone.bn1."),
    (r"^layer([2-5])\.block(\d+)\.", _sooner),
    *(
        (rf"\.{part}\.{kind}\.", f".{name}.")
        for part, names in {
            "reduce": ("conv1", "bn1"),
            "conv3x3": ("conv2", "bn2"),
            "increase": ("conv3", "bn3"),
            "shortcut": ("downsample.0", "downsample.1"),
        }.items()
        for kind, name in zip(("conv", "bn"), names, strict=True)
    ),
    # v1, v2
    (r"^fc\.", "classifier."),
    (r"^aspp\.c(\d)\.", r"classifier.c\1."),
    # v3, v3+
    (r"^fc2\.(?=weight$|bias$)", "classifier.head."),
    (r"^aspp\.stages\.c(\d)\.conv\.", r"classifier.aspp.convs.\1.0."),
    (r"^aspp\.stages\.c(\d)\.bn\.", r"classifier.aspp.convs.\1.1."),
    (r"^aspp\.stages\.imagepool\.conv\.conv\.", "classifier.aspp.convs.4.1."),
    (r"^aspp\.stages\.imagepool\.conv\.bn\.", "classifier.aspp.convs.4.2."),
    (r"^fc1\.conv\.", "classifier.aspp.project.0."),
    (r"^fc1\.bn\.", "classifier.aspp.project.1."),
    (r"^reduce\.conv\.", "classifier.reduce.0."),
    (r"^reduce\.bn\.", "classifier.reduce.1."),
    (r"^fc2\.conv1\.conv\.", "classifier.fuse.0."),
    (r"^fc2\.conv1\.bn\.", "classifier.fuse.1."),
    (r"^fc2\.conv2\.conv\.", "classifier.fuse.3."),
    (r"^fc2\.conv2\.bn\.", "classifier.fuse.4."),
    (r"^fc2\.conv3\.", "classifier.head."),
)
# SSD on VGG-16. Both have a place's boxes in one order, and what is told of each in one, so that names are all.
_SSD_PYTORCH: tuple[Rule, ...] = (
    (r"^vgg\.", ""),
    (r"^31\.", "fc.0."),
    (r"^33\.", "fc.2."),
    (r"^(?=\d)", "features."),
    (r"^L2Norm\.", "norm."),
    (r"^extras\.(\d+)\.", lambda found: f"extras.{int(found[1]) // 2}.{int(found[1]) % 2 * 2}."),
    (r"^loc\.", "boxes."),
    (r"^conf\.", "scores."),
)
_TORCHVISION_SSD: tuple[Rule, ...] = (
    (r"^backbone\.scale_weight$", "norm.weight"),
    (r"^backbone\.features\.", "features."),
    (r"^backbone\.extra\.0\.7\.1\.", "fc.0."),
    (r"^backbone\.extra\.0\.7\.3\.", "fc.2."),
    (r"^backbone\.extra\.0\.(\d)\.", lambda found: f"features.{23 + int(found[1])}."),
    (r"^backbone\.extra\.(\d)\.", lambda found: f"extras.{int(found[1]) - 1}."),
    (r"^head\.regression_head\.module_list\.", "boxes."),
    (r"^head\.classification_head\.module_list\.", "scores."),
)

# Its R-CNNs; files of 2019 lack the numbers that are optional here.
_TORCHVISION_RCNN: tuple[Rule, ...] = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.1\.", r"fpn.laterals.\1.norm."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.1\.", r"fpn.outputs.\1.norm."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(?=weight$|bias$)", r"fpn.laterals.\1."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(?=weight$|bias$)", r"fpn.outputs.\1."),
    (r"^rpn\.head\.conv\.1\.0\.", "rpn.second."),
    (r"^rpn\.head\.conv\.(?:0\.0\.)?(?=weight$|bias$)", "rpn.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.objectness."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.deltas."),
    (r"^roi_heads\.box_head\.(\d)\.0\.", r"roi.convs.\1."),
    (r"^roi_heads\.box_head\.(\d)\.1\.", r"roi.convs.\1.norm."),
    (r"^roi_heads\.box_head\.5\.", "roi.fc6."),
    (r"^roi_heads\.box_head\.", "roi."),
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", lambda found: f"mask.convs.{int(found[1]) - 1}."),
    (r"^roi_heads\.mask_head\.(\d)\.0\.", r"mask.convs.\1."),
    (r"^roi_heads\.mask_head\.(\d)\.1\.", r"mask.convs.\1.norm."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask.up."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask.logits."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "roi.scores."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "roi.codes."),
)


# Of both releases of Swin and torchvision's ConvNeXt, a layer in front of every stage: ours has a number of its own.
def _stage(found: re.Match[str]) -> str:
    """Count torchvision's stages, which are every second part of `features`."""
    return f"stages.{int(found[1]) // 2}.{found[2]}."


def _smaller(found: re.Match[str]) -> str:
    return f"downsample_layers.{int(found[1]) // 2}."


_TORCHVISION_SWIN: tuple[Rule, ...] = (
    (r"^features\.0\.0\.", "downsample_layers.0.0."),
    (r"^features\.0\.2\.", "downsample_layers.0.1."),
    (r"^features\.([1357])\.(\d+)\.", _stage),
    (r"^features\.([246])\.", _smaller),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
)
_MICROSOFT_SWIN: tuple[Rule, ...] = (
    (r"^patch_embed\.proj\.", "downsample_layers.0.0."),
    (r"^patch_embed\.norm\.", "downsample_layers.0.1."),
    (r"^layers\.(\d)\.downsample\.", lambda found: f"downsample_layers.{int(found[1]) + 1}."),
    (r"^layers\.(\d)\.blocks\.", r"stages.\1."),
)
# OpenMMLab's, alone or in a network; `unfolded.py` reorders what merges patches.
_OPENMMLAB_SWIN: tuple[Rule, ...] = (
    (r"^(backbone\.|)patch_embed\.projection\.", r"\1downsample_layers.0.0."),
    (r"^(backbone\.|)patch_embed\.norm\.", r"\1downsample_layers.0.1."),
    (r"^(backbone\.|)stages\.(\d)\.downsample\.", lambda found: f"{found[1]}downsample_layers.{int(found[2]) + 1}."),
    (r"^(backbone\.|)stages\.(\d)\.blocks\.", r"\1stages.\2."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
)
_TORCHVISION_CONVNEXT: tuple[Rule, ...] = (
    (r"^features\.([1357])\.(\d+)\.", _stage),
    (r"^features\.([0246])\.", _smaller),
    (r"\.layer_scale$", ".gamma"),
    (r"\.block\.0\.", ".dwconv."),
    (r"\.block\.2\.", ".norm."),
    (r"\.block\.3\.", ".pwconv1."),
    (r"\.block\.5\.", ".pwconv2."),
    (r"^classifier\.0\.", "norm."),
    (r"^classifier\.2\.", "head."),
)
# SE-ResNet of Cadene's pretrained-models.pytorch, which are the authors' files of Caffe.
_CADENE_SE_RESNET: tuple[Rule, ...] = ((r"^layer0\.", ""), (r"^last_linear\.", "fc."))
# mmsegmentation's UPerNet and that of HorNet's release, on its backbones: ResNet with a deep stem, its own and Meta's
# ConvNeXt, HorNet, its own and Microsoft's Swin.
_MMSEG_UPERNET: tuple[Rule, ...] = (
    *_deep_stem(tuple(f"backbone.stem.{layer}" for layer in (0, 1, 3, 4, 6, 7))),
    *_OPENMMLAB_SWIN,
    (r"^backbone\.patch_embed\.proj\.", "backbone.downsample_layers.0.0."),
    (r"^backbone\.layers\.(\d)\.downsample\.", lambda found: f"backbone.downsample_layers.{int(found[1]) + 1}."),
    (r"^backbone\.layers\.(\d)\.blocks\.", r"backbone.stages.\1."),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv([12])\.", r".pwconv\1."),
    (r"^decode_head\.psp_modules\.(\d)\.1\.", r"classifier.pyramid.0.levels.\1."),
    (r"^decode_head\.bottleneck\.", "classifier.pyramid.1."),
    (r"^decode_head\.lateral_convs\.", "classifier.fpn.laterals."),
    (r"^decode_head\.fpn_convs\.", "classifier.fpn.outputs."),
    (r"^decode_head\.fpn_bottleneck\.(?=proj_|dwconv\.|pws\.)", "classifier.fuse.0."),
    (r"^decode_head\.fpn_bottleneck\.", "classifier.fuse."),
    (r"^decode_head\.conv_seg\.", "classifier.head."),
    (r"^auxiliary_head\.convs\.0\.", "aux_classifier."),
    (r"^auxiliary_head\.conv_seg\.", "aux_classifier.4."),
    (r"^((?:aux_)?classifier\.(?:.*\.)?)conv\.(?=weight$)", r"\g<1>0."),
    (r"^((?:aux_)?classifier\.(?:.*\.)?)bn\.", r"\g<1>1."),
)
# torchvision's Inception-v1, whose units have kernels of 3 places as I3D's have. Layers begin at b, behind a pool a.
_TORCHVISION_GOOGLENET: tuple[Rule, ...] = (
    (r"^conv1\.", "Conv3d_1a_7x7."),
    (r"^conv2\.", "Conv3d_2b_1x1."),
    (r"^conv3\.", "Conv3d_2c_3x3."),
    (r"^inception(\d)([a-e])\.", lambda found: f"Mixed_{found[1]}{chr(ord(found[2]) + 1)}."),
    (r"\.branch1\.", ".b0."),
    (r"\.branch([23])\.([01])\.", lambda found: f".b{int(found[1]) - 1}{'ab'[int(found[2])]}."),
    (r"\.branch4\.1\.", ".b3b."),
    (r"\.conv\.(?=weight$)", ".conv3d."),
    (r"^aux([12])\.", r"aux_fc.\1."),
)
# SlowFast, of PySlowFast and of PyTorchVideo; one pathway alone is a ResNet, and takes the weights of one for images.
_PYSLOWFAST: tuple[Rule, ...] = ((r"^head\.projection\.", "head."),)
_PYTORCHVIDEO_SLOWFAST: tuple[Rule, ...] = (
    (r"^blocks\.0\.multipathway_blocks\.([01])\.", r"s1.pathway\1_stem."),
    (
        r"^blocks\.([1-4])\.multipathway_blocks\.([01])\.res_blocks\.(\d+)\.",
        lambda found: f"s{int(found[1]) + 1}.pathway{found[2]}_res{found[3]}.",
    ),
    (r"^blocks\.([0-3])\.multipathway_fusion\.", lambda found: f"s{int(found[1]) + 1}_fuse."),
    (r"\.conv_fast_to_slow\.", ".conv_f2s."),
    (r"\.branch1_conv\.", ".branch1."),
    (r"\.branch1_norm\.", ".branch1_bn."),
    (r"\.branch2\.conv_([abc])\.", r".branch2.\1."),
    (r"\.branch2\.norm_([abc])\.", r".branch2.\1_bn."),
    (r"\.norm\.", ".bn."),
    (r"^blocks\.6\.proj\.", "head."),
)
_PATHWAY: tuple[Rule, ...] = (
    (r"^s1\.pathway0_stem\.conv\.", "conv1."),
    (r"^s1\.pathway0_stem\.bn\.", "bn1."),
    (r"^s([2-5])\.pathway0_res(\d+)\.", lambda found: f"layer{int(found[1]) - 1}.{found[2]}."),
    (r"^s([2-5])\.pathway0_nonlocal(\d+)\.", lambda found: f"layer{int(found[1]) - 1}.{found[2]}.nl."),
    (r"\.branch1\.", ".downsample.0."),
    (r"\.branch1_bn\.", ".downsample.1."),
    *(
        (rf"\.branch2\.{letter}{ours}\.", f".{name}{number}.")
        for number, letter in enumerate("abc", 1)
        for ours, name in (("", "conv"), ("_bn", "bn"))
    ),
    (r"^head\.projection\.", "fc."),
)
# TRN on TSN, whose last layer it has for another purpose.
_TRN: tuple[Rule, ...] = (
    (r"^new_fc\.", "relations.new_fc."),
    (r"^consensus\.fc_fusion_scales\.(\d+)\.1\.", r"relations.\1."),
    (r"^consensus\.fc_fusion_scales\.(\d+)\.3\.", r"relations_head.\1."),
)
# Of our classifiers whose `features` is a function, as the models' contract has it, here torchvision's name.
_TRUNK: tuple[Rule, ...] = ((r"^trunk\.", "features."),)
LAYOUTS: tuple[tuple[tuple[str, str], tuple[Rule, ...]], ...] = (
    (("layer0.0.", "ppm.features."), _SEMSEG_PSPNET),
    (("layer0.conv1.", "layer1.0.se_module."), _CADENE_SE_RESNET),
    (("initial.0.0.", "master_branch."), _YASSOUALI_PSPNET),
    (("stage1_encoder.", "stage5_decoder."), _YASSOUALI_SEGNET),
    (("backbone.initial.", "gcn1."), _YASSOUALI_GCN),
    (("backbone.initial.", "PPN."), _YASSOUALI_UPERNET),
    (("backbone.", "ASSP."), _YASSOUALI_V3PLUS),
    (("decode_head.psp_modules.", "decode_head.fpn_bottleneck."), _MMSEG_UPERNET),
    (("inception3a.branch1.", "inception5b.branch4."), _TORCHVISION_GOOGLENET),
    (("new_fc.", "consensus.fc_fusion_scales."), _TRN),
    (("s1.pathway1_stem.", "s1_fuse."), _PYSLOWFAST),
    (("blocks.0.multipathway_blocks.", "blocks.6.proj."), _PYTORCHVIDEO_SLOWFAST),
    (("s1.pathway0_stem.", "s2.pathway0_res0."), _PATHWAY),
    (("trunk.", "classifier."), _TRUNK),
    (("features.1.0.attn.", "features.2.reduction."), _TORCHVISION_SWIN),
    (("patch_embed.proj.", "layers.0.blocks.0.attn."), _MICROSOFT_SWIN),
    (("patch_embed.projection.", "stages.0.blocks.0.attn."), _OPENMMLAB_SWIN),
    (("features.1.0.layer_scale", "features.1.0.block.0."), _TORCHVISION_CONVNEXT),
    (("layer1.conv1.conv.", "layer2.block1.reduce."), _KAZUTO),
    (("vgg.0.", "conf.0."), _SSD_PYTORCH),
    (("31.", "33."), _SSD_PYTORCH),  # the trunk alone, vgg16_reducedfc.pth
    (("backbone.scale_weight", "head.classification_head."), _TORCHVISION_SSD),
    (("backbone.body.", "roi_heads.box_predictor."), _TORCHVISION_RCNN),
)


def own_layout(names: Mapping[str, str]) -> dict[str, str]:
    """Bring names, the mapping's values, to our models' own where they are of a known layout; else leave them."""
    values = list(names.values())
    for parts, rules in LAYOUTS:
        if all(any(name.startswith(part) for name in values) for part in parts):
            return {name: _renamed(short, rules) for name, short in names.items()}
    return dict(names)


def _renamed(name: str, rules: tuple[Rule, ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
