"""SlowFast: the releases' counts and names, and one clip for both pathways."""

from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from models.slowfast import slow_frames
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("slowfast_4x16_r50", {}, 34_480_216),
        ("slowfast_8x8_r50", {}, 34_566_488),
        ("slowfast_8x8_r101", {}, 53_774_808),
        ("slowfast_8x8_r101", {"temporal_blocks": 23}, 62_826_968),
    ],
)
def test_parameters(name: str, options: dict[str, Any], parameters: int) -> None:
    """PyTorchVideo's table rounds the second and the last to 34.57 and 62.83 million."""
    assert count_parameters(on_meta(name, 400, **options)) == parameters


def test_frames_of_the_slow_pathway_are_the_releases() -> None:
    assert slow_frames(32, 8) == [0, 10, 20, 31]
    assert slow_frames(32, 4) == [0, 4, 8, 13, 17, 22, 26, 31]
    assert (slow_frames(3, 8), slow_frames(9, 8), slow_frames(4, 1)) == ([0], [0, 8], [0, 1, 2, 3])
    for frames in range(8, 129, 8):
        assert slow_frames(frames, 8) == torch.linspace(0, frames - 1, frames // 8).long().tolist()


def test_both_pathways_get_one_clip() -> None:
    model: Any = models.build("slowfast_8x8_r50", 4, width=8, alpha=4).eval()
    seen: dict[str, torch.Tensor] = {}
    for name, stem in model.s1.items():
        stem.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    clips = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        assert model.features(clips).shape == (1, 32 * (8 + 1))
    assert torch.equal(seen["pathway0_stem"], clips[:, :, [0, 7]])
    assert torch.equal(seen["pathway1_stem"], clips)


def test_names_are_pyslowfasts() -> None:
    shapes = {key: tuple(value.shape) for key, value in on_meta("slowfast_8x8_r50", 400).state_dict().items()}
    expected = {
        "s1.pathway0_stem.conv.weight": (64, 3, 1, 7, 7),
        "s1.pathway1_stem.conv.weight": (8, 3, 5, 7, 7),
        "s1_fuse.conv_f2s.weight": (16, 8, 7, 1, 1),
        "s2.pathway0_res0.branch1.weight": (256, 80, 1, 1, 1),
        "s2.pathway1_res2.branch2.a.weight": (8, 32, 3, 1, 1),
        "s4.pathway0_res5.branch2.a.weight": (256, 1024, 3, 1, 1),
        "s4_fuse.bn.running_mean": (256,),
        "s5.pathway0_res0.branch2.a.weight": (512, 1280, 3, 1, 1),
        "s5.pathway1_res2.branch2.c_bn.weight": (256,),
        "head.projection.weight": (400, 2304),
    }
    assert {key: shapes.get(key) for key in expected} == expected


def test_pytorchvideos_layout_loads() -> None:
    torch.manual_seed(0)
    own: Any = models.build("slowfast_8x8_r50", 4, width=8)
    theirs = {}
    for key, value in own.state_dict().items():
        first, _, rest = key.partition(".")
        if first == "head":
            name = rest.replace("projection.", "blocks.6.proj.")
        elif first.endswith("_fuse"):
            part = rest.replace("conv_f2s", "conv_fast_to_slow").replace("bn.", "norm.")
            name = f"blocks.{int(first[1]) - 1}.multipathway_fusion.{part}"
        else:
            pathway, part = rest[len("pathway")], rest.partition("_")[2]
            if part.startswith("stem."):
                part = part.removeprefix("stem.").replace("bn.", "norm.")
            else:
                part = part.replace("res", "res_blocks.", 1)
                part = part.replace("branch1_bn", "branch1_norm").replace("branch1.", "branch1_conv.")
                for letter in "abc":
                    part = part.replace(f"branch2.{letter}_bn.", f"branch2.norm_{letter}.")
                    part = part.replace(f"branch2.{letter}.", f"branch2.conv_{letter}.")
            name = f"blocks.{int(first[1]) - 1}.multipathway_blocks.{pathway}.{part}"
        theirs[name] = value + 1
    report = models.load_weights(own, {"model_state": theirs})
    assert len(report.loaded) == len(theirs)
    assert torch.equal(
        own.s4.pathway1_res3.branch2.b_bn.bias,
        theirs["blocks.3.multipathway_blocks.1.res_blocks.3.branch2.norm_b.bias"],
    )
