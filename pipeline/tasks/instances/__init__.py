"""Instance segmentation: the objects of a picture, a box, a class and a mask each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.tasks.base import Answer, Arrays, Drawing, Fields, Headline, Layout, Tally
from pipeline.tasks.detection import ANSWER, MEMBER, Detection
from pipeline.tasks.detection import fields as objects
from pipeline.tasks.instances import fields as masks

if TYPE_CHECKING:
    from torch import Tensor

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.base import Inputs
    from pipeline.tasks.suited import Facts, Suited

MEASURED = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
"""Of COCO's numbers, those that are told of masks, too."""


@dataclass(frozen=True)
class Instances(Detection):
    """Fields as of `detection.fields` and `fields`; answers have `masks` float [n, D, M, M], too, of their boxes: how
    sure each place is the object's, from 0 to 1.
    """

    learned = (*objects.EACH, "layers")
    headline = Headline("mask_AP", "mask AP")
    measures: ClassVar = {
        **Detection.measures,
        **{f"{kind}_{name}": "{:.1%}" for kind in ("mask", "boundary") for name in MEASURED},
    }
    columns: ClassVar = {**Detection.columns, "masks": "list of string", "polygons": "list of string"}
    rides = frozenset({"boxes", "mask"})

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose a Mask R-CNN."""
        from pipeline.tasks.instances.suited import suited

        return suited(facts)

    def layout(self, height: int, width: int) -> Layout:
        """Name the objects' boxes and classes, and the layers of their masks."""
        return super().layout(height, width) | masks.layout(height, width)

    def companions(self, raw: "RawSample") -> "Companions":
        """Read the boxes, and draw the outlines."""
        from augment.rides import Companions

        boxes = super().companions(raw).boxes
        return Companions(boxes=boxes, mask=masks.drawn(raw.companion(MEMBER), raw.height, raw.width))

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write the objects that the view still shows, and their pixels."""
        assert view is not None
        assert view.mask is not None
        numbers = objects.put(fields, i, raw.companion(MEMBER), view, (raw.height, raw.width))
        fields["layers"][i] = masks.placed(view.mask, numbers)

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Move boxes and masks as pixels are, and lay objects over other pictures where that was drawn."""
        import torch

        if all(draw.paste is None for _, draw in drawn.groups):
            return {**super().mixed(fields, drawn), "layers": _stacked(masks.mixed(fields, drawn.groups))}
        groups, pictures = [], fields["layers"].shape[2:]
        for place, draw in drawn.groups:
            own = {name: value[place] for name, value in fields.items()}
            if draw.paste is None:
                one = dict(super().mixed(own, _alone(draw, len(own["kind"]))))
                one["layers"] = masks.mixed(own, [(slice(None), draw)])[0]
                one["pasted"] = torch.zeros(len(one["kind"]), *pictures, dtype=torch.uint8, device=one["kind"].device)
            else:
                one = {**own, **masks.pasted(own, draw.paste, draw.shifts[-1])}
            groups.append(one)
        joined = {name: [one[name] for one in groups] for name in groups[0]}
        several = {name: objects.joined(name, joined.pop(name)) for name in (*objects.EACH, "layer", "share")}
        several["layers"] = _stacked(joined.pop("layers"))
        return {name: torch.cat(parts) for name, parts in joined.items()} | several

    def mixed_inputs(self, inputs: "Inputs", drawn: "Drawn", fields: Fields) -> "Inputs":
        """Mix pixels; of objects that are laid over another picture their pixels alone."""
        import torch

        from augment.mixing.patches import partners

        if "pasted" not in fields:
            return super().mixed_inputs(inputs, drawn, fields)

        def mix(x: "Tensor") -> "Tensor":
            made = []
            for (place, draw), one in zip(drawn.groups, drawn.parts(x), strict=True):
                over = fields["pasted"][place, None].bool()
                made.append(one if draw.paste is None else torch.where(over, partners(x[place], draw.shifts[-1]), one))
            return torch.cat(made)

        return {name: mix(x) for name, x in inputs.items()}

    def resized(self, fields: Fields, size: tuple[int, ...], to: tuple[int, ...]) -> Fields:
        """Scale boxes and masks, the latter by the nearest pixel."""
        from torch.nn.functional import interpolate

        layers = interpolate(fields["layers"].float(), list(to), mode="nearest-exact").to(fields["layers"].dtype)
        return {**super().resized(fields, size, to), "layers": layers}

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Match boxes as detection does, and masks besides."""
        import torch

        from pipeline.tasks.instances.measure import match_masks

        names = (*ANSWER, "masks")
        columns = {name: answer[name].float().cpu().numpy() for name in names if name in answer}
        columns["kind"] = columns["kind"].astype(np.int64)
        truths = {name: fields[name].cpu().numpy() for name in (*objects.EACH, "layers", "unit")}
        found = []
        for i in range(len(columns["kind"])):
            said, true = ({name: of[i] for name, of in one.items()} for one in (columns, truths))
            found.append(match_masks(said, true, float(true["unit"]), columns["kind"].shape[1]))
        ours = {name: torch.from_numpy(np.stack([row[name] for row in found])) for name in found[0]}
        return super().rows(answer, fields) | ours

    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute what detection does, and the AP of masks and of their boundaries."""
        return super().metrics(tally) | self._of_masks(tally)

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write the tables and figures of the boxes, and `masks.csv`: the AP of masks and of their boundaries."""
        from pipeline.tasks.tables import write_csv

        numbers = self._of_masks(tally)
        lines = [(kind, *(round(numbers[f"{kind}_{name}"], 6) for name in MEASURED)) for kind in ("mask", "boundary")]
        write_csv(folder / "masks.csv", ("of", *MEASURED), lines)
        return super().report(folder, keys, tally) | numbers

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return boxes and masks of the answer and of the objects."""
        more = {"said_masks": answer["masks"], "true_layers": fields["layers"]}
        return super().pictured(answer, fields) | more

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw the objects' masks and boxes, with names."""
        from pipeline.tasks.instances.draw import painted
        from pipeline.tasks.instances.measure import objects_of

        pieces = objects_of(fields["layers"], fields["boxes"])
        return super().truth(painted(pixels, pieces, fields["kind"]), fields)

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw the masks that are said, and the boxes as right, wrong or missed."""
        if "said_masks" in row:
            names = (*ANSWER, "masks")
            pixels = self._painted(pixels, self._said({name: row[f"said_{name}"] for name in names}))
        return super().compared(pixels, row)

    def restored(self, answer: Answer, frame: "Tensor", size: tuple[int, int]) -> Answer:
        """Bring boxes back to the px of the file, and masks to its sides where the view was mirrored or turned."""
        found = dict(super().restored(answer, frame, size))
        turned = abs(float(frame[0, 1])) > abs(float(frame[0, 0]))
        across, down = (frame[1, 0], frame[0, 1]) if turned else (frame[0, 0], frame[1, 1])
        one = found["masks"].transpose(2, 3) if turned else found["masks"]
        flips = [axis for axis, factor in ((3, across), (2, down)) if float(factor) < 0]
        found["masks"] = one.flip(flips) if flips else one
        return found | {"size": answer["kind"].new_tensor([size])}

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Add the masks of what is said to its boxes: COCO's run lengths and polygons, both as JSON."""
        from pipeline.decode.outlines import encode_runs, traced
        from pipeline.tasks.instances.measure import paste

        size = (int(answer["size"][0]), int(answer["size"][1]))
        said = np.flatnonzero(self._said(answer)["kind"] >= 0).tolist()
        pieces = [paste(answer["masks"][d], answer["boxes"][d], size) for d in said]
        return super().row(answer, top) | {
            "masks": [json.dumps(encode_runs(one.bits, one.left, one.top, size)) for one in pieces],
            "polygons": [json.dumps(traced(one.bits, one.left, one.top)) for one in pieces],
        }

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """Draw the masks and boxes of what is said."""
        return super().drawn(self._painted(pixels, self._said(answer)), answer)

    def _painted(self, pixels: np.ndarray, answer: Arrays) -> np.ndarray:
        """Lay the masks of an answer over its picture."""
        from pipeline.tasks.instances.draw import painted
        from pipeline.tasks.instances.measure import paste

        size = (pixels.shape[0], pixels.shape[1])
        there = np.flatnonzero(answer["kind"] >= 0).tolist()[::-1]
        pieces = [paste(answer["masks"][d], answer["boxes"][d], size) for d in there]
        return painted(pixels, pieces, answer["kind"][there])

    def _of_masks(self, tally: Tally) -> dict[str, float]:
        from pipeline.tasks.detection.precision import accumulate, coco_numbers

        if not tally.rows:
            return {}
        found: dict[str, float] = {}
        for kind in ("mask", "boundary"):
            rows = {**tally.rows, **{name: tally.rows[f"{kind}_{name}"] for name in ("matched", "ignored")}}
            numbers = coco_numbers(accumulate(rows, self._objects(tally)))
            found |= {f"{kind}_{name}": numbers[name] for name in MEASURED}
        return found


def _alone(draw: Any, n: int) -> "Drawn":
    """Return one group's draw as that of a whole batch."""
    import torch

    from augment.mixing.batch import Drawn

    return Drawn(((slice(0, n), draw),), torch.zeros(n, 1), torch.ones(n, 1))


def _stacked(layers: "list[Tensor]") -> "Tensor":
    """Join layers [g, any, H, W] of groups; those that lack some have none in these."""
    import torch
    from torch.nn.functional import pad

    most = max(one.shape[1] for one in layers)
    return torch.cat([pad(one, (0, 0, 0, 0, 0, most - one.shape[1])) for one in layers])
