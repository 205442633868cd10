"""Names and values are checked, draws are keyed, a clip has one draw."""

import inspect
import mmap
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import numpy.typing as npt
import pytest
from albumentations import BasicTransform, CoarseDropout, Compose, HorizontalFlip, RandomResizedCrop

from augment.build import BY_FRAME, COPYING, NEEDING, TRANSFORMS, check_package
from augment.own import OWN
from augment.refused import REFUSED
from augment.transforms import check, compose, output_shape
from pipeline.base.errors import ZoetropeError
from pipeline.base.keyed import generator, key_bits

UInt8Array = npt.NDArray[np.uint8]

CROP_FLIP_COLOUR: list[dict[str, Any]] = [
    {"RandomResizedCrop": {"size": [32, 40]}},
    {"HorizontalFlip": {}},
    {"ColorJitter": {"p": 1.0}},
]
NESTED: list[dict[str, Any]] = [
    {
        "OneOf": {
            "transforms": [
                {"HorizontalFlip": {"p": 1.0}},
                {
                    "SomeOf": {
                        "transforms": [{"VerticalFlip": {}}, {"RandomBrightnessContrast": {}}, {"Blur": {}}],
                        "n": 2,
                    }
                },
                {"Sequential": {"transforms": [{"Transpose": {}}, {"RandomOrder": {"transforms": [{"Rotate": {}}]}}]}},
            ],
            "p": 0.9,
        }
    },
    {"GaussNoise": {"p": 0.7}},
    {"CenterCrop": {"height": 24, "width": 24}},
]
# What the transforms without usable defaults are tried with
ARGUMENTS: dict[str, dict[str, Any]] = {
    "CenterCrop": {"height": 32, "width": 32},
    "Crop": {"x_max": 32, "y_max": 32},
    "CropAndPad": {"px": 4},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
    "LongestMaxSize": {"max_size": 40},
    "SmallestMaxSize": {"max_size": [24, 40]},
    "PadIfNeeded": {"min_height": 70, "min_width": 70},
    "RandomCrop": {"height": 32, "width": 32},
    "RandomResizedCrop": {"size": [32, 32]},
    "RandomSizedCrop": {"min_max_height": [20, 40], "size": [32, 32]},
    "Resize": {"height": 32, "width": 32},
    "FrequencyMasking": {},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": 5, "mask_y_length": 5},
    "CoarseDropout": {"fill": "random"},
    "GridDropout": {"fill": "random", "random_offset": True},
    "Erasing": {"fill": "random_uniform"},
    "AutoAugment": {"policy": "svhn"},
    "PopulationBased": {"schedule": [[0, [["Rotate", 1.0, 5], ["Invert", 1.0, None]]]]},
    "Cutout": {"size": 16},
    "RandomErasing": {"fill": "random"},
}


def picture(seed: int = 0) -> UInt8Array:
    """A smooth colour picture, uint8 [48, 64, 3]."""
    rows, columns = np.mgrid[0:48, 0:64] / 16
    phase = generator("picture", seed).uniform(0, 6, 3)
    return np.stack([127 + 120 * np.sin(rows + p + columns * (1 + p / 6)) for p in phase], -1).astype(np.uint8)


def digest(spec: list[dict[str, Any]], pixels: UInt8Array, *key: int | str) -> str:
    result = compose(spec)(pixels, *key)
    return sha256(str(result.shape).encode() + result.tobytes()).hexdigest()


@pytest.mark.filterwarnings("ignore:The image is already an RGB")
@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_every_transform_is_keyed_and_gives_a_clip_one_draw(name: str) -> None:
    spec = [{name: {"p": 1.0} | ARGUMENTS.get(name, {})}]
    augment, frame = compose(spec), picture()
    clip = np.stack([frame] * 3)
    for draw in range(3):
        result = augment(clip, "key", draw)
        assert result.dtype == np.uint8
        assert result.ndim == 4
        assert (result == result[0]).all(), "frames differ"
        assert np.array_equal(augment(frame, "key", draw), result[0]), "an image is drawn differently from a clip"
        augment(clip, "something else", draw)
        assert np.array_equal(augment(clip, "key", draw), result), "depends on the calls before"
    assert (clip == frame).all(), "the input was changed"


@pytest.mark.parametrize("name", sorted(cls.__name__ for cls in BY_FRAME))
def test_a_clip_made_frame_by_frame_is_its_pictures(name: str) -> None:
    augment = compose([{name: {"p": 1.0} | ARGUMENTS.get(name, {})}])
    clip = np.stack([picture(number) for number in range(4)])
    for draw in range(3):
        assert np.array_equal(augment(clip, draw), np.stack([augment(frame, draw) for frame in clip]))


@pytest.mark.parametrize("name", sorted(cls.__name__ for cls in COPYING))
@pytest.mark.parametrize("size", [(48, 64), (32, 32)])
def test_what_copies_takes_pixels_that_nobody_may_write_to(name: str, size: tuple[int, int]) -> None:
    area = mmap.mmap(-1, 48 * 64 * 3, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    area.write(picture().tobytes())
    pixels = np.frombuffer(area, np.uint8).reshape(48, 64, 3)
    pixels.flags.writeable = False
    before = pixels.copy()
    own: dict[str, Any] = {
        "RandomCrop": {"height": size[0], "width": size[1]},
        "CenterCrop": {"height": size[0], "width": size[1]},
        "Resize": {"height": size[0], "width": size[1]},
        "Crop": {"x_max": size[1], "y_max": size[0]},
        "SmallestMaxSize": {"max_size": size[0]},
        "LongestMaxSize": {"max_size": size[1]},
        "RandomResizedCrop": {"size": size, **({"scale": [1, 1], "ratio": [1.333, 1.334]} if size[0] == 48 else {})},
        "RandomSizedCrop": {"min_max_height": [size[0], size[0]], "size": size, "w2h_ratio": size[1] / size[0]},
    }
    augment = compose([{name: {"p": 1.0} | own[name]}])
    assert augment.only_reads
    for draw in range(3):
        made = augment(pixels, draw)
        assert made.flags.writeable
        assert not np.shares_memory(made, pixels)
        assert np.array_equal(made, augment(before.copy(), draw))
    assert np.array_equal(pixels, before)


def test_pixels_are_copied_for_what_may_write_to_them_or_pass_them_on() -> None:
    crop = {"RandomCrop": {"height": 8, "width": 8}}
    specs: list[list[dict[str, Any]]] = [
        [],
        [{"HorizontalFlip": {}}, crop],
        [{"RandomCrop": {"height": 8, "width": 8, "p": 0.5}}],
    ]
    for spec in specs:
        assert not compose(spec).only_reads
    assert not compose([{"Sequential": {"transforms": [crop]}}]).only_reads
    assert compose([crop, {"HorizontalFlip": {}}]).only_reads


def test_identical_frames_stay_identical_and_draws_vary() -> None:
    augment = compose(CROP_FLIP_COLOUR)
    clip = np.stack([picture()] * 5)
    results = [augment(clip, 0, "augment", draw) for draw in range(20)]
    assert all((result == result[0]).all() for result in results)
    assert len({result.tobytes() for result in results}) == 20
    assert results[0].shape == (5, 32, 40, 3)


@pytest.mark.parametrize("spec", [CROP_FLIP_COLOUR, NESTED], ids=["flat", "nested"])
def test_a_call_depends_on_its_key_alone(spec: list[dict[str, Any]]) -> None:
    pixels = picture()
    augment = compose(spec)
    forward = [augment(pixels, 7, draw).tobytes() for draw in range(30)]
    backward = [augment(pixels, 7, draw).tobytes() for draw in reversed(range(30))]
    fresh = [compose(spec)(pixels, 7, draw).tobytes() for draw in range(30)]
    assert forward == backward[::-1] == fresh
    assert len(set(forward)) > 20


@pytest.mark.parametrize("spec", [CROP_FLIP_COLOUR, NESTED], ids=["flat", "nested"])
def test_another_process_draws_the_same(spec: list[dict[str, Any]]) -> None:
    here = [digest(spec, picture(), "key", draw) for draw in range(8)]
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "import random, numpy\nrandom.seed(5); numpy.random.seed(6)\n"
        "from test_transforms import digest, picture\n"
        f"print(*[digest({spec!r}, picture(), 'key', draw) for draw in range(8)])"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert there.stdout.split() == here


def test_the_draws_are_those_of_a_new_generator_with_the_key() -> None:
    by_hand = Compose([HorizontalFlip(), CoarseDropout(p=1.0), RandomResizedCrop(size=(32, 32))])
    by_hand.set_random_state(generator("k", 3), random.Random(key_bits("k", 3)))
    augment = compose(
        [{"HorizontalFlip": {}}, {"CoarseDropout": {"p": 1.0}}, {"RandomResizedCrop": {"size": [32, 32]}}]
    )
    augment(picture(1), "earlier")
    assert np.array_equal(augment(picture(), "k", 3), by_hand(image=picture())["image"])


def test_global_random_state_is_untouched() -> None:
    np.random.seed(1)
    random.seed(1)
    expected = np.random.random(4).tolist(), random.random()
    np.random.seed(1)
    random.seed(1)
    augment = compose(NESTED)
    for draw in range(5):
        augment(picture(), draw)
    assert (np.random.random(4).tolist(), random.random()) == expected


def test_an_empty_list_changes_nothing() -> None:
    assert np.array_equal(compose([])(picture(), 1), picture())
    assert check([], "augment.eval") == []


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        ([{"RandomResisedCrop": {}}], ["a[0].RandomResisedCrop: unknown transform 'RandomResisedCrop'; did you mean"]),
        (
            [{"CenterCrop": {"height": 8, "with": 8}}],
            [
                "a[0].CenterCrop: unknown parameter 'with'; did you mean 'width'?",
                "a[0].CenterCrop: parameter 'width' is",
            ],
        ),
        ([{"HorizontalFlip": {"p": 3}}], ["a[0].HorizontalFlip: p: Input should be less than or equal to 1 (not 3)"]),
        ([{"Normalize": {}}], ["a[0].Normalize: not available: pixels stay uint8"]),
        ([{"ToTensorV2": None}], ["a[0].ToTensorV2: not available: pixels stay uint8"]),
        ([{"Compose": {"transforms": []}}], ["a[0].Compose: not available"]),
        ("HorizontalFlip", ["a: must be a list of {Name: {parameters}}, not 'HorizontalFlip'"]),
        (["HorizontalFlip"], ["a[0]: must be one {Name: {parameters}}, not 'HorizontalFlip'"]),
        ([{"HorizontalFlip": 0.5}], ["a[0].HorizontalFlip: its parameters must be a mapping, not 0.5"]),
        (
            [{"OneOf": {"transforms": [{"Blur": {}}, {"CLAE": {}}], "p": "z"}}],
            ["a[0].OneOf.p: must be a number from 0 to 1", "a[0].OneOf.transforms[1].CLAE: unknown transform 'CLAE'"],
        ),
        ([{"OneOf": {}}], ["a[0].OneOf: parameter 'transforms' is missing"]),
        ([{"OneOf": {"transforms": []}}], ["a[0].OneOf.transforms: must name at least one transform"]),
        ([{"OneOf": {"transforms": [{"Blur": {"p": 0}}]}}], ["a[0].OneOf.transforms: one of them must have p above 0"]),
        ([{"SomeOf": {"transforms": [{"Blur": {}}], "n": 0}}], ["a[0].SomeOf.n: must be a whole number from 1, not 0"]),
        ([{"CropAndPad": {}}], ["a[0].CropAndPad: Value error, Both px and percent"]),
        (
            [{"AutoAugment": {"policy": [[["Rotat", 1, 1], ["Color", 2, 1]]]}}],
            [
                "a[0].AutoAugment: policy[0][0]: unknown operation",
                "a[0].AutoAugment: policy[0][1]: Color's probability",
            ],
        ),
        (
            [{"Blur": {"blur_limit": []}}, {"Blurr": {}}],
            ["a[0].Blur: ", "a[0].Blur: ", "a[0].Blur: ", "a[1].Blurr: unknown transform"],
        ),
    ],
)
def test_every_fault_is_one_line_with_its_place(spec: Any, lines: list[str]) -> None:
    found = check(spec, "a")
    assert len(found) == len(lines), found
    for got, expected in zip(found, lines, strict=True):
        assert got.startswith(expected)
        assert "\n" not in got


@pytest.mark.parametrize(
    "spec", [CROP_FLIP_COLOUR, NESTED, [{"HorizontalFlip": None}], [{"ShiftScaleRotate": {}}], [{"MedianBlur": {}}]]
)
def test_good_specs_have_no_faults(spec: list[dict[str, Any]]) -> None:
    assert check(spec, "augment.train") == []


def test_compose_raises_all_faults_together() -> None:
    with pytest.raises(ZoetropeError) as error:
        compose([{"Blurr": {}}, {"CenterCrop": {"height": 8}}])
    assert len(str(error.value).splitlines()) == 2


def test_refused_names_exist() -> None:
    assert all(inspect.isclass(getattr(albumentations, name)) for name in REFUSED.keys() - OWN.keys())
    assert all(issubclass(cls, BasicTransform) for cls in TRANSFORMS.values())


def test_own_names_hide_none_of_albumentations() -> None:
    assert not [name for name in OWN if hasattr(albumentations, name)]
    assert all((TRANSFORMS | NEEDING)[name] is cls and cls.__name__ == name for name, cls in OWN.items())


def test_explain_names_what_was_applied() -> None:
    rotate_invert = {"AutoAugment": {"policy": [[["Rotate", 1, 3], ["Invert", 1, None], ["Color", 0, 3]]]}}
    augment = compose(
        [
            {"OneOf": {"transforms": [{"HorizontalFlip": {"p": 1}}, {"VerticalFlip": {"p": 1}}], "p": 1.0}},
            {"Transpose": {"p": 0.5}},
            rotate_invert,
        ]
    )
    seen = set()
    for draw in range(40):
        pixels, names = augment.explain(picture(), draw)
        assert np.array_equal(pixels, augment(picture(), draw))
        seen.add(tuple(names))
    flips, turns = [("HorizontalFlip",), ("VerticalFlip",)], [("Rotate 10",), ("Rotate -10",)]
    assert seen == {
        (*flip, *transpose, *turn, "Invert") for flip in flips for transpose in ((), ("Transpose",)) for turn in turns
    }


def test_random_crop_with_padding() -> None:
    """CIFAR's: 4 px of padding, then a crop of the old size at one of 9 x 9 places, the same for all frames."""
    augment = compose([{"Pad": {"padding": 4}}, {"RandomCrop": {"height": 32, "width": 32}}])
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[16, 16] = 255
    clip = np.stack([frame, frame])
    places = set()
    for draw in range(800):
        result = augment(clip, draw)
        assert result.shape == (2, 32, 32, 3)
        assert np.array_equal(result[0], result[1])
        ((y, x),) = np.argwhere(result[0, ..., 0])
        places.add((int(y), int(x)))
    assert places == {(y, x) for y in range(12, 21) for x in range(12, 21)}


def test_output_shape() -> None:
    assert output_shape(CROP_FLIP_COLOUR, 64) == (32, 40)
    assert output_shape([{"SmallestMaxSize": {"max_size": 48}}, {"CenterCrop": {"height": 40, "width": 44}}], 64) == (
        40,
        44,
    )
    varying_specs: list[list[dict[str, Any]]] = [
        [],
        [{"SmallestMaxSize": {"max_size": 48}}],
        [*CROP_FLIP_COLOUR, {"Transpose": {}}],
    ]
    for varying in varying_specs:
        with pytest.raises(ZoetropeError, match="end the list with a crop or resize to a fixed size"):
            output_shape(varying, 64)
    with pytest.raises(ZoetropeError, match="does not fit frames of 64 x 64 px"):
        output_shape([{"CenterCrop": {"height": 80, "width": 40}}], 64)


def test_the_fork_of_the_same_import_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_package()
    about = tmp_path / "albumentationsx-2.0.14.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: albumentationsx\nVersion: 2.0.14\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZoetropeError, match=r"^AlbumentationsX 2\.0\.14 is installed, .* of the AGPL, .* pip install "):
        check_package()
