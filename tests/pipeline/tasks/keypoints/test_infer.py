"""Looks at several scales and mirrored are averaged at the same places; the task's answer and an exported file's
agree.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.exported.answering import exportable, traced
from pipeline.exported.beside import about, write_beside
from pipeline.exported.formats import write_onnx
from pipeline.recipe import check, plain
from pipeline.recipe.bodies import BODIES
from pipeline.recipe.evaluate import Assembly, Evaluate
from pipeline.tasks import task_of
from pipeline.tasks.keypoints.assemble import Constants
from pipeline.tasks.keypoints.infer import Options, find, maps_of, mirrored, restored
from pipeline.tasks.keypoints.maps import affinity_fields, heat_maps
from tests.conftest import tiny_values

LSP = BODIES["lsp14"]
STANDING = np.array(
    [
        *([40, 120], [42, 96], [44, 70], [56, 70], [58, 96], [60, 120], [22, 80], [26, 56], [38, 32], [62, 32]),
        *([76, 52], [84, 74], [50, 28], [50, 8]),
    ],
    np.float32,
)


def rendered(points: np.ndarray, size: tuple[int, int], stride: int = 4) -> dict[str, Tensor]:
    keypoints = torch.from_numpy(np.concatenate([points, np.full((14, 1), 2, np.float32)], 1))[None, None]
    fields = affinity_fields(keypoints, LSP.limbs, size, stride, 4)
    return {"heat": heat_maps(keypoints, size, stride, 4)[:, None], "limbs": fields[:, None]}


def test_the_defaults_are_those_of_openposes_code() -> None:
    assert Constants(**Assembly().model_dump()) == Constants() == (0.1, 0.05, 0.8, 4, 0.4)


def test_maps_of_a_mirror_image_are_mirrored_back() -> None:
    other = np.array(STANDING)
    other[:, 0] = 96 - STANDING[:, 0]
    back = mirrored(rendered(other[list(LSP.mirrored)], (32, 24)), LSP)
    for name, maps in rendered(STANDING, (32, 24)).items():
        torch.testing.assert_close(back[name], maps)


def test_scales_are_read_at_the_same_places() -> None:
    """A model that knows, whose answer follows the picture's size: what is found stays where it is."""
    calls = []

    def look(x: Tensor) -> dict[str, Tensor]:
        calls.append(x.shape[2:])
        scale = x.shape[2] / 128
        points = STANDING * scale
        if len(calls) % 2 == 0:  # the mirrored look
            points = np.stack([x.shape[3] - points[:, 0], points[:, 1]], 1)[list(LSP.mirrored)]
        return rendered(points, (x.shape[2] // 4, x.shape[3] // 4))

    maps = maps_of(look, torch.zeros(1, 3, 128, 96), 4, LSP, Options((0.75, 1.0, 1.5), flip=True))
    assert [list(shape) for shape in calls] == [[96, 72]] * 2 + [[128, 96]] * 2 + [[192, 144]] * 2
    assert maps["heat"].shape == (1, 1, 15, 32, 24)
    last = {name: value[:, -1] for name, value in maps.items()}
    found = find(last, 4, LSP, Constants(), 3)
    np.testing.assert_allclose(found["keypoints"][0, 0, :, :2], STANDING, atol=1)
    assert (found["score"][0] > 0).tolist() == [True, False, False]
    one = find({"heat": last["heat"]}, 4, LSP, Constants(), 1)
    np.testing.assert_allclose(one["keypoints"][0, 0, :, :2], STANDING, atol=1)


def test_key_points_come_back_to_their_file() -> None:
    points = torch.zeros(1, 1, 14, 3)
    points[0, 0, 0] = torch.tensor([10.0, 20.0, 0.5])
    frame = torch.tensor([[-0.5, 0.0, 48.0], [0.0, 0.5, 0.0]])  # mirrored, and half as large
    back = restored(points, frame, (128, 96), LSP)
    assert back[0, 0, LSP.mirrored[0]].tolist() == [76, 40, 0.5]
    assert not back[0, 0, 0].any()


class Known(nn.Module):
    """A model that says what it was told, wherever it looks."""

    def __init__(self, maps: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in maps.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        nothing = x.mean((1, 2, 3))[:, None, None, None, None] * 0
        return {name: self.get_buffer(name) + nothing for name in ("heat", "limbs")}


def recipe(**more: Any) -> Any:
    values = tiny_values("image", model={"kind": "pose_mobilenet_v2", "width_mult": 0.1, "channels": 8, "stride": 4})
    values["task"] = {"kind": "keypoints", "body": "lsp14", **more}
    values["data"] = {"source": {"kind": "stick-figures"}}
    values["augment"] = {"train": [{"Resize": {"height": 128, "width": 96}}]}
    values["augment"]["eval"] = values["augment"]["train"]
    values["loss"] = {}
    return check(values, "a test's recipe")


@pytest.mark.slow
def test_the_example_beside_an_exported_network_draws_skeletons(tmp_path: Path) -> None:
    made = recipe()
    task = task_of(made, ("person",))
    given = exportable(made, Known(rendered(STANDING, (32, 24))), task)
    write_onnx(given, traced(given), tmp_path / "model.onnx")
    described = about(made, given, any_size=False)
    write_beside(tmp_path, described, ["person"], "", True, task.helper)
    Image.fromarray(np.full((128, 96, 3), 90, np.uint8)).save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "example.py", "a.png"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    (body,) = json.loads(done.stdout)["bodies"]
    assert list(body["joints"]) == list(LSP.joints)
    np.testing.assert_allclose([place[:2] for place in body["joints"].values()], STANDING, atol=1)
    drawn = np.asarray(Image.open(tmp_path / "skeletons.png"))
    assert drawn.shape == (128, 96, 3)
    left, right = ((STANDING[a] + STANDING[b]) / 2 for a, b in ((3, 4), (1, 2)))
    assert drawn[int(left[1]), int(left[0])].tolist() == [255, 120, 40]
    assert drawn[int(right[1]), int(right[0])].tolist() == [40, 170, 255]


def test_what_is_asked_of_an_evaluation_reaches_the_task() -> None:
    task = task_of(recipe(), ("person",))
    assert (task.stride, len(task.body.joints), task.is_one) == (4, 14, False)  # type: ignore[attr-defined]  # KeyPoints
    assert Options.of(Evaluate(scales=[0.5, 1], flip=True)) == Options([0.5, 1], True)
    values = plain(recipe())
    values["evaluate"]["assembly"] = {"peak": 0.3, "least_joints": 2}
    other = check(values, "a test's recipe")
    strict = task_of(other, ("person",))
    assert strict.told(other.evaluate)["assembly"] == {**Constants()._asdict(), "peak": 0.3, "least_joints": 2}
    # A training reads nothing of it: its fingerprint does not know.
    assert strict.answer({"heat": torch.zeros(2, 1, 15, 4, 4)})["assembly"].tolist() == [list(Constants())] * 2
    one = task_of(recipe(persons="one"), ("person",))
    assert replace(one).is_one  # type: ignore[attr-defined]  # KeyPoints
