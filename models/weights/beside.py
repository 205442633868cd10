"""What training scripts save beside the tensors. It is of no use here, but must be passed over to read the tensors.

`torch.load(weights_only=True)` refuses every name that it does not know. Those below are of data: numbers of numpy,
paths, dates, the containers of Python and of libraries for configurations. Stand-ins take their place, which forget
whatever they are given: nothing of these names is imported or called, so the file chooses neither what runs nor what
is allocated, and the libraries need not be installed. What is not here counts as code.
"""

from collections import OrderedDict
from typing import Any


class _Value:
    """In place of a value, a class and whatever makes one."""

    def __new__(cls, *_: Any) -> "_Value":
        """Forget the arguments."""
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        """Forget the attributes."""


class _Mapping:
    """In place of a kind of dictionary: a dictionary, as tensors may be in it."""

    def __new__(cls, *_: Any) -> Any:
        """Return an empty one; the unpickler puts the items in."""
        return OrderedDict()


class _List:
    """In place of a kind of list: a list."""

    def __new__(cls, *_: Any) -> Any:
        """Return an empty one; the unpickler puts the items in."""
        return []


_VALUES = {
    "builtins": "bool bytes dict float frozenset int list object range slice str tuple",
    "argparse": "Namespace",
    "types": "SimpleNamespace",
    "typing": "Any",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID SafeUUID",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",  # Python 3.13
    "numpy": (
        "dtype ndarray bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longdouble "
        "complex64 complex128 str_ bytes_ datetime64 timedelta64"
    ),
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",  # numpy 2
    "torch.torch_version": "TorchVersion",
    "omegaconf.base": "ContainerMetadata Metadata",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.listconfig": "ListConfig",
    "omegaconf.nodes": "AnyNode BooleanNode BytesNode EnumNode FloatNode IntegerNode PathNode StringNode",
}
_MAPPINGS = {
    "collections": "defaultdict",
    "addict.addict": "Dict",
    "easydict": "EasyDict",
    "fvcore.common.config": "CfgNode",
    "lightning.fabric.utilities.data": "AttributeDict",
    "lightning.pytorch.utilities.parsing": "AttributeDict",
    "lightning_fabric.utilities.data": "AttributeDict",
    "mmcv.utils.config": "ConfigDict",
    "mmengine.config.config": "ConfigDict",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
    "yacs.config": "CfgNode",
}
_LISTS = {"collections": "deque"}
# For torch.serialization.safe_globals: what stands for a name, and the name.
STAND_INS: list[Any] = [
    (stand_in, f"{module}.{name}")
    for stand_in, modules in ((_Value, _VALUES), (_Mapping, _MAPPINGS), (_List, _LISTS))
    for module, names in modules.items()
    for name in names.split()
]
