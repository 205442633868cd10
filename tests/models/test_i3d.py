"""I3D: pytorch-i3d's names and counts, TensorFlow's padding, and kernels of Inception-v1 inflated."""

import hashlib
from typing import Any

import pytest
import torch

import models
from models.complexity import complexity, count_parameters
from models.i3d import Pool, pad_same
from tests.models.test_resnet import on_meta


@pytest.mark.parametrize(
    ("name", "parameters", "digest"),
    [("i3d", 12_697_264, "97cd133f75d479bd"), ("i3d_flow", 12_675_312, "2835be2d0168bb59")],
)
def test_it_is_pytorch_i3ds(name: str, parameters: int, digest: str) -> None:
    model = on_meta(name, 400)
    assert count_parameters(model) == parameters
    lines = sorted(f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (344, digest)


def test_a_clip_of_64_frames_costs_what_is_published() -> None:
    cost = complexity("i3d", 400)
    assert cost.input_shape == (3, 64, 224, 224)
    assert cost.multiply_adds / 1e9 == pytest.approx(111.2, abs=0.1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before", "behind"),
    [
        (8, 7, 2, 2, 3),
        (7, 7, 2, 3, 3),
        (8, 3, 2, 0, 1),
        (7, 3, 2, 1, 1),
        (5, 2, 2, 0, 1),
        (1, 3, 2, 1, 1),
        (4, 1, 1, 0, 0),
    ],
)
def test_padding_is_tensorflows(size: int, kernel: int, stride: int, before: int, behind: int) -> None:
    """As tf.nn documents "SAME": ceil(n / stride) places, the larger half of an odd padding behind."""
    x = torch.ones(1, 1, size, 1, 1)
    padded = pad_same(x, (kernel, 1, 1), (stride, 1, 1)).flatten()
    assert padded.tolist() == [0.0] * before + [1.0] * size + [0.0] * behind
    assert Pool((kernel, 1, 1), (stride, 1, 1))(x).shape[2] == -(-size // stride)


def test_the_published_weights_of_flow_load() -> None:
    """A plain dict by pytorch-i3d's names, as flow_imagenet.pt; those of RGB see three channels and not two."""
    flow = models.build("i3d_flow", 4, width=8)
    official = {name: value + 1 for name, value in flow.state_dict().items()}
    assert official["Conv3d_1a_7x7.conv3d.weight"].shape[1] == 2
    assert "logits.conv3d.bias" in official
    report = models.load_weights(models.build("i3d_flow", 4, width=8), official)
    assert (len(report.loaded), report.resized) == (344, {})
    rgb = models.build("i3d", 4, width=8).state_dict()
    seen = models.load_weights(flow, rgb).resized
    assert seen == {"Conv3d_1a_7x7.conv3d.weight": ((8, 3, 7, 7, 7), (8, 2, 7, 7, 7))}


def test_kernels_of_images_are_inflated() -> None:
    """torchvision's Inception-v1: kernels come N times, divided by N; the head of other classes stays."""
    torch.manual_seed(0)
    model: Any = models.build("i3d", 4, width=8)
    flow: Any = models.build("i3d_flow", 4, width=8)
    head = model.logits.conv3d.weight.clone()
    two = {"conv1": "Conv3d_1a_7x7", "conv2": "Conv3d_2b_1x1", "conv3": "Conv3d_2c_3x3"}
    branches = {"b0": "branch1", "b1a": "branch2.0", "b1b": "branch2.1", "b2a": "branch3.0", "b2b": "branch3.1"}
    branches |= {"b3b": "branch4.1"}
    for theirs, ours in zip(
        ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"),
        ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"),
        strict=True,
    ):
        two |= {f"inception{theirs}.{branches[key]}": f"Mixed_{ours}.{key}" for key in branches}
    image = {}
    for theirs, ours in two.items():
        for key, value in model.get_submodule(ours).state_dict().items():
            value = torch.randn_like(value.float()[:, :, 0] if value.dim() == 5 else value.float())
            image[f"{theirs}.{key.replace('conv3d', 'conv')}"] = value
    image |= {"fc.weight": torch.randn(1000, 128), "fc.bias": torch.randn(1000), "aux1.fc2.bias": torch.randn(1000)}
    report = models.load_weights(model, image)
    assert (report.missing, report.unexpected) == ((), ("aux1.fc2.bias",))
    assert report.replaced == ("logits.conv3d.weight", "logits.conv3d.bias")
    assert torch.equal(model.logits.conv3d.weight, head)
    kernel = model.Mixed_4f.b2b.conv3d.weight
    assert torch.equal(kernel, image["inception4e.branch3.1.conv.weight"][:, :, None].expand_as(kernel) / 3)
    models.load_weights(flow, image)
    first = flow.Conv3d_1a_7x7.conv3d.weight
    expected = image["conv1.conv.weight"].mean(1)[:, None, None].expand_as(first) / 7
    torch.testing.assert_close(first, expected)
