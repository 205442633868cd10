"""What a folder is: every source says whether one looks like its own, a file a source."""

from collections.abc import Callable

from pipeline.base.errors import ZoetropeError
from pipeline.sources.kinds import counted, kind
from pipeline.sources.path_or_url import suffix
from pipeline.sources.recognise import (
    activitynet,
    charades,
    coco,
    cvat,
    diving48,
    folder,
    frames,
    hmdb51,
    images,
    kinetics,
    labelme,
    lsp,
    mpii,
    something,
    table,
    tars,
    ucf101,
    unlabelled,
    voc,
    yolo,
)
from pipeline.sources.recognise.tree import Guess, Tree, is_split, tree_of

__all__ = ["RECOGNISERS", "Guess", "Tree", "recognise", "tree_of"]

RECOGNISERS: dict[str, Callable[[Tree], Guess | None]] = {
    "ucf101": ucf101.recognise,
    "hmdb51": hmdb51.recognise,
    "kinetics": kinetics.recognise,
    "something-something": something.recognise,  # and jester
    "diving48": diving48.recognise,
    "charades": charades.recognise,
    "activitynet": activitynet.recognise,
    "lsp": lsp.recognise,
    "mpii": mpii.recognise,
    "coco": coco.recognise,
    "images": images.recognise,
    "voc": voc.recognise,
    "yolo": yolo.recognise,
    "labelme": labelme.recognise,
    "cvat": cvat.recognise,
    "table": table.recognise,
    "frames": frames.recognise,
    "folder": folder.recognise,
    "webdataset": tars.recognise,
}
"""By the kind of a source, in the order in which they are asked: the first that knows a folder has it."""
LAYOUTS = """\
  rose/1.jpg tulip/2.jpg              a folder a class, of images or videos; or below train/ and val/
  images/1.jpg masks/1.png            a mask an image; or 1.jpg 1_mask.png in one folder
  labels.csv                          a table: path,label and perhaps split
  run/video1/img_00001.jpg            folders of frames
  images/1.jpg instances.json         COCO's annotations
  images/1.jpg labels/1.txt           YOLO's, with data.yaml or classes.txt; VOC's and CVAT's XML; LabelMe's JSON
  images/im0001.jpg joints.mat        LSP's key points; MPII's: mpii_human_pose_v1_u12_1.mat, or JSON of persons
  train-000000.tar                    WebDataset tars
  1.jpg 2.jpg                         pictures alone, to learn how to double their size
  trainlist01.txt, train.csv, ...     UCF101, HMDB51, Kinetics, Something-Something, Jester, Diving48, Charades,
                                      ActivityNet: their files and the videos"""


def recognise(tree: Tree) -> Guess:
    """Ask every source. ZoetropeError, with what there is and what could be, where none knows the folder."""
    inside: dict[str, set[str]] = {}
    for name in (*tree.images, *tree.videos):
        top, *folders = name.split("/")[:-1] or [""]
        inside.setdefault(top, set()).update(folders[:1])
    parts = folder.PARTS
    own = [top for top in sorted(inside) if not (is_split(top) or top.lower() in parts or images.MASKED.search(top))]
    if (several := [top for top in own if folder.is_data_set(inside[top])])[1:]:
        raise folder.data_sets(tree, several)
    for ask in RECOGNISERS.values():
        if guess := ask(tree):
            return guess
    if guess := unlabelled.recognise(tree):
        return guess
    kinds: dict[str, int] = {}
    for name in tree.sizes:
        what = kind(suffix(name))
        kinds[what] = kinds.get(what, 0) + 1
    there = f"holds {counted(kinds)}, in no order that is known" if kinds else "holds no file"
    raise ZoetropeError(f"{tree.root} {there}. Known are:\n{LAYOUTS}")
