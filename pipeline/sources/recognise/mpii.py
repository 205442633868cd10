"""MPII Human Pose: its own file of Matlab, or persons in JSON."""

from pipeline.sources.images import SPLIT
from pipeline.sources.listing import SPELT
from pipeline.sources.recognise.tree import Guess, Tree, common_folder

HEAD_BYTES = 1 << 12
KEY = b'"joints_vis"'


def recognise(tree: Tree) -> Guess | None:
    """Take mpii_human_pose_v1_u12_1.mat, or JSON files of persons with `joints_vis`; and the images beside them."""
    own = [name for name in tree.named(".mat") if name.rpartition("/")[2].startswith("mpii_human_pose")]
    annotations = own[0] if own else _records(tree)
    if annotations is None or not tree.images:
        return None
    source = {"kind": "mpii", "path": tree.path(common_folder(tree.images)), "annotations": tree.path(annotations)}
    return Guess("keypoints", source, f"MPII Human Pose by {annotations}", options={"body": "mpii16"})


def _records(tree: Tree) -> str | None:
    """Return the file of train, with {split} where there is one of val; None where no file is of persons."""
    found = []
    for name in tree.named(".json"):
        with (tree.root / name).open("rb") as file:
            if KEY in file.read(HEAD_BYTES):
                found.append(name)
    for train in (name for name in found if name.endswith("train.json")):
        stem = train.removesuffix("train.json")
        both = any(f"{stem}{val}.json" in found for val in SPELT["val"])
        return f"{stem}{SPLIT}.json" if both else train
    return found[0] if found else None
