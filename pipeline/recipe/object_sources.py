"""The kinds of `data.source` whose annotations are boxes, outlines or key points of objects, a file each or in one
file.
"""

from typing import Literal

from pipeline.recipe.section import Section


class ObjectSource(Section):
    """Images with objects."""

    path: str
    """The images' folder, such as `./data/{split}/images`; a relative path is relative to the recipe. `{split}` stands
    for train, val and, where there is one, test; without it `data.split` holds out."""


class NamedObjects(ObjectSource):
    """Images with objects whose classes may be listed."""

    classes: str | list[str] | None = None
    """The classes in their order: a list of names, or a file with a name a line. By default those that occur, by the
    alphabet."""


class VocSource(NamedObjects):
    """Pascal VOC: an XML file an image, of the same name. Objects that are `difficult` are neither to be found nor
    missed.
    """

    kind: Literal["voc"]
    annotations: str
    """The XML files' folder, such as `./VOC2007/Annotations`."""
    sets: str | None = None
    """The files that list the images of each split, such as `./VOC2007/ImageSets/Main/{split}.txt`, a name a line."""
    first_pixel: Literal[0, 1] | None = None
    """How the columns of pixels are counted: 1: from 1, the last one included, as VOC's own files do; 0: from 0, edges,
    as LabelImg and most other tools do. By default 1 where the files say that they are VOC's and no box begins at 0,
    else 0; ingest says which."""


class YoloSource(NamedObjects):
    """YOLO: a text file an image, of the same name, with a line an object: `class cx cy w h`, or of a polygon
    `class x1 y1 x2 y2 ...`, as shares of the image; for key points `x y v` of each joint stand behind the box. An image
    without a file shows no object.
    """

    kind: Literal["yolo"]
    path: str
    """The data set's YAML file (`data.yaml`: train, val, test, names), or the images' folder, such as
    `./data/images/{split}`; a relative path is relative to the recipe."""
    labels: str | None = None
    """The text files' folder. By default the images' one with `images` in its path replaced by `labels`."""
    classes: str | list[str] | None = None
    """The classes in their order: a list of names, or a file with a name a line. By default the YAML file's `names`."""


class LabelmeSource(NamedObjects):
    """LabelMe: a JSON file an image, of the same name. Rectangles, polygons, circles and masks are objects; shapes of
    one `group_id` and label are one object.
    """

    kind: Literal["labelme"]
    annotations: str | None = None
    """The JSON files' folder; by default they lie beside the images."""


class CvatSource(ObjectSource):
    """CVAT for images 1.1, or for video 1.1: one XML file. A video's frames lie as images, whose names end in the
    frame's number.
    """

    kind: Literal["cvat"]
    annotations: str
    """The XML file, such as `./annotations_{split}.xml`."""


class LspSource(ObjectSource):
    """Leeds Sports Pose, or its extended set: `joints.mat`, one person an image, `im0001.jpg` or `im00001.jpg`. For key
    points; `task.body: lsp14` is its body.
    """

    kind: Literal["lsp"]
    annotations: str
    """The file `joints.mat`. Its shape says which of the two sets it is, whose marks of what is hidden are opposite."""
    official: bool = False
    """Whether the first half of the images is `train` and the other one `val`, as LSP was published; by default
    `data.split` holds out."""


class MpiiSource(ObjectSource):
    """MPII Human Pose: its own file of Matlab; or JSON, a record a person with `image`, `joints`, `joints_vis`,
    `center` and `scale`, as HRNet and many others have it. For key points; `task.body: mpii16` is its body.
    """

    kind: Literal["mpii"]
    annotations: str
    """The file `mpii_human_pose_v1_u12_1.mat`, of whose training part `data.split` holds out; or the JSON file, such as
    `./annot/{split}.json`."""
    first_pixel: Literal[0, 1] = 1
    """How pixels are counted: from 1, as in MPII's own numbers, or from 0."""


OBJECT_SOURCES = ("voc", "yolo", "labelme", "cvat")
"""Their kinds."""
POSE_SOURCES = ("lsp", "mpii")
"""Those of them whose annotations are key points alone."""
ObjectSources = VocSource | YoloSource | LabelmeSource | CvatSource | LspSource | MpiiSource
