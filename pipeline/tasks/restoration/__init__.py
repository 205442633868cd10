"""Restoration: a picture as it was before it was made smaller, noisy, blurred or a JPEG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.base.keyed import generator
from pipeline.decode.limits import BadSample
from pipeline.tasks.base import Answer, Arrays, Drawing, Fields, Headline, Layout, Run, Tally, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.base.keyed import Part
    from pipeline.recipe import Recipe
    from pipeline.recipe.restoring import Degrade
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.suited import Facts, Suited

TARGET = "target.png"


@dataclass(frozen=True)
class Restoration(Task):
    """Field `target` uint8 [n, s H, s W, 3] of inputs [n, H, W, 3]; of blended pictures it is float.

    A model gives [n, 3, s H, s W], normalised as its input is; answers are `image` float [n, 3, s H, s W], levels from
    0 to 255, and where the truth is known `plain`, what came of the input without a model: bicubic, or itself.
    """

    scale: int = 1
    degrade: "Degrade | None" = None
    """How inputs are made of the pictures; None: samples are pairs, whose pictures are inputs."""
    terms: Mapping[str, float] = field(default_factory=lambda: {"l1": 1.0})
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    """Of the normalisation, for colours in 0..1."""

    in_training = ("loss",)
    columns: ClassVar = {"image": "binary", "width": "double", "height": "double"}
    suffixes: ClassVar = {"image": ".png"}
    judged_by = ("PSNR of a picture", "{:.2f} dB")
    any_size = True

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "Restoration":
        """Make the task that a recipe asks for."""
        section: Any = recipe.task
        augment: Any = recipe.augment  # of this task, the recipe says both numbers
        terms = recipe.loss.terms or {"l1": 1.0}
        return cls(classes, section.scale, section.degrade, terms, augment.mean, augment.std)

    @classmethod
    def worded(cls, section: Mapping[str, Any]) -> "Restoration":
        """Make it for its words alone: measures are called by the scale."""
        return cls((), section.get("scale", 1))

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose EDSR's baseline, to double the size."""
        from pipeline.tasks.restoration.suited import suited

        return suited(facts)

    @property
    def crop(self) -> int:
        """Pixels at each side that are not measured: as many as `scale`, and none where nothing is enlarged."""
        return self.scale if self.scale > 1 else 0

    @property
    def plain(self) -> str:
        """What restored pictures are compared with."""
        return "bicubic" if self.scale > 1 else "input"

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics: of restored pictures first, then of those that they are compared with."""
        own = [f"{name}_crop{self.crop}" for name in ("psnr_rgb", "psnr_y", "ssim_y")]
        return (*own, *(f"{self.plain}_{name}" for name in own))

    @property
    def headline(self) -> Headline:  # type: ignore[override]  # its name says how much is cropped
        """PSNR of all colours."""
        return Headline(self.names[0], "PSNR")

    @property
    def measures(self) -> dict[str, str]:  # type: ignore[override]  # as of `headline`
        """The loss, and `names`."""
        return {"loss": "{:.4g}"} | {name: "{:.4f}" if "ssim" in name else "{:.2f} dB" for name in self.names}

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # how inputs are made decides
        """The target, where it is not made of the picture."""
        return frozenset() if self.degrade else frozenset({TARGET})

    @property
    def rides(self) -> frozenset[str]:  # type: ignore[override]  # as of `needs`
        """The target; a picture that is degraded afterwards is moved by whole pixels, too."""
        return frozenset({"picture"} if self.degrade else {"target"})

    def transforms(self, spec: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
        """Crop inputs of pairs so that the target has the recipe's size."""
        from pipeline.tasks.restoration.spec import shrunk

        return spec if self.degrade or self.scale == 1 else shrunk(spec, self.scale)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (H, W) of the input that comes of a view."""
        return (height // self.scale, width // self.scale) if self.degrade else (height, width)

    def seen(self, view: "View", *key: "Part") -> "View":
        """Degrade what is no pair: the view becomes the target, and what was made of it the input."""
        from pipeline.tasks.restoration.degrade import degraded, whole

        if self.degrade is None:
            return view
        target = whole(view.pixels, self.scale)
        if not target.size:
            raise BadSample(f"it has fewer than {self.scale} px, and is to be made so many times smaller")
        pixels = degraded(target, self.degrade, self.scale, generator(*key, "degrade"))
        return replace(view, pixels=pixels, target=target)

    def layout(self, height: int, width: int) -> Layout:
        """Name the target."""
        return {"target": (np.dtype(np.uint8), (self.scale * height, self.scale * width, 3))}

    def companions(self, raw: "RawSample") -> "Companions":
        """Read the target of a pair."""
        from augment.rides import Companions

        if self.degrade:
            return Companions()
        target = raw.companion(TARGET)
        if target.shape[:2] != (self.scale * raw.height, self.scale * raw.width):
            raise BadSample(
                f"its target has {target.shape[1]} x {target.shape[0]} px, and task.scale {self.scale} asks for "
                f"{self.scale * raw.width} x {self.scale * raw.height}"
            )
        return Companions(target=target)

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the target."""
        assert view is not None
        assert view.target is not None
        fields["target"][i] = view.target

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Paste or blend targets as pixels are."""
        import torch

        from augment.mixing.batch import apply
        from augment.mixing.patches import paste

        target = fields["target"].movedim(-1, 1)
        if any(draw.blend for _, draw in drawn.groups):
            target = target.float()
        parts = [
            paste(target[place], draw.shifts, draw.patches, self.scale)
            if draw.blend is None
            else apply(target[place], draw)
            for place, draw in drawn.groups
        ]
        return {"target": torch.cat(parts).movedim(1, -1)}

    def losses(
        self, model: "nn.Module", out: "Tensor", fields: Fields, weights: "Tensor", class_weights: "Tensor | None"
    ) -> "dict[str, Tensor]":
        """Compute the recipe's terms, of colours in 0..1."""
        from pipeline.tasks.restoration.losses import distances

        image, target = self._levels(out) / 255, _target(fields) / 255
        return {"loss": (distances(self.terms, image, target) * weights).sum()}

    def answer(self, out: "Tensor") -> Answer:
        """Turn outputs into levels."""
        return {"image": self._levels(out).clamp(0, 255)}

    def infer(self, run: Run, arrays: Arrays) -> Answer:
        """Restore as `evaluate` says. Where the truth is known, what pictures are compared with is in the answer."""
        import torch

        from pipeline.tasks.restoration.degrade import resized
        from pipeline.tasks.restoration.infer import restore

        pixels, how = arrays["pixels"][:, 0], run.how
        tile, overlap, ensemble = (how.tile, how.overlap, how.self_ensemble) if how else (None, None, False)
        reach = getattr(run.model, "reach_px", None)
        overlap = overlap if overlap is not None else reach if reach is not None else (tile or 0) // 8
        inputs = (run.inputs({"pixels": pixels[cut]})["pixels"] for cut in run.parts(len(pixels)))
        images = [
            self.answer(restore(lambda x: run({"pixels": x}), x, tile, overlap, ensemble))["image"] for x in inputs
        ]
        answer = {"image": torch.cat(images)}
        if "target" in arrays:
            height, width = arrays["target"].shape[1:3]
            same = pixels if self.scale == 1 else np.stack([resized(one, height, width) for one in pixels])
            answer["plain"] = torch.from_numpy(same).to(images[0].device).movedim(-1, 1).float()
        return answer

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Sum the mean absolute error of colours in 0..1, the metrics, and samples."""
        import torch

        error = (answer["image"] - _target(fields)).abs().double().mean((1, 2, 3)) / 255
        columns = [error, *([] if training else self._scores(answer, fields).values()), torch.ones_like(error)]
        return torch.stack([(column * weights).sum() for column in columns])

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Each picture's metrics."""
        return self._scores(answer, fields)

    def metrics(self, tally: Tally) -> dict[str, float]:
        """`loss`, the mean absolute error, and the means of the pictures' metrics, see `measure.py`."""
        loss, *summed, samples = tally.sums.tolist()
        named = dict(zip(self.names, summed, strict=True)) if summed else {}
        return {name: value / max(samples, 1) for name, value in {"loss": loss, **named}.items()}

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Take PSNR."""
        return rows[self.names[0]]

    def shown(self, rows: Arrays) -> dict[str, np.ndarray]:
        """Add those that became least better."""
        return {**super().shown(rows), "least_gained": rows[self.names[0]] - rows[self.names[3]]}

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return the answer and the target."""
        return {"said": answer["image"].round().byte().movedim(1, -1), "true": fields["target"]}

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Beside each other the input and the target."""
        from pipeline.tasks.restoration.draw import beside

        return Drawing(beside(pixels, np.rint(fields["target"]).astype(np.uint8)), self._size(pixels))

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Input, answer, target and four times the difference; green where it is no worse than the input."""
        from pipeline.tasks.restoration.draw import four

        after, before = row[self.names[0]], row[self.names[3]]
        words = f"PSNR {after:.2f} dB\n{self.plain} {before:.2f} dB\n{self._size(pixels)}"
        shown = four(pixels, row["said"], row["true"]) if "said" in row else pixels
        return Drawing(shown, words, bool(after >= before))

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Encode the picture as a PNG of 8 bits; its size in px."""
        from pipeline.decode.image import encode_png

        picture = _picture(answer)
        return {"image": encode_png(picture), "width": float(picture.shape[1]), "height": float(picture.shape[0])}

    def words(self, answer: Arrays) -> str:
        """Say its size."""
        return f"{answer['image'].shape[2]} x {answer['image'].shape[1]} px"

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """The restored picture itself."""
        return Drawing(_picture(answer), self.words(answer))

    def remarks(self, tally: Tally) -> list[str]:
        """Say what the input is worth."""
        measured = self.metrics(tally)
        after, before = measured[self.names[0]], measured[self.names[3]]
        return [f"{self.plain}: PSNR {before:.2f} dB, so {after - before:+.2f} dB"]

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write a table of pictures, and a figure of PSNR before and after."""
        from pipeline.tasks.restoration.report import write_report

        write_report(folder, self.names, self.plain, keys, tally.rows)
        return {}

    def _levels(self, out: "Tensor") -> "Tensor":
        """Undo the normalisation: float32 [n, 3, H, W] in levels, which may lie beyond 0 and 255."""
        import torch

        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=out.device)[:, None, None] * 255
            for values in (self.mean, self.std)
        )
        return out.float() * std + mean

    def _scores(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """float64 [n] each, by `names`; what nothing is compared with is compared with the answer itself."""
        from pipeline.tasks.restoration.measure import scores

        target = _target(fields)
        pair = [scores(x.round(), target, self.crop) for x in (answer["image"], answer.get("plain", answer["image"]))]
        return dict(zip(self.names, [value for one in pair for value in one.values()], strict=True))

    def _size(self, pixels: np.ndarray) -> str:
        return f"{self.scale * pixels.shape[1]} x {self.scale * pixels.shape[0]} px"


def _target(fields: Fields) -> "Tensor":
    """float32 [n, 3, H, W]."""
    return fields["target"].movedim(-1, 1).float()


def _picture(answer: Arrays) -> np.ndarray:
    """uint8 [H, W, 3]."""
    return np.ascontiguousarray(np.rint(answer["image"]).astype(np.uint8).transpose(1, 2, 0))
