"""All layouts of a family come down to the same names."""

import pytest
import torch

import models
from models.weights.names import read_names, strip_prefixes


def names(kind: str, **options: object) -> list[str]:
    with torch.device("meta"):
        return list(models.build(kind, 4, **options).state_dict())


def common(kind: str, **options: object) -> set[str]:
    return set(read_names(names(kind, **options)).common.values())


@pytest.mark.parametrize(
    ("given", "stripped"),
    [
        (["module.a", "module.b.c"], ["a", "b.c"]),
        (["model.a", "model.b"], ["a", "b"]),
        (["module.model.a", "module.model.b"], ["a", "b"]),
        (["_orig_mod.module.a"], ["a"]),
        # A part of the model that is called so is no wrapper.
        (["model.a", "head.b"], ["model.a", "head.b"]),
        ([], []),
    ],
)
def test_prefixes(given: list[str], stripped: list[str]) -> None:
    assert strip_prefixes(given) == dict(zip(given, stripped, strict=True))


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("resnet18", "ResNet"),
        ("tsm_resnet50", "ResNet"),
        ("mobilenetv2", "MobileNetV2"),
        ("tsm_mobilenetv2", "MobileNetV2"),
        ("timesformer_base", "ViT"),
        ("hornet_tiny_gf", "HorNet"),
        ("swin_t", "Swin"),
        ("convnext_tiny", "ConvNeXt"),
        ("upernet_swin_t", "Swin"),
        ("upernet_convnext_tiny", "ConvNeXt"),
        ("upernet_hornet_tiny_gf", "HorNet"),
        ("upernet_resnet50", "ResNet"),
        ("mc3_18", "3D ResNet"),
        ("r2plus1d_18", "3D ResNet"),
        ("s3d", "S3D"),
        ("i3d", "Inception-v1"),
        ("i3d_resnet50", "ResNet"),
        ("eco_lite", "BN-Inception"),
        ("c3d", "C3D"),
        ("trn_resnet18", "ResNet"),
        ("trn_bninception", "BN-Inception"),
        ("slowfast_8x8_r50", "SlowFast"),
        ("fcn32s_vgg16", "VGG"),
        ("unet", "U-Net"),
        ("unet_bn", "U-Net"),
        ("deeplabv3_resnet50", "ResNet"),
        ("fcn_resnet50", "ResNet"),
        ("pspnet_resnet50", "ResNet"),
        ("deeplabv2_resnet101", "ResNet"),
        ("deeplabv3plus_xception", "Xception"),
        ("gcn_resnet50", "ResNet"),
        ("segnet", "VGG with batch norms"),
        ("deeplabv1_vgg16", "VGG"),
    ],
)
def test_families(kind: str, family: str) -> None:
    assert read_names(names(kind)).family == family
    assert read_names([f"module.{name}" for name in names(kind)]).family == family


def test_an_unknown_family_keeps_its_names() -> None:
    found = read_names(["module.net.conv.weight", "module.net.fc.weight"])
    assert found.family is None
    assert list(found.common.values()) == ["net.conv.weight", "net.fc.weight"]


def test_the_layouts_of_resnet_are_one() -> None:
    expected = common("resnet50")
    assert common("tsn_resnet50") == expected
    assert common("tsm_resnet50") == expected
    assert common("tsm_resnet50", place="block") == expected
    with_non_local = common("tsm_resnet50", place="block", non_local=True)
    assert {name for name in with_non_local if ".nl." not in name} == expected


def test_the_layouts_of_mobilenetv2_are_one() -> None:
    expected = common("mobilenetv2")
    assert len(expected) == 314
    assert (
        common("tsn_mobilenetv2") == common("tsm_mobilenetv2") == common("tsm_mobilenetv2", place="block") == expected
    )
    online = [
        name.removeprefix("base_model.").replace(".net.", ".").replace("new_fc", "classifier")
        for name in names("tsm_mobilenetv2")
    ]
    assert set(read_names(online).common.values()) == expected


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ("features.1.conv.0.0.weight", "features.1.conv.0.weight"),
        ("features.1.conv.0.1.running_var", "features.1.conv.1.running_var"),
        ("features.1.conv.1.weight", "features.1.conv.3.weight"),
        ("features.1.conv.2.bias", "features.1.conv.4.bias"),
        ("features.2.conv.1.0.weight", "features.2.conv.3.weight"),
        ("features.2.conv.2.weight", "features.2.conv.6.weight"),
        ("features.2.conv.3.bias", "features.2.conv.7.bias"),
        ("classifier.1.bias", "head.bias"),
    ],
)
def test_torchvisions_nesting(nested: str, flat: str) -> None:
    assert read_names(names("mobilenetv2")).common[nested] == flat


def test_shifts() -> None:
    assert read_names(names("resnet18")).shifts == read_names(names("tsn_resnet18")).shifts == frozenset()
    assert read_names(names("tsm_resnet18", place="block", non_local=True)).shifts == {
        f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)
    }
    assert read_names(names("tsm_resnet18", non_local=True)).shifts == {
        f"layer{stage}.{block}.conv1" for stage in (1, 2, 3, 4) for block in (0, 1)
    }


def test_torchvisions_vit() -> None:
    layer = "encoder.layers.encoder_layer_11"
    given = {
        "class_token": "cls_token",
        "conv_proj.weight": "patch_embed.proj.weight",
        "encoder.pos_embedding": "pos_embed",
        f"{layer}.ln_1.weight": "blocks.11.norm1.weight",
        f"{layer}.self_attention.in_proj_weight": "blocks.11.attn.qkv.weight",
        f"{layer}.self_attention.in_proj_bias": "blocks.11.attn.qkv.bias",
        f"{layer}.self_attention.out_proj.bias": "blocks.11.attn.proj.bias",
        f"{layer}.ln_2.bias": "blocks.11.norm2.bias",
        f"{layer}.mlp.0.weight": "blocks.11.mlp.fc1.weight",
        f"{layer}.mlp.linear_2.weight": "blocks.11.mlp.fc2.weight",
        f"{layer}.mlp.3.bias": "blocks.11.mlp.fc2.bias",
        "encoder.ln.weight": "norm.weight",
        "heads.head.bias": "head.bias",
    }
    found = read_names(given)
    assert found.family == "ViT"
    assert found.common == given
