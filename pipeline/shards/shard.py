"""One shard of a dataset as `dataset.json` lists it, and the error for one that is something else by now."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.base.errors import ZoetropeError

DATASET_FILE = "dataset.json"

Count = Annotated[int, Field(ge=0)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Shard:
    """One line of the list: a tar, by its path in the dataset folder, and what it must be.

    at: where an adopted tar lies, an absolute path or a URL; only its index is then in the dataset folder, and holds
        the members that are samples of this split
    source: name of the source of its samples in a mixture
    """

    name: Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+\.tar$")]
    samples: Annotated[int, Field(ge=1)]
    bytes: Count
    sha256: _Sha256
    index_sha256: _Sha256
    at: str | None = None
    source: str | None = None


def changed(path: Path, shard: Shard, read: bool = False) -> ZoetropeError:
    """Return the error for the tar or index of a shard that is not what `dataset.json` lists.

    read: by a training, whose checkpoints may have learned from it. A shard that is made again as it was is the same
          input, so that training would go on from them.
    """
    if shard.at is not None and path.suffix == ".tar":
        anew = " and train with `--rerun train`, as checkpoints may have learned from it" if read else ""
        return ZoetropeError(
            f"{path}: this tar was changed after it was adopted (its size or sha256 differ); put it back as it was"
            f"{anew}, or `run RECIPE --rerun ingest` looks at it anew"
        )
    again = "`run RECIPE --rerun shard` makes it again"
    if read:
        again = (
            "`run RECIPE --rerun shard --rerun train` makes it again and trains anew, as checkpoints may have learned "
            "from it"
        )
    return ZoetropeError(
        f"{path}: this file is damaged or was changed after {DATASET_FILE} was written (size or sha256 differ); "
        f"`python -m pipeline verify STORE` tells what else is, {again}"
    )
