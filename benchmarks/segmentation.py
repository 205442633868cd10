"""Small segmentation trainings, run whole, and what their exported models say of the files that were held out.

    python -m benchmarks.segmentation camvid FOLDER STORE [NAME...]   all networks of reduced width
    python -m benchmarks.segmentation nuclei FOLDER STORE [NAME...]   U-Net with border weights, without, and as
                                                                      published; Mask R-CNN

FOLDER holds `camvid/` or `dsb2018/` as the recipes in recipes/ name them. What STORE has already is not trained again.
mIoU is that of the files as they are, at their own size; MSC is with three sizes of them, CRF with a CRF behind one.
DeepLab v2 sees these sizes itself and takes the largest logits; of others the mean of probabilities counts. Nuclei are
the connected parts of U-Net's answer, and the masks of Mask R-CNN's with a score of 0.5 or more; one is found when it
and a true one overlap by half of what they cover together, and touching ones are those within two pixels of another.
"""

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools.mask import decode
from scipy import ndimage

from models.complexity import count_multiply_adds, count_parameters
from models.memory_format import channels_last
from pipeline.exported.predictor import Predictor
from pipeline.recipe import load
from pipeline.verbs.planning import make_plan

CAMVID = (
    *("camvid-fcn8s", "camvid-fcn32s", "camvid-fcn16s-chain", "camvid-fcn8s-chain", "camvid-unet", "camvid-segnet"),
    *("camvid-pspnet", "camvid-deeplabv1", "camvid-deeplabv2", "camvid-deeplabv2-single", "camvid-deeplabv3"),
    *("camvid-deeplabv3plus", "camvid-gcn", "camvid-upernet", "camvid-upernet-horfpn"),
)
"""The chain of FCN in its order: each starts from the one before."""
WAYS: dict[str, dict[str, Any]] = {"480x360": {}, "MSC": {"scales": [0.5, 0.75, 1.0]}, "CRF": {"crf": {}}}
"""How files are looked at, as keys of `evaluate`."""
NUCLEI = ("nuclei-unet", "nuclei-unet-plain", "nuclei-unet-paper", "nuclei-maskrcnn")
SIZE = (180, 240)
"""Height and width of CamVid's pictures as the recipes store them."""
REACH_PX = 2
SAME = 0.5


def camvid(folder: Path, store: str, names: Sequence[str] = CAMVID) -> None:
    """Print a row a network."""
    print(
        f"{'':20} {'parameters':>10} {'GMACs':>6} {'images/s':>8} {'train s':>8} {'mIoU stored':>11}",
        *(f"{way:>7}" for way in WAYS),
    )
    for name in names:
        at = {"path": f"{folder}/camvid/{{split}}/images", "masks": f"{folder}/camvid/{{split}}/masks"}
        made, model = trained(name, store, at)
        with torch.device("meta"):
            cost = count_multiply_adds(model.recipe.model.build(11), (3, *SIZE)) / 1e9
        scores = [mean_iou(confusions(looking(made["export"].path / "model", way), made)) for way in WAYS]
        print(
            f"{name:20} {count_parameters(model.model):10,} {cost:6.2f} {rate(model):8.1f} "
            f"{made['train'].manifest['duration_s']:8.0f} {made['evaluate'].facts['mIoU']:11.1%}",
            *(f"{score:7.1%}" for score in scores),
            flush=True,
        )


def nuclei(folder: Path, store: str, names: Sequence[str] = NUCLEI) -> None:
    """Print a row a way to train."""
    print(
        f"{'':18} {'mIoU':>6} {'objects: precision':>18} {'recall':>7} {'F1':>6} {'of touching':>11} {'true/found':>12}"
    )
    for name in names:
        at = {"path": f"{folder}/dsb2018/images", "instances": f"{folder}/dsb2018/instances"}
        made, model = trained(name, store, at)
        counts = np.sum([objects(model, image, truth) for image, truth in held_out(made, "inst.png")], 0)
        true, found, matched, near, told = counts.tolist()
        iou = made["evaluate"].facts.get("mIoU", np.nan)
        print(
            f"{name:18} {iou:6.1%} {matched / max(found, 1):18.1%} {matched / true:7.1%} "
            f"{2 * matched / (true + found):6.1%} {told / near:11.1%} {true:5,}/{found:6,}",
            flush=True,
        )


def trained(name: str, store: str, source: dict[str, str], *more: str) -> tuple[dict[str, Any], Predictor]:
    """Run a recipe, with more changes to it if any, or find its run; the artifacts by stage and the exported model."""
    recipe = f"recipes/{name}.yaml"
    changes = [f"store={store}", *(f"data.source.{key}={value}" for key, value in source.items()), *more]
    subprocess.run([sys.executable, "-m", "pipeline", "run", recipe, *changes], check=True, stdout=subprocess.DEVNULL)
    planned, _ = make_plan(load(Path(recipe), changes))
    made: dict[str, Any] = {step.stage.name: step.artifact for step in planned.steps}
    return made, Predictor(made["export"].path / "model")


def looking(folder: Path, way: str) -> Predictor:
    """Load an exported model that looks at files in one of `WAYS`."""
    model = Predictor(folder, views=WAYS[way])
    if not getattr(model.model, "msc", False):
        return model
    model = Predictor(folder, views={} if way == "MSC" else WAYS[way])
    model.model.msc = way == "MSC"  # type: ignore[assignment]  # a plain flag
    return model


def held_out(made: dict[str, Any], member: str) -> Iterator[tuple[bytes, np.ndarray]]:
    """The validation files, each with its mask or instance map."""
    for line in made["ingest"].file("samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["split"] == "val":
            path = Path(sample["path"])
            # An instance task keeps no map: its objects are in the row.
            beside = sample.get("members", {member: path.parents[1] / "instances" / f"{path.stem}.png"})
            yield path.read_bytes(), np.asarray(Image.open(beside[member]))


def answer(model: Predictor, image: bytes) -> np.ndarray:
    """The class of each pixel, [H, W]."""
    return np.asarray(Image.open(io.BytesIO(model.task.row(model(image))["mask"])))


def confusions(model: Predictor, made: dict[str, Any]) -> np.ndarray:
    """Pixels of all validation files by true class and answer, [classes, classes]."""
    classes = len(model.classes)
    return np.sum([confusion(model, image, truth, classes) for image, truth in held_out(made, "seg.png")], 0)


def confusion(model: Predictor, image: bytes, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true class and answer; those of no class do not count."""
    counted = truth < classes
    places = truth[counted].astype(np.int64) * classes + answer(model, image)[counted]
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> float:
    """The mean over classes of intersection over union."""
    both = counts.diagonal()
    return float((both / (counts.sum(0) + counts.sum(1) - both)).mean())


def objects(model: Predictor, image: bytes, truth: np.ndarray) -> np.ndarray:
    """Counts: true ones, found ones, matched ones; touching true ones, and those of them that are matched."""
    found = parts(model, image)
    ids, truth = np.unique(truth, return_inverse=True)
    truth = truth.reshape(found.shape[1:])
    if ids[0] != 0:  # no background at all
        truth, ids = truth + 1, np.insert(ids, 0, 0)
    together = np.stack([np.bincount(truth[each], minlength=len(ids)) for each in found], 1)  # [true, found]
    sizes = np.bincount(truth.reshape(-1), minlength=len(ids))[:, None], found.sum((1, 2))
    matched = (together / (sizes[0] + sizes[1] - together) > SAME)[1:].any(1)
    touches = touching(truth, len(ids))
    return np.array([len(ids) - 1, len(found), matched.sum(), touches.sum(), (touches & matched).sum()])


def parts(model: Predictor, image: bytes) -> np.ndarray:
    """The objects of an answer, bool [objects, H, W]; at least one, which may be empty."""
    if model.recipe.task.kind == "segmentation":
        labels, number = ndimage.label(answer(model, image) == 1)
        return labels == np.arange(1, max(number, 1) + 1)[:, None, None]
    said = [json.loads(mask) for mask in model.task.row(model(image))["masks"]]
    empty = np.zeros((1, *np.asarray(Image.open(io.BytesIO(image))).shape[:2]), bool)
    return np.stack([decode(mask).astype(bool) for mask in said]) if said else empty


def touching(truth: np.ndarray, number: int) -> np.ndarray:
    """Whether each object has another within REACH_PX, [objects]."""
    near = np.zeros(number, bool)
    low = ndimage.minimum_filter(np.where(truth, truth, number), 2 * REACH_PX + 1)
    high = ndimage.maximum_filter(truth, 2 * REACH_PX + 1)
    near[truth[(truth > 0) & ((low != truth) | (high != truth))]] = True
    return near[1:]


def rate(model: Predictor, turns: int = 20) -> float:
    """Pictures of SIZE a second of a core's time, one after the other, in channels-last."""
    network = model.model
    channels_last(network)
    x = torch.zeros(1, 3, *SIZE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(x)
        began = time.process_time()
        for _ in range(turns):
            network(x)
    return turns / (time.process_time() - began)


def main(arguments: Sequence[str]) -> None:
    """Print the table that the first argument names."""
    what, folder, store, *names = arguments
    table, every = {"camvid": (camvid, CAMVID), "nuclei": (nuclei, NUCLEI)}[what]
    table(Path(folder).resolve(), str(Path(store).resolve()), names or every)


if __name__ == "__main__":
    main(sys.argv[1:])
