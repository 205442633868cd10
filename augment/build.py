"""A spec to transforms: albumentations' names and parameters and our own, every fault told with its place.

A spec is a list of `{Name: {parameter: value}}`, such as
`[{RandomResizedCrop: {size: [224, 224]}}, {OneOf: {transforms: [{Blur: {}}, {CLAHE: {}}], p: 0.5}}]`.
Importing this module loads albumentations, and with it torch (about two seconds), see `pipeline.base.imports`.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, TypeAlias, get_type_hints

import albumentations as A
import numpy as np
import numpy.typing as npt
from albumentations.augmentations.dropout.transforms import BaseDropout
from albumentations.core.composition import BaseCompose
from pydantic import ConfigDict, TypeAdapter, ValidationError

from augment.erase import visible_boxes
from augment.own import OWN
from augment.refused import NEEDS, REFUSED
from augment.rides import RESIZES, Rides, fit, obstacle
from augment.unsuited import unsuited
from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError, nearest, unknown
from pipeline.base.plugins import is_own, load

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
_HALF = np.array([0.5, 0.5, 0, 0, 0], np.float32)
"""From the middle of the first pixel to the picture's corner, for key points x, y, z, angle, scale."""
_BY_FACTOR: dict[type, Callable[[float], int]] = {A.RandomScale: int, A.LongestMaxSize: round, A.SmallestMaxSize: round}
"""How they make px whole."""
NESTING: dict[str, type[BaseCompose]] = {cls.__name__: cls for cls in (A.OneOf, A.SomeOf, A.RandomOrder, A.Sequential)}


COPYING = (
    *(A.Crop, A.CenterCrop, A.RandomCrop, A.RandomResizedCrop, A.RandomSizedCrop),
    *(A.Resize, A.SmallestMaxSize, A.LongestMaxSize),
)
"""Those that do not write to what they are given, and are mended to give none of it back."""


def _mended(cls: type[A.BasicTransform]) -> type[A.BasicTransform]:
    """Return the class with what is better or quicker than its own."""
    changed: dict[str, Any] = {}
    if cls in BY_FRAME:
        changed["apply_to_images"] = A.BasicTransform.apply_to_images
    if issubclass(cls, BaseDropout):
        changed["apply_to_bboxes"] = visible_boxes
    if cls in COPYING:

        def apply(self: Any, img: npt.NDArray[Any], *args: Any, **params: Any) -> npt.NDArray[Any]:
            made: npt.NDArray[Any] = cls.apply(self, img, *args, **params)
            return made if made.flags.writeable else made.copy()

        changed["apply"] = apply
    if cls in RESIZES:

        def apply_to_keypoints(self: Any, keypoints: npt.NDArray[Any], **params: Any) -> npt.NDArray[Any]:
            moved = keypoints + _HALF
            if cls in _BY_FACTOR:  # by that of the whole px which are made, not by the one that was wished
                whole, (height, width) = _BY_FACTOR[cls], params["shape"][:2]
                moved[:, :2] *= [max(1, whole(side * params["scale"])) / side for side in (width, height)]
            else:
                moved = cls.apply_to_keypoints(self, moved, **params)
            return moved - _HALF

        changed["apply_to_keypoints"] = apply_to_keypoints
    return type(cls.__name__, (cls,), changed) if changed else cls


TRANSFORMS: dict[str, type[A.BasicTransform]] = {
    name: _mended(cls)
    for name, cls in vars(A).items()
    if inspect.isclass(cls)
    and issubclass(cls, A.ImageOnlyTransform | A.DualTransform)
    and cls not in (A.ImageOnlyTransform, A.DualTransform)
    and name not in REFUSED
} | {name: cls for name, cls in OWN.items() if name not in NEEDS}
_COPYING = {TRANSFORMS[cls.__name__] for cls in COPYING}
"""As recipes make them: a user's subclass may do more."""
NEEDING = {name: OWN.get(name) or _mended(getattr(A, name)) for name in NEEDS}


def build_list(spec: Any, where: str, errors: list[str], rides: Rides, bands: Bands = RGB) -> list[Transform]:
    """Build the spec's transforms, made to move what rides; what is wrong goes to `errors`, a line each.

    bands: what pictures they are to transform
    """
    if not isinstance(spec, Sequence) or isinstance(spec, str):
        errors.append(f"{where}: must be a list of {{Name: {{parameters}}}}, not {spec!r}")
        return []
    built = (_build(entry, f"{where}[{i}]", errors, rides, bands) for i, entry in enumerate(spec))
    return [transform for transform in built if transform is not None]


def _build(entry: Any, where: str, errors: list[str], rides: Rides, bands: Bands) -> Transform | None:
    """Build the transform of one `{Name: {parameters}}`.

    None, and lines in `errors`, when something is wrong with it.
    """
    if not (isinstance(entry, Mapping) and len(entry) == 1 and isinstance(next(iter(entry)), str)):
        errors.append(f"{where}: must be one {{Name: {{parameters}}}}, not {entry!r}")
        return None
    name, params = next(iter(entry.items()))
    where = f"{where}.{name}"
    needed = NEEDING if NEEDS.get(name) in rides.names else {}
    if name in REFUSED and name not in needed:
        errors.append(f"{where}: not available: {REFUSED[name]}")
        return None
    try:
        cls = TRANSFORMS.get(name) or NESTING.get(name) or needed.get(name) or _own(name)
    except ZoetropeError as error:
        errors.append(f"{where}: {error}")
        return None
    if cls is None:
        errors.append(f"{where}: {unknown('transform', name, [*TRANSFORMS, *NESTING, *needed])}")
        return None
    if params is not None and not isinstance(params, Mapping):
        errors.append(f"{where}: its parameters must be a mapping, not {params!r}")
        return None
    before = len(errors)
    arguments = dict(params or {})
    errors += [f"{where}: {line}" for line in _wrong_names(cls, arguments)]
    if is_own(name):
        errors += [f"{where}.{line}" for line in _wrong_types(cls, arguments)]
    if name in NESTING:
        errors += [f"{where}.{line}" for line in _wrong_nesting(arguments)]
        of = arguments.get("transforms", [])
        arguments["transforms"] = build_list(of, f"{where}.transforms", errors, rides, bands)
    if cls is A.OneOf and len(errors) == before and not any(child.p for child in arguments["transforms"]):
        errors.append(f"{where}.transforms: one of them must have p above 0; p is its weight in the choice")
    if len(errors) > before:
        return None
    try:
        transform = _construct(cls, arguments)
    except Exception as error:  # albumentations raises ValueError, TypeError, ZeroDivisionError, ...
        errors += [f"{where}: {line}" for line in _lines(error)]
        return None
    if isinstance(transform, BaseCompose):
        return transform
    if found := obstacle(transform, rides):
        errors.append(f"{where}{'.' if ': ' in found.split(';')[0] else ': '}{found}")
        return None
    if reason := unsuited(transform, bands):
        errors.append(f"{where}: {reason}")
        return None
    fit(transform, arguments, rides)
    return transform


def _own(name: str) -> type[A.BasicTransform] | None:
    """Load a user's own transform; None for a name that is of no such form. ZoetropeError when it cannot be used."""
    cls = load(name) if is_own(name) else None
    if cls is not None and not (isinstance(cls, type) and issubclass(cls, A.ImageOnlyTransform | A.DualTransform)):
        raise ZoetropeError("must be a subclass of albumentations' ImageOnlyTransform or DualTransform")
    return cls


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


def _wrong_types(cls: type[Transform], arguments: dict[str, Any]) -> list[str]:
    """Values that are not of the types of the signature; albumentations looks at those of an `InitSchema` alone."""
    try:
        types = get_type_hints(cls.__init__, include_extras=True)
    except NameError:  # of a type that only type checkers see
        return []
    lines = []
    for key in types.keys() & arguments.keys():
        try:
            TypeAdapter(types[key], config=ConfigDict(arbitrary_types_allowed=True)).validate_python(arguments[key])
        except ValidationError as error:
            lines.append(f"{key}: {' or '.join(item['msg'] for item in error.errors())} (not {arguments[key]!r})")
    return sorted(lines)


def _wrong_nesting(arguments: dict[str, Any]) -> list[str]:
    """Return what is wrong with the values of a OneOf and its kin, which albumentations does not check."""
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
    """Return one line for each thing that pydantic or a policy's check found wrong, or the error's first line."""
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


def copies(transform: Transform) -> bool:
    """Tell whether a transform always makes new pixels, and lets those that it is given be."""
    return type(transform) in _COPYING and transform.p == 1


def leaves(transforms: Sequence[Transform]) -> Iterator[A.BasicTransform]:
    """Yield all single transforms, however deep they nest."""
    for transform in transforms:
        if isinstance(transform, BaseCompose):
            yield from leaves(transform.transforms)
        else:
            yield transform
