"""Sample and clip transforms: albumentations' names and parameters in recipes, keyed draws, one draw for a clip.

A spec is a list of `{Name: {parameter: value}}`, such as
`[{RandomResizedCrop: {size: [224, 224]}}, {OneOf: {transforms: [{Blur: {}}, {CLAHE: {}}], p: 0.5}}]`.
Importing this module loads albumentations, and with it torch (about two seconds), see `pipeline.base.imports`.
"""

import inspect
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, TypeAlias

import albumentations as A
import numpy as np
import numpy.typing as npt
from albumentations.core.composition import BaseCompose

from augment.magnitudes import MAGNITUDES
from augment.operations import Steps
from augment.own import OWN
from augment.population import PopulationBased
from augment.refused import REFUSED
from pipeline.base.errors import ZoetropeError, nearest, unknown
from pipeline.base.keyed import Part, generator, key_bits

UInt8Array = npt.NDArray[np.uint8]
Spec = Sequence[Mapping[str, Mapping[str, Any] | None]]
Transform: TypeAlias = A.BasicTransform | BaseCompose


def check_package() -> None:
    """Raise `ZoetropeError` when AlbumentationsX is installed, which carries the import name of albumentations."""
    try:
        found = metadata.version("albumentationsx")
    except metadata.PackageNotFoundError:
        return
    raise ZoetropeError(
        f"AlbumentationsX {found} is installed, which `import albumentations` finds in place of albumentations: it is "
        "another package, of the AGPL, with other transforms. Install the right one: pip uninstall albumentationsx "
        "albumentations; pip install 'albumentations>=2.0.8,<2.1'"
    )


check_package()

# albumentations makes these of a whole clip at once, as one image of 3 T channels or with NumPy's strides, which takes
# longer than frame by frame, up to 14 times (`python -m benchmarks.augment`)
BY_FRAME = (
    *(A.Affine, A.ShiftScaleRotate, A.SafeRotate, A.Perspective, A.GridDistortion, A.OpticalDistortion),
    *(A.HorizontalFlip, A.TimeReverse, A.D4, A.SquareSymmetry, A.RandomGridShuffle, A.ChannelShuffle),
    *(A.SmallestMaxSize, A.LongestMaxSize),
)
NESTING: dict[str, type[BaseCompose]] = {cls.__name__: cls for cls in (A.OneOf, A.SomeOf, A.RandomOrder, A.Sequential)}
TRANSFORMS: dict[str, type[A.BasicTransform]] = {
    name: type(name, (cls,), {"apply_to_images": A.BasicTransform.apply_to_images}) if cls in BY_FRAME else cls
    for name, cls in vars(A).items()
    if inspect.isclass(cls)
    and issubclass(cls, A.ImageOnlyTransform | A.DualTransform)
    and cls not in (A.ImageOnlyTransform, A.DualTransform)
    and name not in REFUSED
} | OWN


class Augmentation:
    """A spec made ready to apply. Not for sharing between threads: the random state is set anew in place per call."""

    def __init__(self, transforms: list[Transform]) -> None:
        # Off: a check that several targets have one shape; there is one target
        self._compose = A.Compose(transforms, is_check_shapes=False)
        self._generator = generator("augment")
        self._python = random.Random(0)
        self._compose.set_random_state(self._generator, self._python)  # one pair for all, however deep they nest
        self._philox: Any = self._generator.bit_generator.state
        # Random fills are drawn while a frame is painted, so `images=` would give every frame other ones
        self._by_frame = any(
            str(getattr(leaf, "fill", "")).startswith("random") and type(leaf) not in OWN.values()
            for leaf in _leaves(transforms)
        )
        self._scheduled = [leaf for leaf in _leaves(transforms) if isinstance(leaf, PopulationBased)]

    def at(self, epoch: int) -> "Augmentation":
        """This one, with what changes over the epochs set to `epoch`."""
        for leaf in self._scheduled:
            leaf.epoch = epoch
        return self

    def __call__(self, pixels: UInt8Array, *key: Part) -> UInt8Array:
        """Transform uint8 `[H, W, 3]` or `[T, H, W, 3]`; the result depends on (pixels, spec, key) alone.

        All frames of a clip get one draw. Raises `ZoetropeError` where a transform does not fit the pixels, such as a
        crop larger than the frame.
        """
        try:
            if pixels.ndim == 3:
                return self._keyed(key, image=pixels)["image"]
            if self._by_frame:
                return np.stack([self._keyed(key, image=frame)["image"] for frame in pixels])
            return self._keyed(key, images=pixels)["images"]
        except Exception as error:  # ValueError, CropSizeError, cv2.error, ...: what it is depends on the transform
            raise ZoetropeError(
                f"an augmentation does not fit frames of {pixels.shape[-2]} x {pixels.shape[-3]} px: {error}. "
                "Put a resize before it, such as {SmallestMaxSize: {max_size: 256}}"
            ) from error

    def explain(self, pixels: UInt8Array, *key: Part) -> tuple[UInt8Array, list[str]]:
        """As calling it, with the names of what was applied, such as `["HorizontalFlip", "Rotate 9", "Invert"]`."""
        leaves = list(_leaves(self._compose.transforms))
        for leaf in leaves:
            leaf.params = {}  # albumentations forgets these only when a transform's turn comes
        result = self(pixels, *key)
        return result, [name for leaf in leaves if leaf.params for name in _applied(leaf)]

    def _keyed(self, key: tuple[Part, ...], **targets: UInt8Array) -> dict[str, UInt8Array]:
        # As new generators of that key would be, at a fifth of the price of `set_random_seed`
        bits = key_bits(*key)
        self._philox["state"]["key"][:] = bits & 0xFFFF_FFFF_FFFF_FFFF, bits >> 64
        self._generator.bit_generator.state = self._philox
        self._python.seed(bits)
        return self._compose(**targets)


def check(spec: Spec, what: str) -> list[str]:
    """Everything that is wrong with a spec, one line each, which begins with the place; `what` is the spec's place."""
    errors: list[str] = []
    _build_list(spec, what, errors)
    return errors


def compose(spec: Spec) -> Augmentation:
    """Build a spec's transforms. Raises `ZoetropeError` with all lines of `check`."""
    errors: list[str] = []
    transforms = _build_list(spec, "augment", errors)
    if errors:
        raise ZoetropeError("\n".join(errors))
    return Augmentation(transforms)


def output_shape(spec: Spec, short_side: int) -> tuple[int, int]:
    """(H, W) of what the spec makes of stored frames, whose short side is `short_side` px.

    Tried on upright, square and wide frames with several draws. Raises `ZoetropeError` when the shape varies, since
    a batch has one shape, and when a transform does not fit such frames.
    """
    augmentation = compose(spec)
    long_side = short_side * 4 // 3
    shapes = {
        augmentation(np.zeros((height, width, 3), np.uint8), "output_shape", draw).shape[:2]
        for height, width in ((short_side, short_side), (short_side, long_side), (long_side, short_side))
        for draw in range(16)
    }
    if len(shapes) > 1:
        seen = ", ".join(f"{width} x {height}" for height, width in sorted(shapes)[:3])
        raise ZoetropeError(
            f"the augmentations give frames of different sizes ({seen} px, ...), but a batch has one: "
            "end the list with a crop or resize to a fixed size, such as {CenterCrop: {height: 224, width: 224}}"
        )
    height, width = shapes.pop()
    return height, width


def _build_list(spec: Any, where: str, errors: list[str]) -> list[Transform]:
    if not isinstance(spec, Sequence) or isinstance(spec, str):
        errors.append(f"{where}: must be a list of {{Name: {{parameters}}}}, not {spec!r}")
        return []
    built = (_build(entry, f"{where}[{i}]", errors) for i, entry in enumerate(spec))
    return [transform for transform in built if transform is not None]


def _build(entry: Any, where: str, errors: list[str]) -> Transform | None:
    """The transform of one `{Name: {parameters}}`; None, and lines in `errors`, when something is wrong with it."""
    if not (isinstance(entry, Mapping) and len(entry) == 1 and isinstance(next(iter(entry)), str)):
        errors.append(f"{where}: must be one {{Name: {{parameters}}}}, not {entry!r}")
        return None
    name, params = next(iter(entry.items()))
    where = f"{where}.{name}"
    if name in REFUSED:
        errors.append(f"{where}: not available: {REFUSED[name]}")
        return None
    cls = TRANSFORMS.get(name) or NESTING.get(name)
    if cls is None:
        errors.append(f"{where}: {unknown('transform', name, [*TRANSFORMS, *NESTING])}")
        return None
    if params is not None and not isinstance(params, Mapping):
        errors.append(f"{where}: its parameters must be a mapping, not {params!r}")
        return None
    before = len(errors)
    arguments = dict(params or {})
    errors += [f"{where}: {line}" for line in _wrong_names(cls, arguments)]
    if name in NESTING:
        errors += [f"{where}.{line}" for line in _wrong_nesting(arguments)]
        arguments["transforms"] = _build_list(arguments.get("transforms", []), f"{where}.transforms", errors)
    if cls is A.OneOf and len(errors) == before and not any(child.p for child in arguments["transforms"]):
        errors.append(f"{where}.transforms: one of them must have p above 0; p is its weight in the choice")
    if len(errors) > before:
        return None
    try:
        return _construct(cls, arguments)
    except Exception as error:  # albumentations raises ValueError, TypeError, ZeroDivisionError, ...
        errors += [f"{where}: {line}" for line in _lines(error)]
        return None


def _construct(cls: type[Transform], arguments: dict[str, Any]) -> Transform:
    # Without `strict`, albumentations answers some wrong values with a warning and its defaults. It takes the argument
    # only where a class brings both its schema and its __init__.
    initialiser = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if "InitSchema" in vars(initialiser):
        arguments = arguments | {"strict": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice, such as to write Affine for ShiftScaleRotate
        return cls(**arguments)


def _wrong_names(cls: type[Transform], arguments: dict[str, Any]) -> list[str]:
    parameters = inspect.signature(cls.__init__).parameters
    known = [name for name in parameters if name not in {"self", "strict"}]
    lines = []
    for name in arguments:
        if name not in known:
            near = nearest(str(name), known)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has: {', '.join(known)}"
            lines.append(f"unknown parameter {name!r}; {hint}")
    return lines + [
        f"parameter {name!r} is missing"
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in arguments
    ]


def _wrong_nesting(arguments: dict[str, Any]) -> list[str]:
    """What is wrong with the values of a OneOf and its kin, which albumentations does not check."""
    lines = []
    probability, count, replace = (arguments.get(key, 1) for key in ("p", "n", "replace"))
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        lines.append(f"p: must be a number from 0 to 1, not {probability!r}")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        lines.append(f"n: must be a whole number from 1, not {count!r}")
    if replace not in (True, False):
        lines.append(f"replace: must be true or false, not {replace!r}")
    if arguments.get("transforms") in ([], ()):
        lines.append("transforms: must name at least one transform")
    return lines


def _lines(error: Exception) -> list[str]:
    """One line for each thing that pydantic or a policy's check found wrong, or the error's first line."""
    if isinstance(error, ZoetropeError):
        return str(error).splitlines()
    found = getattr(error.__cause__, "errors", None)  # albumentations raises ValueError from a ValidationError
    if found is None:
        text = str(error).strip()
        return [text.splitlines()[0] if text else type(error).__name__]
    lines = []
    for item in found(include_url=False):
        place = ".".join(str(part) for part in item["loc"])
        lines.append(f"{place + ': ' if place else ''}{item['msg']}" + (f" (not {item['input']!r})" if place else ""))
    return lines


def _applied(leaf: A.BasicTransform) -> list[str]:
    if not isinstance(leaf, Steps):
        return [type(leaf).__name__]
    return [f"{name} {value:.3g}" if MAGNITUDES[name] else name for name, value, _ in leaf.params["steps"]]


def _leaves(transforms: Sequence[Transform]) -> Iterator[A.BasicTransform]:
    for transform in transforms:
        if isinstance(transform, BaseCompose):
            yield from _leaves(transform.transforms)
        else:
            yield transform
