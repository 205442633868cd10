"""Official layouts into models, at small widths: same outputs, everything accounted for, the rest refused in words."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import models
from models.hornet import HorNetMaps
from models.options import OPTIONS
from models.weights import LoadedWeights, load_weights
from models.weights.names import read_names
from pipeline.base.errors import ZoetropeError
from tests.models.small import small
from tests.models.test_every_model import MODULES

SMALL: dict[str, dict[str, Any]] = {
    "resnet": {"width": 8},
    "mobilenetv2": {"width_mult": 0.1},
    "timesformer": {"width": 12, "heads": 3, "depth": 2, "patch_px": 8, "size_px": 32, "frames": 4},
    "hornet": {"width": 8, "depths": (1, 1, 2, 1), "size_px": 64},
    "vgg16": {"width": 4},
    "unet": {"width": 4},
}
State = dict[str, Tensor]


def build(name: str, num_classes: int = 5, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    smaller = next((options for family, options in SMALL.items() if family in name and "yolo" not in name), {})
    return models.build(name, num_classes, **{**smaller, **options}).eval()


def trained(name: str, **options: Any) -> Any:
    """A model none of whose parameters is where it starts, and whose statistics are those of a batch."""
    model = build(name, seed=1, **options)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * (0.1 if p.dim() > 1 else 0.05))
    return model


def batch(name: str, channels: int = 3) -> Tensor:
    frames = (models.check_options(name).valid_frames(4),) if OPTIONS[name].modality() == "video" else ()
    side = models.check_options(name).valid_side(32)
    return torch.randn(2, channels, *frames, side, side, generator=torch.Generator().manual_seed(2))


def same_outputs(one: nn.Module, other: nn.Module, name: str) -> bool:
    with torch.no_grad():
        said = [model(batch(name)) for model in (one, other)]
    if isinstance(said[0], dict):
        said = [torch.cat([heads["codes"], heads["scores"]], -1) for heads in said]
    return torch.equal(*said)


def renamed(state: State, *pairs: tuple[str, str]) -> State:
    for old, new in pairs:
        state = {name.replace(old, new): value for name, value in state.items()}
    return state


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_every_model_loads_its_own_weights(name: str) -> None:
    own, other = trained(name, **small(name)), build(name, **small(name))
    state = own.state_dict()
    assert not all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    report = models.load_weights(other, state)
    assert list(report.loaded) == list(state)
    assert str(report) == f"{len(report.loaded)} loaded"
    # So that the outputs are the same, too: one architecture holds no more than this.
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "prefix", "wrapper"),
    [
        ("tsm_resnet18", {}, "module.", "state_dict"),
        ("tsm_resnet18", {"place": "block"}, "module.", "state_dict"),
        ("tsm_resnet18", {"non_local": True}, "module.", "state_dict"),
        ("tsm_resnet18", {"in_channels": 10}, "module.", "state_dict"),
        ("tsm_mobilenetv2", {}, "module.", "state_dict"),
        ("timesformer_base", {}, "model.", "model_state"),
        ("timesformer_base", {}, "module.model.", "model_state"),
        ("hornet_tiny_gf", {}, "", "model"),
    ],
)
def test_releases(name: str, options: dict[str, Any], prefix: str, wrapper: str, tmp_path: Path) -> None:
    own, other = trained(name, **options), build(name, **options)
    state = {prefix + key: value for key, value in own.state_dict().items()}
    torch.save({wrapper: state, "epoch": 50, "arch": "resnet50"}, tmp_path / "release.pth.tar")
    report = load_weights(other, tmp_path / "release.pth.tar")
    assert len(report.loaded) == len(state)
    x = batch(name, options.get("in_channels", 3))
    with torch.no_grad():
        assert torch.equal(own(x), other(x))


def test_a_model_in_wrappers(tmp_path: Path) -> None:
    own, other = trained("resnet18"), build("resnet18")
    save_file(own.state_dict(), tmp_path / "w.safetensors")
    report = load_weights(nn.DataParallel(other), str(tmp_path / "w.safetensors"))
    assert report.loaded[0] == "module.conv1.weight"
    assert same_outputs(own, other, "resnet18")


def test_online_release() -> None:
    """`features.3.conv.0.weight`, `classifier.weight`: no base_model, no net."""
    own, other = (make("tsm_mobilenetv2", direction="past") for make in (trained, build))
    state = renamed(own.state_dict(), ("base_model.", ""), (".net.", "."), ("new_fc", "classifier"))
    assert "features.3.conv.0.weight" in state
    load_weights(other, state)
    assert same_outputs(own, other, "tsm_mobilenetv2")


def test_torchvisions_mobilenetv2_into_tsm() -> None:
    image, clips = trained("mobilenetv2"), build("tsm_mobilenetv2", shift=1000)
    report = load_weights(clips, image.state_dict())
    assert len(report.loaded) == 314
    frames = batch("tsm_mobilenetv2")
    with torch.no_grad():
        expected = torch.stack([image(frames[:, :, t]) for t in range(4)]).mean(0)
        torch.testing.assert_close(clips(frames), expected, rtol=1e-4, atol=1e-6)


def test_imagenet_weights_start_a_tsm() -> None:
    image = trained("resnet50", num_classes=7)
    model = build("tsm_resnet50", non_local=True)
    head = model.new_fc.weight.clone()
    report = load_weights(model, image.state_dict())
    assert report.replaced == ("new_fc.weight", "new_fc.bias")
    assert torch.equal(model.new_fc.weight, head)
    assert torch.equal(model.base_model.layer1[0].conv1.net.weight, image.layer1[0].conv1.weight)
    assert len(report.missing) == 65
    assert all(".nl." in name for name in report.missing)
    assert str(report).startswith("318 loaded, 65 missing (base_model.layer2.0.nl.g.0.weight, ")
    assert str(report).endswith(
        " and 62 more), 2 of the head not taken, it is for other classes (new_fc.weight, new_fc.bias)"
    )


@pytest.mark.parametrize("name", ["resnet18", "tsm_resnet18", "tsm_mobilenetv2"])
def test_rgb_weights_for_flow(name: str) -> None:
    rgb, flow = trained(name), build(name, in_channels=10)
    report = load_weights(flow, rgb.state_dict())
    ((first, (before, after)),) = report.resized.items()
    assert before[1] == 3
    assert after[1] == 10
    kernel = rgb.state_dict()[first]
    torch.testing.assert_close(flow.state_dict()[first], kernel.mean(1, keepdim=True).repeat(1, 10, 1, 1))
    with pytest.raises(ZoetropeError, match=r"1 of another shape: .* is \(\d+, 10, "):
        load_weights(rgb, flow.state_dict())


def test_old_files_without_counters() -> None:
    own, other = trained("resnet18"), build("resnet18")
    report = load_weights(other, {k: v for k, v in own.state_dict().items() if "num_batches" not in k})
    assert len(report.missing) == 20
    assert same_outputs(own, other, "resnet18")


def test_a_backbone_without_a_head() -> None:
    own, other = trained("resnet18"), build("resnet18")
    report = load_weights(other, {k: v for k, v in own.state_dict().items() if not k.startswith("fc.")})
    assert report.missing == ("fc.weight", "fc.bias")
    with pytest.raises(ZoetropeError, match=r"1 missing: fc\.bias"):
        load_weights(other, {k: v for k, v in own.state_dict().items() if k != "fc.bias"})


# TimeSformer and ViT.


def vit_state(model: Any) -> State:
    return {k: v for k, v in model.state_dict().items() if "temporal" not in k and k != "time_embed"}


def torchvision_vit(state: State) -> State:
    return renamed(
        state,
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
        ("patch_embed.proj", "conv_proj"),
        ("blocks.", "encoder.layers.encoder_layer_"),
        (".norm1.", ".ln_1."),
        (".norm2.", ".ln_2."),
        ("attn.qkv.", "self_attention.in_proj_"),
        ("attn.proj.", "self_attention.out_proj."),
        ("mlp.fc1", "mlp.0"),
        ("mlp.fc2", "mlp.3"),
        ("head.", "heads.head."),
    ) | {"encoder.ln.weight": state["norm.weight"], "encoder.ln.bias": state["norm.bias"]}


@pytest.mark.parametrize("layout", ["timm", "torchvision"])
def test_vit_starts_timesformer(layout: str) -> None:
    state = vit_state(trained("timesformer_base"))
    if layout == "torchvision":
        state = {k: v for k, v in torchvision_vit(state).items() if not k.startswith("norm.")}
    model = build("timesformer_base", seed=3)
    report = load_weights(model, state)
    own = model.state_dict()
    for i in range(2):
        for part in ("qkv.weight", "qkv.bias", "proj.weight", "proj.bias"):
            assert torch.equal(own[f"blocks.{i}.temporal_attn.{part}"], own[f"blocks.{i}.attn.{part}"])
        assert torch.equal(own[f"blocks.{i}.temporal_norm1.weight"], own[f"blocks.{i}.norm1.weight"])
        assert not own[f"blocks.{i}.temporal_fc.weight"].any()
    assert len(report.copied) == 2 * 6
    assert set(report.missing) == {
        "time_embed",
        *(f"blocks.{i}.temporal_fc.{p}" for i in (0, 1) for p in ("weight", "bias")),
    }
    # What ViT says of a frame, TimeSformer says of a clip that repeats it.
    vit = build("timesformer_base", attention="space_only")
    load_weights(vit, state)
    still = batch("timesformer_base")[:, :, :1].expand(-1, -1, 4, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(model(still), vit(still), rtol=1e-4, atol=1e-5)


def test_layers_of_pre_training_are_left() -> None:
    state = vit_state(trained("timesformer_base"))
    report = load_weights(build("timesformer_base"), {**state, "pre_logits.fc.weight": torch.ones(2, 2)})
    assert report.unexpected == ("pre_logits.fc.weight",)


def test_embeddings_are_resized() -> None:
    less = trained("timesformer_base")
    large = build("timesformer_base", size_px=64, frames=8)
    report = load_weights(large, less.state_dict())
    assert report.resized == {"pos_embed": ((1, 17, 12), (1, 65, 12)), "time_embed": ((1, 4, 12), (1, 8, 12))}
    # Nearest, row by row and column by column: every place of 4 x 4 becomes four of 8 x 8.
    given, wanted = less.pos_embed[0, 1:].reshape(4, 4, 12), large.pos_embed[0, 1:].reshape(8, 8, 12)
    assert torch.equal(wanted, given.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert torch.equal(large.pos_embed[0, 0], less.pos_embed[0, 0])
    assert torch.equal(large.time_embed[0], less.time_embed[0].repeat_interleave(2, 0))


def test_global_filters_are_resized() -> None:
    less, large = trained("hornet_tiny_gf"), build("hornet_tiny_gf", size_px=128)
    report = load_weights(large, less.state_dict())
    assert set(report.resized) == {name for name in less.state_dict() if name.endswith("complex_weight")}
    before, after = report.resized["stages.2.0.gnconv.dwconv.complex_weight"]
    assert (before[1:], after[1:]) == ((4, 3, 2), (8, 5, 2))
    ours, theirs = (m.state_dict()["stages.2.0.gnconv.dwconv.complex_weight"] for m in (large, less))
    # Aligned corners: the corners are the same frequencies.
    torch.testing.assert_close(ours[:, [0, 0, -1, -1], [0, -1, 0, -1]], theirs[:, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_a_classifier_starts_a_backbone_for_dense_tasks() -> None:
    classifier = trained("hornet_tiny_gf")
    maps = HorNetMaps(
        width=8,
        depths=(1, 1, 2, 1),
        orders=(2, 3, 4, 5),
        kernel=7,
        scale=1 / 3,
        size_px=64,
        global_filter=True,
        patch_px=4,
        drop_path=0.0,
        gradient_checkpointing=False,
    )
    report = load_weights(maps, classifier.state_dict())
    assert report.unexpected == ("norm.weight", "norm.bias", "head.weight", "head.bias")
    assert report.missing == tuple(f"norm{i}.{part}" for i in range(4) for part in ("weight", "bias"))
    with pytest.raises(ZoetropeError, match=r"8 that the model does not have: norm0.weight"):
        load_weights(classifier, maps.state_dict())


# What does not fit.


@pytest.mark.parametrize(
    ("given", "wanted", "says"),
    [
        (
            ("resnet18", {}),
            ("resnet50", {}),
            r"these weights are not this model's \(ResNet\): 24 of another shape: layer1",
        ),
        (("resnet18", {}), ("resnet34", {}), r"missing: layer1\.2\.conv1\.weight, layer1\.2\.bn1\.weight"),
        (("resnet34", {}), ("resnet18", {}), r"that the model does not have: layer1\.2\.conv1\.weight"),
        (
            ("resnet18", {}),
            ("resnet18", {"width": 16}),
            r"conv1\.weight is \(8, 3, 7, 7\), the model has \(16, 3, 7, 7\)",
        ),
        (("resnet18", {}), ("resnet18", {"stem": "small"}), r"is \(8, 3, 7, 7\), the model has \(8, 3, 3, 3\)"),
        (
            ("resnet18", {}),
            ("hornet_tiny_gf", {}),
            "look like those of a ResNet, the model is a HorNet; their first names",
        ),
        (("hornet_tiny_7x7", {}), ("hornet_tiny_gf", {}), r"missing: stages\.2\.0\.gnconv\.dwconv\.complex_weight"),
        (
            ("timesformer_base", {}),
            ("timesformer_base", {"attention": "joint_space_time"}),
            "does not have: blocks.0.temp",
        ),
        (("tsm_resnet18", {"non_local": True}), ("tsm_resnet18", {}), r"that the model does not have: .*\.nl\.g\.0\."),
        (
            ("tsm_resnet18", {}),
            ("tsm_resnet18", {"place": "block"}),
            r"trained with 8 temporal shifts \(layer1\.0\.conv1, .*, the model has 8 \(layer1\.0, .*the same `place`",
        ),
        (("tsm_resnet18", {}), ("tsn_resnet18", {}), "the model has 0: build a tsm_ model"),
        (("tsm_mobilenetv2", {}), ("mobilenetv2", {}), "trained with 10 temporal shifts"),
    ],
)
def test_what_does_not_fit(given: tuple[str, Any], wanted: tuple[str, Any], says: str) -> None:
    model = build(wanted[0], **wanted[1])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZoetropeError, match=says):
        load_weights(model, build(given[0], seed=1, **given[1]).state_dict())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_lost_layer_is_no_new_part() -> None:
    """A part may be missing as a whole; a hole in it is an error, and is not filled from elsewhere."""
    state = trained("timesformer_base").state_dict()
    for name in ("blocks.1.temporal_attn.qkv.weight", "blocks.1.temporal_fc.bias"):
        with pytest.raises(ZoetropeError, match=f"1 missing: {name}"):
            load_weights(build("timesformer_base"), {k: v for k, v in state.items() if k != name})
    state = trained("tsm_resnet18", non_local=True).state_dict()
    name = "base_model.layer2.0.nl.theta.bias"
    with pytest.raises(ZoetropeError, match=f"1 missing: {name}"):
        load_weights(build("tsm_resnet18", non_local=True), {k: v for k, v in state.items() if k != name})


def test_other_families_and_doubles() -> None:
    with pytest.raises(ZoetropeError, match="are of no family that is known here, the model is a ResNet"):
        load_weights(build("resnet18"), {"encoder.weight": torch.ones(2)})
    state = trained("resnet18").state_dict()
    with pytest.raises(ZoetropeError, match="the same layer under two names"):
        load_weights(build("resnet18"), {**state, "new_fc.weight": state["fc.weight"]})


def test_a_model_of_another_kind_loads_by_name() -> None:
    model, state = nn.Linear(2, 3), {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    assert read_names(state).family is None
    assert load_weights(model, state).loaded == ("weight", "bias")
    with pytest.raises(ZoetropeError, match=r"not this model's: 1 missing: bias\. Build the model with"):
        load_weights(model, {"weight": torch.ones(3, 2)})


def test_half_precision_weights() -> None:
    own, other = trained("resnet18"), build("resnet18")
    load_weights(other, {k: v.half() if v.is_floating_point() else v for k, v in own.state_dict().items()})
    assert other.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(other.conv1.weight, own.conv1.weight, rtol=1e-3, atol=1e-4)


# Where in a file the weights are: searched, not listed.


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


@pytest.fixture(scope="module")
def weights() -> State:
    return trained("resnet18").state_dict()


def taken(source: Any, state: State) -> LoadedWeights:
    """The report of loading, which has put the tensors of `state` into a model."""
    model = build("resnet18")
    report = load_weights(model, source)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    return report


def different(state: State) -> State:
    return {name: value + 1 for name, value in state.items()}


@pytest.mark.parametrize("prefix", ["net.", "backbone.", "encoder.", "module.net.backbone.", "_orig_mod.net."])
@pytest.mark.parametrize("wrapper", ["state_dict", "weights", ""])
def test_any_prefix_under_any_key(weights: State, prefix: str, wrapper: str) -> None:
    state: Any = {**under(prefix, weights), "loss.scale": torch.ones(1)}
    report = taken({"epoch": 3, wrapper: state} if wrapper else state, weights)
    assert report.unexpected == ("loss.scale",)
    entry = f"{wrapper}/{prefix[:-1]}".removeprefix("/")
    assert str(report) == f"122 loaded, 1 unexpected (loss.scale), taken from {entry}"


def test_torchs_averaged_model(weights: State) -> None:
    """`n_averaged` and `module.`, which training with `train.ema` writes too."""
    average = AveragedModel(trained("resnet18"))
    assert taken(average.state_dict(), weights).unexpected == ("n_averaged",)


@pytest.mark.parametrize(
    ("plain", "average"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "ema"),
        ("params", "params_ema"),
        ("generator", "averaged_generator"),
    ],
)
def test_the_average_beside_is_told_of_and_can_be_taken(
    weights: State, tmp_path: Path, plain: str, average: str
) -> None:
    other = different(weights)
    file = tmp_path / "w.pth"
    torch.save({"epoch": 1, average: other, plain: weights}, file)
    report = taken(file, weights)
    assert (report.entry, report.beside) == (plain, (average,))
    told = f"taken from {plain}, not from {average}, for which write #{average} behind the file"
    assert str(report) == f"122 loaded, {told}"
    assert str(taken(f"{file}#{average}", other)) == "122 loaded"
    torch.save({average: other}, file)
    assert str(taken(file, other)) == f"122 loaded, taken from {average}"


def test_averages_elsewhere(weights: State) -> None:
    """Of Lightning's callbacks, and in the same state dict."""
    other = different(weights)
    report = taken({"state_dict": under("net.", weights), "callbacks": {"EMA": {"sd": under("net.", other)}}}, weights)
    assert (report.entry, report.beside) == ("state_dict/net", ("callbacks/EMA/sd/net",))
    report = taken({**under("model.", weights), **under("model_ema.module.", other)}, weights)
    assert (report.entry, report.beside) == ("model", ("model_ema",))


def test_two_that_fit_are_asked_for(weights: State, tmp_path: Path) -> None:
    """DINO's teacher is an average, but who wants to go on with training takes the student."""
    other = different(weights)
    file = tmp_path / "w.pth"
    torch.save({"student": under("module.backbone.", weights), "teacher": under("backbone.", other)}, file)
    with pytest.raises(
        ZoetropeError,
        match=r"w\.pth holds 2 sets of weights that fit the model: student/module\.backbone, teacher/backbone\. Say "
        r"which, with # behind the file's name: #student/module\.backbone or #teacher/backbone",
    ):
        load_weights(build("resnet18"), file)
    for entry in ("teacher", "teacher/backbone"):
        taken(f"{file}#{entry}", other)
    taken(f"{file}#student/module.backbone", weights)
    with pytest.raises(ZoetropeError, match=r"unknown entry 'teache'; did you mean 'teacher'"):
        load_weights(build("resnet18"), f"{file}#teache")


def test_the_same_tensors_twice_are_one_set(weights: State) -> None:
    assert str(taken({"model": weights, "best": weights}, weights)) == "122 loaded"


def test_what_does_not_fit_is_no_choice(weights: State) -> None:
    other = build("resnet18", width=16).state_dict()
    assert taken({"generator": weights, "critic": other}, weights).beside == ()
    assert taken({"model": other, "backbone": weights}, weights).entry == "backbone"
    assert taken({"state_dict": weights, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, weights).entry == ""


def test_the_nearest_entry_is_what_an_error_is_about() -> None:
    wrong = build("resnet18", width=16).state_dict()
    with pytest.raises(ZoetropeError, match=r"the mapping#x/net: these .* 101 of another shape: conv1\.weight"):
        load_weights(build("resnet18"), {"x": under("net.", wrong), "y": {"a": torch.ones(1)}})


def test_a_detectors_backbone(weights: State) -> None:
    """As torchvision's: without a head and without the counters of norms."""
    own = {k: v for k, v in weights.items() if not k.startswith("fc.") and "num_batches" not in k}
    report = load_weights(
        build("resnet18"), {**under("backbone.body.", own), "rpn.head.weight": torch.ones(2), "roi.bias": torch.ones(1)}
    )
    assert report.entry == "backbone.body"
    assert len(report.loaded) == 100
    assert report.unexpected == ("rpn.head.weight", "roi.bias")


# Numbers that are none.


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_not_finite(weights: State, tmp_path: Path, number: float) -> None:
    model = build("resnet18")
    before = copy.deepcopy(model.state_dict())
    bad = weights["layer1.0.conv1.weight"].double()
    bad[0, 0, 0, :2] = number
    torch.save({"state_dict": {**weights, "layer1.0.conv1.weight": bad}}, tmp_path / "w.pth")
    with pytest.raises(
        ZoetropeError,
        match=r"w\.pth: layer1\.0\.conv1\.weight has 2 of 576 numbers that are nan or infinite in float32",
    ):
        load_weights(model, tmp_path / "w.pth")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_numbers_that_are_not_converted(weights: State) -> None:
    packed = torch.zeros(8, 3, 7, 7, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    with pytest.raises(ZoetropeError, match=r"conv1\.weight is of float4_e2m1fn_x2, which is not converted to float32"):
        load_weights(build("resnet18"), {**weights, "conv1.weight": packed})


def test_an_exported_folder(weights: State, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    assert str(taken(tmp_path, weights)) == "122 loaded"
