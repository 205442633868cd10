"""Bodies as data, and what a recipe may say of them."""

from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import Recipe, check
from pipeline.recipe.bodies import BODIES, Body, skeleton_of
from tests.conftest import tiny_values


def recipe(model: dict[str, Any] | None = None, evaluate: dict[str, Any] | None = None, **task: Any) -> Recipe:
    values = tiny_values("image", model={"kind": "pose_resnet18", "width": 8, **(model or {})})
    values["task"] = {"kind": "keypoints", **task}
    values["data"] = {"source": {"kind": "stick-figures"}}
    values["augment"] = {"train": ["HorizontalFlip"], "eval": []}
    values |= {"loss": {}, "evaluate": evaluate or {}}
    return check(values, "a test's recipe")


def refusal(**what: Any) -> str:
    with pytest.raises(ZoetropeError) as raised:
        recipe(**what)
    return str(raised.value)


def named(body: str, pairs: list[tuple[int, int]]) -> set[tuple[str, str]]:
    return {(BODIES[body].joints[a], BODIES[body].joints[b]) for a, b in pairs}


@pytest.mark.parametrize(
    ("body", "joints", "limbs", "swaps"),
    [
        ("coco17", 17, 18, {(i, i + 1) for i in range(1, 17, 2)}),
        ("coco18", 18, 19, {(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17)}),
        ("lsp14", 14, 13, {(0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)}),
        ("mpii16", 16, 15, {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}),
        ("hand21", 21, 20, set()),
    ],
)
def test_known_bodies(body: str, joints: int, limbs: int, swaps: set[tuple[int, int]]) -> None:
    """Numbers of joints and swaps as the data sets publish them; every joint hangs on a limb, every limb has its
    twin.
    """
    found = BODIES[body]
    assert (len(found.joints), len(found.limbs)) == (joints, limbs)
    assert {(i, j) for i, j in enumerate(found.mirrored) if i < j} == swaps
    assert sorted(joint for joint in found.mirrored) == list(range(joints))
    assert {joint for limb in found.limbs for joint in limb} == set(range(joints))
    assert found.mirrored_limbs() is not None
    assert sorted(found.order) == list(range(limbs))


def test_sigmas_of_coco() -> None:
    """cocoeval.py; OpenPose's neck, which COCO has not, is not measured."""
    assert BODIES["coco17"].sigmas == (
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107),
        *(0.087, 0.087, 0.089, 0.089),
    )
    assert BODIES["coco18"].sigmas[1] == 0
    assert sum(sigma > 0 for sigma in BODIES["coco18"].sigmas) == 17


def test_limbs_of_openpose_are_in_the_order_of_its_channels() -> None:
    """mapIdx of the port: a limb's channels behind the 19 heat maps."""
    pairs = {(2, 3): 31, (2, 6): 39, (3, 4): 33, (4, 5): 35, (6, 7): 41, (7, 8): 43, (2, 9): 19, (9, 10): 21}
    pairs |= {(10, 11): 23, (2, 12): 25, (12, 13): 27, (13, 14): 29, (2, 1): 47, (1, 15): 49, (15, 17): 53}
    pairs |= {(1, 16): 51, (16, 18): 55, (3, 17): 37, (6, 18): 45}
    limbs = BODIES["coco18"].limbs
    assert [(a + 1, b + 1) for a, b in limbs] == sorted(pairs, key=lambda pair: pairs[pair])
    assert [limbs[k] for k in BODIES["coco18"].order] == [(a - 1, b - 1) for a, b in pairs]


def test_a_body_of_ones_own() -> None:
    body = Body(joints=["tip", "left_end", "right_end"], limbs=[("tip", "left_end"), ("tip", "right_end")])
    made = skeleton_of(body)
    assert (made.mirrored, made.limbs, made.sigmas) == ((0, 2, 1), ((0, 1), (0, 2)), (0.072,) * 3)
    assert made.reference == "the longer side of the box"
    found = recipe(body=body.model_dump())
    assert found.model.joints == 3
    assert found.model.limbs == 2


def test_the_model_has_the_bodys_maps() -> None:
    for body, joints, limbs in (("coco17", 17, 18), ("lsp14", 14, 13)):
        assert recipe(body=body).model.model_dump(include={"joints", "limbs"}) == {"joints": joints, "limbs": limbs}
    assert recipe(persons="one").model.model_dump(include={"joints", "limbs"}) == {"joints": 17, "limbs": 0}


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"body": "coco19"}, "task.body"),
        ({"body": {"joints": ["a", "a"]}}, "'a' stands there twice"),
        ({"body": {"joints": ["a", "b"], "limbs": [["a", "c"]]}}, "limbs: unknown joint 'c'"),
        ({"body": {"joints": ["a", "b"], "sigmas": [0.1]}}, "sigmas: there are 1, and 2 joints"),
        ({"body": {"joints": ["a", "b"]}}, "task.body: has no limbs, by which joints of several bodies are told apart"),
        (
            {"body": {"joints": ["a", "b", "c"], "limbs": [["a", "b"]]}},
            "task.body: limbs leave joints apart, and several bodies are put together along them",
        ),
        ({"model": {"joints": 3}}, "model.joints: is 3, and task.body coco17 has 17; leave it out"),
        (
            {"model": {"kind": "openpose_hand", "width": 8}, "body": "hand21"},
            "task.persons: openpose_hand has no affinity fields",
        ),
        (
            {
                "body": {"joints": ["a", "left_b", "right_b"], "limbs": [["a", "left_b"], ["left_b", "right_b"]]},
                "evaluate": {"flip": True},
            },
            "evaluate.flip: a limb of task.body has none on the other side",
        ),
        (
            {"model": {"kind": "resnet18"}},
            "model.kind: resnet18 answers classes, but task.kind is keypoints; models that",
        ),
        ({"evaluate": {"tile": 64}}, "evaluate.tile: is for models that answer mask or objects or image"),
    ],
)
def test_what_does_not_go_together_is_said(what: dict[str, Any], says: str) -> None:
    assert says in refusal(**what)


def test_key_points_are_not_mixed_and_have_one_loss() -> None:
    values = tiny_values("image", model={"kind": "pose_resnet18", "width": 8})
    values |= {"task": {"kind": "keypoints"}, "data": {"source": {"kind": "digit-objects"}}}
    values |= {"mixing": {"kind": "cutmix"}, "loss": {"label_smoothing": 0.1}}
    values["augment"] = {"train": [{"ElasticTransform": {}}], "eval": []}
    with pytest.raises(ZoetropeError) as raised:
        check(values, "a test's recipe")
    for says in (
        "data.source.kind: digit-objects gives no key points, and task.kind keypoints needs them; sources that give "
        "them are: coco, yolo, lsp, mpii, table, webdataset, stick-figures",
        "mixing.kind: cutmix has no meaning for task.kind keypoints; allowed are: none",
        "loss.label_smoothing: is of classes, and joints have maps; leave it out",
        "augment.train[0].ElasticTransform: bends the picture, so that no frame says where key points lie; use Affine",
    ):
        assert says in str(raised.value)
