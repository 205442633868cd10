"""A third task, which only tests know: where in a picture is the bright block? And a source and a model for it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.mixing.patches import paste
from augment.rides import Companions
from models.options import OPTIONS, ModelOptions
from pipeline.figures.drawing import Drawing
from pipeline.figures.figures import predictions
from pipeline.recipe import Recipe, check
from pipeline.recipe.tasks import TaskSection
from pipeline.sources import SOURCES
from pipeline.sources.listing import Candidate, Listing
from pipeline.tasks import TASKS
from pipeline.tasks.base import Arrays, Fields, Headline, Tally, Task
from pipeline.tasks.tables import write_csv
from tests.conftest import tiny_values

IGNORED = 255


@dataclass(frozen=True)
class Blocks(Task):
    """Field `mask` uint8 [n, H, W]: 1 in the block, 0 beside it, 255 at its border; a model gives logits [n, 2, H, W].

    Two parts: cross-entropy counts pixels, Dice of the block counts samples.
    """

    headline = Headline("iou", "IoU")
    measures: ClassVar = {"loss": "{:.4g}", "iou": "{:.1%}"}
    in_training = ("loss", "iou")
    columns: ClassVar = {"pixels": "double"}
    needs = frozenset({"seg.png"})
    rides = frozenset({"mask"})
    any_size = True

    def layout(self, height: int, width: int) -> Any:
        return {"mask": (np.dtype(np.uint8), (height, width))}

    def companions(self, raw: Any) -> Companions:
        return Companions(mask=raw.companion("seg.png"))

    def put(self, fields: Arrays, i: int, raw: Any, view: Any) -> None:
        fields["mask"][i] = view.mask

    def mixed(self, fields: Fields, drawn: Any) -> Fields:
        mask = fields["mask"]
        return {"mask": torch.cat([paste(mask[place], draw.shifts, draw.patches) for place, draw in drawn.groups])}

    def count(self, model: Any, size: Any, fields: Fields, weights: Tensor) -> dict[str, Tensor]:
        return {"pixels": ((fields["mask"] != IGNORED).sum((1, 2)) * weights).sum()}

    def losses(self, model: Any, out: Tensor, fields: Fields, weights: Tensor, class_weights: Any) -> dict[str, Tensor]:
        mask = fields["mask"].long()
        each = functional.cross_entropy(out, mask, ignore_index=IGNORED, reduction="none").sum((1, 2))
        block, said = (mask == 1).float(), out.softmax(1)[:, 1] * (mask != IGNORED)
        dice = 1 - (2 * (block * said).sum((1, 2)) + 1) / ((block + said).sum((1, 2)) + 1)
        return {"pixels": (each * weights).sum(), "dice": (dice * weights).sum()}

    def answer(self, out: Tensor) -> dict[str, Tensor]:
        return {"block": out.softmax(1)[:, 1]}

    def sums(self, answer: Any, fields: Fields, weights: Tensor, training: bool = False) -> Tensor:
        said, mask = answer["block"] >= 0.5, fields["mask"]
        true, known = mask == 1, mask != IGNORED
        wrong = (answer["block"] - true.float()).abs() * known
        columns = (
            wrong.mean((1, 2)),
            (said & true).sum((1, 2)),
            ((said | true) & known).sum((1, 2)),
            torch.ones(len(mask)),
        )
        return torch.stack([(column * weights).double().sum() for column in columns])

    def rows(self, answer: Any, fields: Fields) -> dict[str, Tensor]:
        return {"share": answer["block"].mean((1, 2)), "true": (fields["mask"] == 1).float().mean((1, 2))}

    def metrics(self, tally: Tally) -> dict[str, float]:
        loss, both, either, samples = tally.sums
        return {"loss": float(loss / max(samples, 1)), "iou": float(both / max(either, 1))}

    def certainty(self, rows: Arrays) -> np.ndarray:
        return -np.abs(rows["share"] - rows["true"])

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        return Drawing(np.where(fields["mask"][..., None] == 1, 255 - pixels, pixels), "block")

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        return Drawing(pixels, f"block of {row['share']:.0%}", bool(abs(row["share"] - row["true"]) < 0.1))

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        return {"pixels": float((answer["block"] >= 0.5).sum())}

    def words(self, answer: Arrays) -> str:
        return f"{(answer['block'] >= 0.5).sum()} px"

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        write_csv(folder / "shares.csv", ("sample", "share"), zip(keys, tally.rows["share"].tolist(), strict=True))
        predictions([Drawing(np.zeros((4, 4, 3), np.uint8), "made of sums")], folder / "figures" / "toy.png")
        return {}


class Section(TaskSection):
    """`task: {kind: image-blocks}`."""

    kind: Literal["image-blocks"] = "image-blocks"
    label_sets = True
    answers = "mask"
    mixes = frozenset({"cutmix", "ricap"})

    def __reduce__(self) -> Any:
        """A feed's worker process gets to know the task with what it is sent."""
        return _arrived, ()


def _arrived() -> Section:
    TASKS.setdefault("image-blocks", Blocks)
    return Section()


class NetOptions(ModelOptions):
    """A line of convolutions."""

    kind: Literal["blocks_net"] = "blocks_net"
    eats = "image"
    answers = "mask"

    def build(self, num_classes: int) -> nn.Module:
        """As `net`."""
        return net(num_classes)


def net(num_classes: int) -> nn.Module:
    """The model that they are of."""
    return nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))


class Source:
    """Pictures of 20 x 24 px and, every fourth, of 28 x 22, with a bright block each, and masks."""

    def __init__(self, folder: Path, train: int = 22, val: int = 6) -> None:
        rng, self.candidates = np.random.default_rng(3), list[Candidate]()
        for i in range(train + val):
            height, width = (22, 28) if i % 4 == 3 else (24, 20)
            pixels = rng.integers(0, 90, (height, width, 3), np.uint8)
            mask = np.zeros((height, width), np.uint8)
            y, x, side = rng.integers(0, 12), rng.integers(0, 10), rng.integers(4, 10)
            mask[max(y - 1, 0) : y + side + 1, max(x - 1, 0) : x + side + 1] = IGNORED
            mask[y : y + side, x : x + side] = 1
            pixels[mask == 1] += 130
            picture, beside = folder / f"{i}.png", folder / f"{i}-mask.png"
            cv2.imwrite(str(picture), pixels)
            cv2.imwrite(str(beside), mask)
            split: Any = "train" if i < train else "val"
            labels = ("beside", "block") if i < 2 else ()
            members = {"seg.png": str(beside)}
            self.candidates.append(Candidate(picture.name, str(picture), labels, split, members=members))

    def look(self, source: Any, task: Any, split: Any) -> Listing:
        return Listing(self.candidates, Counter(), False, "data.source.path", "pictures", "")

    def digest(self, source: Any) -> str:
        return ""


def a_recipe(**changes: Any) -> Recipe:
    """Of the toy's task and model."""
    crop = [{"RandomCrop": {"height": 16, "width": 16}}, {"HorizontalFlip": {}}]
    values = tiny_values("image", **{"augment": {"train": crop, "eval": []}, "train.batch_size": 6, **changes})
    # A test's task is in no recipe's schema.
    return check(values, "toy").model_copy(update={"task": Section(), "model": NetOptions()})


@contextmanager
def known(source: Source | None = None) -> Iterator[None]:
    """Inside, the house knows the toy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, "image-blocks", Blocks)
        patch.setitem(OPTIONS, "blocks_net", NetOptions)
        if source:
            patch.setitem(SOURCES, "folder", source)
        yield
