import pytest

import models
from models.depth import depths

SMALL: dict[str, dict[str, object]] = {
    "timesformer_base": {"depth": 2, "width": 8, "heads": 2, "size_px": 16},
    "vit_b_16": {"depth": 2, "width": 8, "heads": 2, "size_px": 16},
    "hornet_tiny_7x7": {"depths": (1, 1, 2, 1), "width": 8},
    "swin_t": {"depths": (1, 1, 2, 1), "width": 6},
    "tsm_resnet18": {"width": 8, "non_local": True},
    "resnet18": {"width": 8},
}


def depths_of(name: str) -> dict[str, int]:
    model = models.build(name, 5, **SMALL.get(name, {}))
    return depths(parameter for parameter, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("resnet18", {"conv1.weight": 0, "layer1.0.bn1.bias": 1, "layer4.1.conv2.weight": 8, "fc.bias": 9}),
        ("tsm_resnet18", {"base_model.conv1.weight": 0, "base_model.layer2.0.nl.phi.0.bias": 3, "new_fc.weight": 9}),
        ("mobilenetv2", {"features.0.0.weight": 1, "features.18.0.weight": 19, "classifier.1.weight": 20}),
        ("timesformer_base", {"cls_token": 0, "pos_embed": 0, "blocks.1.norm1.bias": 2, "norm.bias": 3}),
        ("vit_b_16", {"cls_token": 0, "pos_embedding": 0, "blocks.1.norm1.bias": 2, "norm.bias": 3}),
        (
            "hornet_tiny_7x7",
            {"downsample_layers.0.0.weight": 0, "stages.0.0.gamma1": 1, "downsample_layers.2.0.weight": 3}
            | {"stages.2.0.gamma1": 3, "stages.2.1.gamma1": 4, "head.weight": 6},
        ),
        (
            "swin_t",
            {"downsample_layers.0.1.bias": 0, "downsample_layers.1.reduction.weight": 2, "stages.1.0.norm1.bias": 2}
            | {"stages.2.1.attn.relative_position_bias_table": 4, "stages.3.0.norm1.bias": 5, "norm.bias": 6},
        ),
    ],
)
def test_known_depths(name: str, known: dict[str, int]) -> None:
    found = depths_of(name)
    assert {parameter: found[parameter] for parameter in known} == known


def test_numbers_are_sorted_as_numbers() -> None:
    names = ["stem", *(f"blocks.{i}.w" for i in range(12)), "head"]
    assert list(depths(names).values()) == list(range(14))


def test_a_model_without_blocks_is_one_piece() -> None:
    assert depths(["0.weight", "2.weight"]) == {"0.weight": 0, "2.weight": 0}
