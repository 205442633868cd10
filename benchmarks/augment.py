"""What augmentation costs on one core: each operation, and the feed with AutoAugment against the feed without.

    OMP_NUM_THREADS=1 python -m benchmarks.augment [folder of .jpg files]

Wanted: decoding, cropping and mirroring with AutoAugment runs at 0.6 or more of the rate without, per core. Without a
folder the pictures are made up: smooth colours with some noise, JPEG at quality 95. 32 px pictures are CIFAR's size.
"""

import sys
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from time import process_time
from typing import Any

import albumentations as A
import cv2
import numpy as np

from augment.build import BY_FRAME, TRANSFORMS
from augment.erase import GREY
from augment.magnitudes import MAGNITUDES, argument
from augment.operations import Step, apply_step
from augment.transforms import compose
from pipeline.base.keyed import generator
from pipeline.decode.image import decode_image, encode_jpeg
from pipeline.decode.transcode import encode
from pipeline.decode.video import decode_frames

FRAMES = 8
WHOLE: list[dict[str, dict[str, Any]]] = [
    {"HorizontalFlip": {"p": 1.0}},
    {"RandomResizedCrop": {"size": [224, 224]}},
    {"ColorJitter": {"p": 1.0}},
    {"FancyPCA": {"p": 1.0}},
    {"PCAColor": {}},
    {"Cutout": {"size": 112}},
    {"RandomErasing": {"p": 1.0}},
    {"RandomErasing": {"p": 1.0, "fill": "random"}},
    {"AutoAugment": {"policy": "imagenet"}},
    {"AutoAugment": {"policy": "cifar10"}},
    {"AutoAugment": {"policy": "svhn"}},
    {"RandAugment": {}},
    {"TrivialAugment": {}},
]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """uint8 [height, width, 3]: waves of colour with noise."""
    rng = generator("picture", seed)
    rows, columns = np.mgrid[0:height, 0:width] * (224 / height)
    waves = [128 + 80 * np.sin(rows / a + columns / b + c) for a, b, c in rng.uniform(5, 40, (3, 3))]
    return np.clip(np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def microseconds(call: Callable[[int], Any], seconds: float = 0.15) -> float:
    """Mean processor time of `call(0)`, `call(1)`, ...; the best of five rounds, since a machine may be shared."""
    call(0)
    best, counter = float("inf"), 0
    for _ in range(5):
        start, done = process_time(), 0
        while process_time() - start < seconds / 5 or not done:
            call(counter)
            counter, done = counter + 1, done + 1
        best = min(best, (process_time() - start) / done * 1e6)
    return best


def apply_all(frames: np.ndarray, step: Step, _: int) -> list[np.ndarray]:
    """One step on every frame."""
    return [apply_step(frame, step, GREY) for frame in frames]


def table() -> None:
    """Microseconds of each operation at half strength, and of whole transforms with their draws."""
    image = picture(224, 224, 0)
    clip = np.stack([picture(224, 224, seed) for seed in range(FRAMES)])
    print(f"{'operation':28}{'224 x 224':>12}{f'{FRAMES} frames':>12}   us")
    for name in MAGNITUDES:
        value = argument(name, 0.5, 1, 224, 224)
        step = Step(name, value, (90, 90, 90 + int(value), 90 + int(value)) if name == "Cutout" else None)
        one, many = (microseconds(partial(apply_all, frames, step)) for frames in (image[None], clip))
        print(f"{name:28}{one:12.0f}{many:12.0f}")
    print()
    for entry in WHOLE:
        ((name, parameters),) = entry.items()
        augment = compose([entry])
        one, many = (microseconds(partial(augment, pixels, "draw")) for pixels in (image, clip))
        what = {"AutoAugment": f" {parameters.get('policy')}", "RandomErasing": f" {parameters.get('fill', '')}"}
        print(f"{name + what.get(name, ''):28}{one:12.0f}{many:12.0f}")


def by_frame() -> None:
    """What `BY_FRAME` saves: a clip of 16 frames as albumentations makes it, and frame by frame."""
    clip = np.stack([picture(224, 224, seed) for seed in range(16)])
    own = {"Affine": {"rotate": 20}, "SmallestMaxSize": {"max_size": 160}, "LongestMaxSize": {"max_size": 160}}
    print(f"\n{'16 frames of 224 px':28}{'at once':>12}{'by frame':>12}   ms, ratio")
    for cls in BY_FRAME:
        name = cls.__name__
        whole, framed = (
            microseconds(partial(apply_compose, A.Compose([kind(p=1.0, **own.get(name, {}))], seed=0), clip))
            for kind in (cls, TRANSFORMS[name])
        )
        print(f"{name:28}{whole / 1e3:12.2f}{framed / 1e3:12.2f}   {whole / framed:.1f}")


def apply_compose(transform: A.Compose, clip: np.ndarray, _: int) -> Any:
    """The clip transformed; the draws go on from call to call."""
    return transform(images=clip)["images"]


def rate(decode: Callable[[bytes], np.ndarray], stored: list[bytes], transforms: list[dict[str, Any]]) -> float:
    """Microseconds of decoding and transforming a sample."""
    augment, samples = compose(transforms), cycle(stored)
    return microseconds(lambda draw: augment(decode(next(samples)), draw), seconds=5)


def ratios(folder: Path | None) -> None:
    """The feed's rate with AutoAugment over that without."""
    found = [path.read_bytes() for path in sorted(folder.glob("**/*.jpg"))[:100]] if folder else []
    photos = found or [encode_jpeg(picture(256, 341, seed), 95) for seed in range(16)]
    small = [encode_jpeg(picture(32, 32, seed), 95) for seed in range(16)]
    clips = [encode(np.stack([np.roll(picture(256, 340, s), 3 * t, 1) for t in range(16)]), 25) for s in range(2)]
    frames = np.arange(0, 16, 16 // FRAMES)
    mirror: dict[str, Any] = {"HorizontalFlip": {}}
    cropped = [{"RandomResizedCrop": {"size": [224, 224]}}, mirror]
    padded = [{"Pad": {"padding": 4}}, {"RandomCrop": {"height": 32, "width": 32}}, mirror]
    print(f"\n{'decode + crop + flip':28}{'without':>12}{'with':>12}   us, ratio of rates (wanted: 0.6)")
    for name, decode, stored, base, policy in (
        ("photos, imagenet", decode_image, photos, cropped, "imagenet"),
        ("32 px pictures, cifar10", decode_image, small, padded, "cifar10"),
        (f"{FRAMES} frames of video, imagenet", lambda data: decode_frames(data, frames), clips, cropped, "imagenet"),
    ):
        without = rate(decode, stored, base)
        with_it = rate(decode, stored, [*base, {"AutoAugment": {"policy": policy}}])
        print(f"{name:28}{without:12.0f}{with_it:12.0f}   {without / with_it:.2f}")


if __name__ == "__main__":
    cv2.setNumThreads(0)
    table()
    by_frame()
    ratios(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
