"""Key points: the joints of the bodies in a picture, found by maps of joints and of limbs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.decode.limits import BadSample
from pipeline.recipe.bodies import BODIES, Skeleton, skeleton_of
from pipeline.tasks.base import Answer, Arrays, Drawing, Fields, Headline, Layout, Run, Tally, Task
from pipeline.tasks.keypoints import assemble
from pipeline.tasks.keypoints import fields as bodies
from pipeline.tasks.keypoints.measure import MOST, NAMES, match
from pipeline.tasks.keypoints.oks import SHARE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from augment.mixing.batch import Drawn
    from augment.rides import Companions, View
    from pipeline.recipe import Recipe
    from pipeline.recipe.evaluate import Evaluate
    from pipeline.shards.dataset import Dataset
    from pipeline.shards.reader import RawSample
    from pipeline.tasks.suited import Facts, Suited

MEMBER = "objects.json"
ANSWER = ("keypoints", "score")
MAPS = ("heat", "limbs")


@dataclass(frozen=True)
class KeyPoints(Task):
    """Fields as of `fields.py`.

    A model gives `heat` float [n, S, J + 1, h, w] of S stages, and `limbs` float [n, S, 2 L, h, w] where pictures may
    show several bodies. Answers are the same, and `assembly` [n, 5], the constants by which bodies are made of them: in
    a training the usual ones, as it reads nothing of how it is evaluated. Bodies are found where they are asked for:
    `keypoints` float [n, D, J, 3], x, y in px and how sure it is, 0 where a joint is not found, and `score` [n, D], the
    highest first.
    """

    body: Skeleton = BODIES["coco17"]
    is_one: bool = False
    """Whether each picture shows one body."""
    sigma_px: float = 7.0
    limb_px: float = 8.0
    stride: int = 8
    """Px of the view between places of a map."""
    peak_weight: float = 0.0
    most_objects: int = 20
    """Of a sample: places in a batch."""

    headline = Headline("AP", "OKS AP")
    measures: ClassVar = {"loss": "{:.4g}", **dict.fromkeys(NAMES, "{:.1%}")}
    in_training = ("loss",)
    columns: ClassVar = {"keypoints": "list of list of double", "scores": "list of double"}
    helper = Path(assemble.__file__)
    needs = frozenset({MEMBER})
    rides = frozenset({"keypoints"})
    by_rows = True
    any_size = True

    @classmethod
    def of(cls, recipe: "Recipe", classes: tuple[str, ...]) -> "KeyPoints":
        """Make the task that a recipe asks for."""
        section: Any = recipe.task
        return cls(
            classes,
            skeleton_of(section.body),
            section.persons == "one",
            section.sigma_px,
            section.limb_px,
            getattr(recipe.model, "stride", 8),
            section.peak_weight,
        )

    @classmethod
    def suited(cls, facts: "Facts") -> "Suited":
        """Choose a light network."""
        from pipeline.tasks.keypoints.suited import suited

        return suited(facts)

    def sized(self, dataset: "Dataset", training: bool) -> "KeyPoints":
        """Make room for the most bodies of a sample that the data have."""
        return replace(self, most_objects=max([1, *dataset.most_objects.values()]))

    def layout(self, height: int, width: int) -> Layout:
        """Name the bodies' joints, with room for the most of a sample, and what is not labelled."""
        return bodies.layout(self.most_objects, len(self.body.joints), height, width)

    def companions(self, raw: "RawSample") -> "Companions":
        """Read joints, boxes and the outlines of what is not labelled: all go as points."""
        from augment.rides import Companions

        found = raw.companion(MEMBER)
        if len(found) > self.most_objects:
            raise BadSample(
                f"it has {len(found)} bodies, and batches of these tars have room for {self.most_objects}: shard them "
                "anew from their source, which counts them"
            )
        return Companions(keypoints=bodies.riding(found, len(self.body.joints), (raw.height, raw.width)))

    def put(self, fields: Arrays, i: int, raw: "RawSample", view: "View | None") -> None:
        """Write what became of the bodies."""
        assert view is not None
        bodies.put(fields, i, raw.companion(MEMBER), view, (raw.height, raw.width), self.body)

    def mixed(self, fields: Fields, drawn: "Drawn") -> Fields:
        """Leave them as they are: recipes mix no key points."""
        return fields

    def losses(
        self, model: "nn.Module", out: Any, fields: Fields, weights: "Tensor", class_weights: "Tensor | None"
    ) -> "dict[str, Tensor]":
        """Compare the maps of all stages with those of the truth, which are rendered here; see `maps.losses`."""
        return {name: (part * weights).sum() for name, part in self._losses(out, fields).items()}

    def answer(self, out: Any) -> Answer:
        """Return maps as they are, and the usual constants."""
        return self._constant(out, assemble.USUAL)

    def exported(self, model: "nn.Module", x: "Tensor") -> Answer:
        """Return the last stage's maps, [n, C, h, w] by name; `helper` makes bodies of them."""
        return {name: maps[:, -1] for name, maps in model(x).items()}

    def told(self, how: "Evaluate") -> dict[str, Any]:
        """Say what `helper` needs: the body, how maps lie, and constants."""
        return {
            "joints": list(self.body.joints),
            "limbs": [list(pair) for pair in self.body.limbs],
            "order": list(self.body.order),
            "stride": self.stride,
            "persons": "one" if self.is_one else "many",
            "assembly": how.assembly.model_dump(),
        }

    def infer(self, run: Run, arrays: Arrays) -> Answer:
        """Look at pictures as `evaluate` says: at several scales, mirrored too, and average the maps."""
        import torch

        from pipeline.tasks.keypoints.infer import Options, maps_of

        pixels, options = arrays["pixels"][:, 0], Options.of(run.how)
        found: list[Answer] = []
        for cut in run.parts(len(pixels)):
            inputs = run.inputs({"pixels": pixels[cut]})

            def look(x: "Tensor", inputs: Any = inputs) -> Any:
                return run({**inputs, "pixels": x})

            found.append(maps_of(look, inputs["pixels"], self.stride, self.body, options))
        maps = {name: torch.cat([one[name] for one in found]) for name in found[0]}
        how = assemble.USUAL if run.how is None else assemble.Constants(**run.how.assembly.model_dump())
        return self._constant(maps, how)

    def sums(self, answer: Answer, fields: Fields, weights: "Tensor", training: bool = False) -> "Tensor":
        """Sum the loss, bodies by size of those that count, and samples."""
        import torch

        from pipeline.tasks.detection.match import count_objects

        each = torch.stack([part.double() for part in self._losses(answer, fields).values()]).sum(0)
        loss = (each * weights).sum()
        if training:
            return torch.stack([loss, weights.double().sum()])
        names = ("kind", "crowd", "area")
        counts = [count_objects(truth, 1)[0] for truth in _pictures(fields, names)]
        there = weights.double()[:, None] * torch.from_numpy(np.stack(counts)).to(weights.device)
        return torch.cat([loss[None], there.sum(0), weights.double().sum()[None]])

    def rows(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Find bodies, and match each picture's with those that there are, see `measure.py`."""
        import torch

        unit = fields["unit"].float().clamp(min=1e-9).cpu()
        scale = torch.stack([unit, unit, torch.ones_like(unit)], 1)[:, None, None]
        found = self._found(answer)
        truths = _pictures(
            {
                **fields,
                "keypoints": fields["keypoints"].cpu() * scale,
                "boxes": fields["boxes"].cpu() * unit[:, None, None],
            },
            bodies.EACH,
        )
        answers = _pictures({**found, "keypoints": found["keypoints"] * scale}, ANSWER)
        rows = [match(*pair, self.body) for pair in zip(answers, truths, strict=True)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def metrics(self, tally: Tally) -> dict[str, float]:
        """Compute `loss`, the mean over pictures; of rows COCO's ten figures of key points, and PCK."""
        from pipeline.tasks.keypoints.measure import numbers

        loss = {"loss": float(tally.sums[0] / tally.sums[-1])}
        return loss | numbers(tally.rows, self._objects(tally)) if tally.rows else loss

    def certainty(self, rows: Arrays) -> np.ndarray:
        """Take F1 of each picture, at an OKS of one half."""
        from pipeline.tasks.detection.match import unpacked

        said = (rows["kind"] >= 0) & ~unpacked(rows["ignored"])
        right = (said & unpacked(rows["matched"])).sum(1)
        both = said.sum(1) + rows["objects"]
        return np.where(both, 2 * right / np.maximum(both, 1), 1.0)

    def pictured(self, answer: Answer, fields: Fields) -> "dict[str, Tensor]":
        """Return the bodies that are said and those that there are."""
        said = {f"said_{name}": value for name, value in self._found(answer).items()}
        return said | {f"true_{name}": fields[name] for name in (*bodies.EACH, "unknown")}

    def truth(self, pixels: np.ndarray, fields: Arrays) -> Drawing:
        """Draw the bodies, each side in a colour."""
        from pipeline.tasks.keypoints.draw import truth

        return truth(pixels, fields, self.body)

    def compared(self, pixels: np.ndarray, row: Arrays) -> Drawing:
        """Draw what is said over what there is, which is thin and white."""
        from pipeline.tasks.keypoints.draw import compared, number

        right = bool(
            self.certainty({name: row[name][None] for name in ("kind", "ignored", "matched", "objects")})[0] == 1
        )
        words = f"{number(int(row['objects']))}\n{(row['kind'] >= 0).sum()} said, OKS {row['oks']:.2f}"
        if "said_keypoints" in row:
            true = {name: row[f"true_{name}"] for name in bodies.EACH}
            pixels = compared(pixels, row["said_keypoints"][row["said_score"] > 0], true, self.body)
        return Drawing(pixels, words, right)

    def restored(self, answer: Answer, frame: "Tensor", size: tuple[int, int]) -> Answer:
        """Find bodies, and bring their joints back to the px of the file."""
        from pipeline.tasks.keypoints.infer import restored

        found = self._found(answer)
        return {**found, "keypoints": restored(found["keypoints"], frame.cpu(), size, self.body)}

    def row(self, answer: Arrays, top: int = 1) -> dict[str, Any]:
        """Return of each body x, y in px of the file and how sure it is, joint after joint, and scores; the best
        first.
        """
        there = answer["score"] > 0
        points = answer["keypoints"][there].reshape(-1, 3 * len(self.body.joints))
        return {
            "keypoints": [[round(number, 3) for number in body] for body in points.astype(float).tolist()],
            "scores": answer["score"][there].astype(float).tolist(),
        }

    def words(self, answer: Arrays) -> str:
        """Count the bodies."""
        from pipeline.tasks.keypoints.draw import number

        return number(int((answer["score"] > 0).sum()))

    def drawn(self, pixels: np.ndarray, answer: Arrays) -> Drawing:
        """Draw what is said."""
        from pipeline.tasks.keypoints.draw import said

        return said(pixels, answer["keypoints"][answer["score"] > 0], self.body)

    def remarks(self, tally: Tally) -> list[str]:
        """Say what PCK goes by, and what the split lacks."""
        said = [f"PCK is the share of joints within {SHARE:g} of {self.body.reference}"]
        if tally.rows and (lacking := int(tally.rows["unmeasured"].sum())):
            said[0] += f"; of {lacking:,} bodies that is not labelled, and they are left out of it"
        objects = self._objects(tally)[0]
        if sizes := [name for name, count in zip(("medium", "large"), objects[2:], strict=True) if not count]:
            said.append(
                f"the split has no {' or '.join(sizes)} bodies: their AP and AR stand as 0 and are not measured"
            )
        return said

    def report(self, folder: Path, keys: Sequence[str], tally: Tally) -> dict[str, float]:
        """Write tables of joints and pictures, PCK of joints and precision over recall."""
        from pipeline.tasks.keypoints.report import write_report

        return write_report(folder, self.body, keys, tally.rows, self._objects(tally))

    def _losses(self, out: Mapping[str, "Tensor"], fields: Fields) -> "dict[str, Tensor]":
        """Compute each picture's parts of the loss, float [n] by name."""
        from pipeline.tasks.keypoints.maps import losses

        return losses(out, fields, self.body.limbs, self.stride, self.sigma_px, self.limb_px, self.peak_weight)

    def _found(self, answer: Answer) -> "dict[str, Tensor]":
        """Find the bodies by maps; of one body a picture there is one place."""
        from pipeline.tasks.keypoints.infer import find

        maps = {name: answer[name][:, -1] for name in MAPS if name in answer}
        peak, limb, share, least_joints, least_score = answer["assembly"][0].tolist()
        how = assemble.Constants(peak, limb, share, round(least_joints), least_score)
        return find(maps, self.stride, self.body, how, 1 if self.is_one else MOST)

    def _constant(self, maps: Mapping[str, "Tensor"], how: assemble.Constants) -> "dict[str, Tensor]":
        """Lay constants beside maps, float64 [n, 5]."""
        import torch

        heat = maps["heat"]
        return {**maps, "assembly": torch.tensor(how, dtype=torch.float64, device=heat.device).expand(len(heat), -1)}

    def _objects(self, tally: Tally) -> np.ndarray:
        """Return the bodies that count, by size: int64 [1, 4]."""
        return tally.sums[1:-1].reshape(1, -1).astype(np.int64)


def _pictures(fields: Mapping[str, "Tensor"], names: Sequence[str]) -> list[dict[str, np.ndarray]]:
    """Return some of the fields [n, ...] of each picture, on the CPU."""
    columns = {name: fields[name].cpu().numpy() for name in names}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(columns[names[0]]))]
