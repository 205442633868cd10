"""The kinds of `data.source`, one model a kind. `docs/sources.md` has an example of each."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.base import plugins
from pipeline.base.errors import ZoetropeError, unknown
from pipeline.recipe.object_sources import OBJECT_SOURCES, POSE_SOURCES, ObjectSources
from pipeline.recipe.section import Fraction, Modality, Section
from pipeline.recipe.tasks import TaskSection


class MaskClasses(Section):
    """What the values of masks mean, of sources that have masks."""

    late = frozenset({"classes", "ignore"})

    classes: str | list[str] | dict[int, str] | None = None
    """The classes of masks, in their order: a list of names, of which the first has the value 0; a mapping of values to
    names, such as `{0: background, 255: cell}`; or a file with a line a class: `name`, or `value name`, or with colours
    `name, red, green, blue`. Several values of one name are one class."""
    ignore: list[int | str] = Field(default=[])
    """Values, or names among `classes`, of pixels that are neither trained on nor measured. 255 is one of them unless
    `classes` names it."""

    @field_validator("classes", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """One sentence for what is none of the three."""
        is_mapping = isinstance(value, dict) and all(str(key).isdecimal() for key in value)
        names = list(value.values()) if is_mapping else value if isinstance(value, list) else [value or ""]
        if all(isinstance(name, str) for name in names):
            return value
        raise ValueError(
            "is neither a list of names, nor a mapping of values to names such as {0: background, 255: cell}, nor a "
            "file; names that are numbers stand in quotes"
        )


class FolderSource(Section):
    """A folder a class: `train/<class>/*`, `val/<class>/*` and perhaps `test/<class>/*`, or `<class>/*` split by
    `data.split`. Splits may have other names: `training`, `valid`, `validation`, `dev`, `eval`, `testing`.
    """

    kind: Literal["folder"]
    path: str
    """The folder; a relative path is relative to the recipe."""


class TableColumns(Section):
    """How a table's columns are called."""

    late = frozenset({"mask", "instances", "box", "crowd"})

    path: str = "path"
    """The file: a path or a URL (https, s3, ...)."""
    label: str = "label"
    """The class, any text or number; several of them, see `separator`, for a multi-label task."""
    split: str | None = None
    """`train`, `val` or `test`, or other names of these such as `validation`. By default the column `split` when the
    table has one, else `data.split` holds out."""
    start_s: str | None = None
    """Where in the video the sample starts, in seconds; empty: at its start. By default `start_s` when there is one.
    A frame belongs to the sample when start_s <= its time < end_s, with half a millisecond's tolerance."""
    end_s: str | None = None
    """Where it ends, in seconds; empty: at the video's end. By default `end_s` when there is one."""
    mask: str | None = None
    """The mask of an image: a path or a URL. By default `mask` when there is one, and task.kind asks for masks."""
    instances: str | None = None
    """The instance map of an image, likewise. Without a column of masks, what has an object is class 1 of two."""
    box: str | Annotated[list[str], Field(min_length=4, max_length=4)] | None = None
    """Of objects: the four columns of a box in the order of `boxes`, such as `[xmin, ymin, xmax, ymax]`, or the one
    that holds all four numbers. By default the ones that are called as boxes usually are. Where they are empty, the
    image shows no object."""
    crowd: str | None = None
    """Of objects: 0 for one object, 1 for several in one box, 2 for one that is neither to be found nor missed. By
    default `crowd` when there is one."""


class TableSource(MaskClasses):
    """A table with a row a sample: text, JSON lines or Parquet. Several segments of one video are several samples. For
    detection, a row an object. For key points, a row a body, with columns `<joint>_x` and `<joint>_y` in pixels, such
    as `left_knee_x`, empty where it is not labelled, and perhaps `<joint>_v`, COCO's visibility; boxes and labels,
    `person`, may be left out.
    """

    late = MaskClasses.late | {"boxes", "relative"}

    kind: Literal["table"]
    path: str
    """The table, a path or a URL ending in .csv, .tsv, .txt, .jsonl or .parquet; a relative path is relative to the
    recipe. The separator of text is a comma, a tab, a semicolon or blanks, and the heading may be left out."""
    columns: TableColumns = TableColumns()
    root: str | None = None
    """Folder, or URL of one, that relative paths in the table start from; by default the table's own folder, or
    `images` or `videos` in it where the first file lies there."""
    separator: str | None = None
    """What stands between the labels of one sample, such as "|"; JSON lines and Parquet may hold lists instead."""
    boxes: Literal["xyxy", "xywh", "centre"] = "xyxy"
    """Of objects: what the four numbers of a box are: two corners; a corner, width and height; or the centre, width and
    height. Edges, from 0."""
    relative: bool = False
    """Of objects: whether these are shares of the image's width and height, and not pixels."""


class ImagesSource(MaskClasses):
    """Images and, beside them, masks or what they are to be restored to: `{split}` in the paths stands for train, val
    and, where there is one, test, or for other names of these such as training; without it `data.split` holds out. An
    image and its mask have one path below their folders, without extension.
    """

    late = MaskClasses.late | {"targets", "target_suffix"}

    kind: Literal["images"]
    path: str
    """The images' folder, such as `./camvid/{split}/images`; a relative path is relative to the recipe."""
    masks: str | None = None
    """The masks' folder: PNGs."""
    instances: str | None = None
    """The folder of instance maps: PNGs of 8 or 16 bits, the number of an object a pixel, 0 beside them. Without
    `masks`, what has an object is class 1 of two, which `classes` may name: [background, object]."""
    image_suffix: str = ""
    """How the images' names end before the extension, such as `_leftImg8bit`; others are passed over."""
    mask_suffix: str = ""
    """How the masks' names end before the extension, such as `_L` or `_gtFine_labelIds`."""
    instance_suffix: str = ""
    """How the instance maps' names end."""
    targets: str | None = None
    """For restoration, the folder of what images are to be restored to: images of the same names, of any format."""
    target_suffix: str = ""
    """How the targets' names end before the extension."""


class CocoSource(Section):
    """Images with COCO's annotations: boxes, or for masks polygons and run lengths, drawn in the annotations' order."""

    kind: Literal["coco"]
    path: str
    """The images' folder, such as `./coco/{split}2017`; a relative path is relative to the recipe."""
    annotations: str
    """The JSON file, such as `./coco/annotations/instances_{split}2017.json`. `{split}` stands for train, val
    and, where there is one, test; without it `data.split` holds out."""
    background: str | None = "background"
    """Of masks: the class of pixels without an object, the first one; null: these are neither trained on nor measured.
    Categories follow in the file's order."""


class FramesSource(Section):
    """Videos as folders of pictures, encoded when they are sharded: `<class>/<video>/img_00001.jpg`, or below `train/`,
    `val/` and perhaps `test/`.
    """

    kind: Literal["frames"]
    path: str
    """The folder; a relative path is relative to the recipe."""
    fps: Annotated[float, Field(gt=0, le=1000)]
    """Frames a second."""
    pattern: str = "*"
    """Names of the files that are frames, such as `img_*`. They follow each other by the last number in their names."""


class AnnotatedVideos(Section):
    """Videos in a folder, named by annotation files."""

    path: str
    """Folder of the videos, in whatever folders below it; a relative path is relative to the recipe."""
    annotations: str
    """The annotation files' folder, or a single file."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Given where videos are folders of pictures: frames a second."""
    pattern: str = "*"
    """Names of the files that are frames, such as `img_*`."""


class KineticsSource(AnnotatedVideos):
    """Kinetics' annotation files (CSV: label, youtube_id, time_start, time_end, split). A video is
    `<id>_<start>_<end>.mp4`, with six digits each, or `<id>.mp4`.
    """

    kind: Literal["kinetics"]
    untrimmed: bool = False
    """`<id>.mp4` is the whole YouTube video, of which time_start to time_end is the sample."""
    max_missing: Fraction = 0.5
    """Largest share of the videos named that may not be there: some are gone from YouTube. They are counted and listed
    in `missing.txt`, and are no bad samples. More than a half is taken for a wrong `path`."""


class SomethingSource(AnnotatedVideos):
    """Something-Something v2 (labels.json, train.json, validation.json) or v1 (the same as CSV), their names with or
    without a prefix. A video is `<id>.webm`, or a folder `<id>` of frames.
    """

    kind: Literal["something-something"]
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class Ucf101Source(AnnotatedVideos):
    """UCF101's split files: trainlist01.txt is train, testlist01.txt is val."""

    kind: Literal["ucf101"]
    fold: Literal[1, 2, 3] = 1
    """Which of the three splits."""
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class Hmdb51Source(AnnotatedVideos):
    """HMDB51's split files, `<class>_test_split1.txt`: 1 is train, 2 is val, 0 is in neither."""

    kind: Literal["hmdb51"]
    fold: Literal[1, 2, 3] = 1
    """Which of the three splits."""
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class JesterSource(AnnotatedVideos):
    """Jester's files jester-v1-labels.csv, -train.csv and -validation.csv. A video is a folder `<id>` of frames, 12 a
    second: `fps: 12`.
    """

    kind: Literal["jester"]
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class Diving48Source(AnnotatedVideos):
    """Diving48's files Diving48_vocab.json, Diving48_V2_train.json and Diving48_V2_test.json, which is val. A video is
    `<vid_name>.mp4`, or a folder of frames.
    """

    kind: Literal["diving48"]
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class CharadesSource(AnnotatedVideos):
    """Charades' files Charades_v1_train.csv, Charades_v1_test.csv, which is val, and Charades_v1_classes.txt, for a
    multi-label task: a sample is a whole video. It is `<id>.mp4`, or a folder `<id>` of frames, `fps: 24`.
    """

    kind: Literal["charades"]
    max_missing: Fraction = 0.0
    """Largest share of the videos named that may not be there."""


class ActivityNetSource(AnnotatedVideos):
    """ActivityNet's activity_net.v1-3.min.json: each labelled segment of training and validation is a sample. A video,
    the whole of it, is `v_<id>.mp4` or `<id>.mp4`.
    """

    kind: Literal["activitynet"]
    max_missing: Fraction = 0.5
    """Largest share of the segments named whose videos may not be there, as of Kinetics."""


COMPANIONS = ("seg.png", "inst.png", "objects.json", "target.png")
"""What rides along with images and videos: the keys of `pipeline.decode.members.MEMBERS`, which loads OpenCV."""
Extension = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class WebDatasetSource(MaskClasses):
    """WebDataset tars that are there already: read where they lie, and never written again. Only an index is made."""

    late = MaskClasses.late | {"members", "test_urls"}

    kind: Literal["webdataset"]
    urls: str | list[str]
    """Paths or URLs of the tars, several by `{000000..000099}`, `{a,b}`, `*` or `?`; relative ones are relative to the
    recipe."""
    val_urls: str | list[str] | None = None
    """The tars of `val`; without them `data.split` holds samples of `urls` out."""
    test_urls: str | list[str] | None = None
    """The tars of `test`, if there are any."""
    extensions: list[str] | None = None
    """Extensions of the members that are the images or videos, such as `[jpg]`; by default all that the task knows."""
    label: str = "cls"
    """The member that holds the label as text, by its extension; or a key of the JSON member, such as `json.label` or
    `json.meta.class`."""
    members: dict[str, Extension] = Field(default={})
    """Companions of the images or videos that every sample has -> their extensions in these tars, such as
    `{seg.png: mask.png}`. `seg.png`: a mask, a PNG; `inst.png`: an instance map; `objects.json`: boxes, as
    docs/sources.md says; `target.png`: what an image is to be restored to."""

    @field_validator("members")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in COMPANIONS:
                raise ValueError(unknown("companion", name, COMPANIONS))
        return value


class DrawnSource(Section):
    """A source that draws its files."""

    kind: str
    samples: int
    """How many files are drawn."""
    size_px: int
    """Width and height."""


class MovingDigitsSource(DrawnSource):
    """H.264 clips of real handwritten digits that move left, right, up or down; the direction is the class."""

    kind: Literal["moving-digits"]
    samples: Annotated[int, Field(ge=8)] = 1200
    """How many clips are drawn."""
    size_px: Annotated[int, Field(ge=16, le=512, multiple_of=2)] = 64
    """Width and height."""
    frames: Annotated[int, Field(ge=2, le=256)] = 16
    """Frames of a clip."""


class DigitsSource(DrawnSource):
    """JPEG images of real handwritten digits; the digit is the class."""

    kind: Literal["digits"]
    samples: Annotated[int, Field(ge=20, le=1797)] = 1797
    """How many images are drawn."""
    size_px: Annotated[int, Field(ge=8, le=512)] = 32
    """Width and height."""


class OwnSource(Section):
    """Base of a user's own source: its fields are the recipe's keys. `pipeline.sources.Files` says more."""

    if TYPE_CHECKING:
        kind: str  # the class' own name

    def look(self, task: TaskSection, val_share: float) -> Any:
        """List what the source holds: a `pipeline.sources.listing.Listing`.

        val_share: `data.split.val`; a candidate of the split "" is held out by all that `data.split` says
        """
        raise NotImplementedError

    def digest(self) -> str:
        """Tell what is there now: another answer makes the stages run again."""
        raise NotImplementedError


def source_of(name: str) -> type[OwnSource]:
    """Return the user's own source of a name such as `my_package.my_module:MySource`. ZoetropeError for none."""

    def refuse(found: Any) -> type[OwnSource]:
        raise ZoetropeError(f"{name} is no subclass of pipeline.recipe.sources.OwnSource")

    return plugins.section(name, OwnSource, source_of, refuse)


OWN = plugins.or_own(source_of)


class DigitScenesSource(DrawnSource):
    """JPEG images of one or two real handwritten digits on photographs, with masks: a class a digit and the
    background. Both splits show the same 200 digits, at other places and sizes.
    """

    kind: Literal["digit-scenes"]
    samples: Annotated[int, Field(ge=20)] = 1000
    """How many images are drawn."""
    size_px: Annotated[int, Field(ge=32, le=512)] = 96
    """Width and height."""


class DigitObjectsSource(DrawnSource):
    """JPEG images of one to four real handwritten digits on photographs, with their boxes: a class a digit. Both splits
    show the same 200 digits, at other places and sizes.
    """

    kind: Literal["digit-objects"]
    samples: Annotated[int, Field(ge=20)] = 1000
    """How many images are drawn."""
    size_px: Annotated[int, Field(ge=64, le=512)] = 96
    """Width and height."""


class StickFiguresSource(DrawnSource):
    """JPEG images of one to three stick figures on photographs, with their key points, `task.body: lsp14`. Figures look
    at the viewer, so that their right side is on the left.
    """

    kind: Literal["stick-figures"]
    samples: Annotated[int, Field(ge=20)] = 1000
    """How many images are drawn."""
    size_px: Annotated[int, Field(ge=64, le=512)] = 128
    """Width and height."""


class DigitInstancesSource(DrawnSource):
    """The same images with a mask of each digit, for instances."""

    kind: Literal["digit-instances"]
    samples: Annotated[int, Field(ge=20)] = 1000
    """How many images are drawn."""
    size_px: Annotated[int, Field(ge=64, le=512)] = 96
    """Width and height."""


class PhotographsSource(DrawnSource):
    """PNG images, parts of two photographs that do not overlap: for restoration, without labels."""

    kind: Literal["photographs"]
    samples: Annotated[int, Field(ge=10, le=1000)] = 80
    """How many parts are cut out; of 80 px there are 80, of others as many as fit."""
    size_px: Annotated[int, Field(ge=16, le=213)] = 80
    """Width and height."""

    @model_validator(mode="after")
    def _fit(self) -> "PhotographsSource":
        most = 2 * (640 // self.size_px) * (427 // self.size_px)
        if self.samples > most:
            raise ValueError(f"of {self.size_px} px there are {most} parts; set samples to that or less")
        return self


Annotations = (
    KineticsSource
    | SomethingSource
    | Ucf101Source
    | Hmdb51Source
    | JesterSource
    | Diving48Source
    | CharadesSource
    | ActivityNetSource
)
"""Sources whose samples are named by annotation files."""
FileSource = FolderSource | TableSource | ImagesSource | CocoSource | ObjectSources | FramesSource | Annotations
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class MixtureSource(Section):
    """Several sources as one. Classes of the same name are one class. `train.sampling` says how much of each is trained
    on; by default every sample once an epoch.
    """

    kind: Literal["mixture"]
    of: Annotated[dict[SourceName, Annotated[FileSource, Field(discriminator="kind"), *OWN]], Field(min_length=2)]
    """Name of each source, of letters, digits, '-' and '_' -> the source, of a kind that is files."""


Drawn = (
    MovingDigitsSource
    | DigitsSource
    | DigitScenesSource
    | DigitObjectsSource
    | DigitInstancesSource
    | StickFiguresSource
    | PhotographsSource
)
Source = Annotated[
    FileSource | MixtureSource | WebDatasetSource | Drawn,
    Field(discriminator="kind"),
    *OWN,
]
SOURCE_MODALITY: dict[str, Modality] = {
    "images": "image",
    "coco": "image",
    **dict.fromkeys((*OBJECT_SOURCES, *POSE_SOURCES), "image"),
    "frames": "video",
    "kinetics": "video",
    "something-something": "video",
    "ucf101": "video",
    "hmdb51": "video",
    "jester": "video",
    "diving48": "video",
    "charades": "video",
    "activitynet": "video",
    "moving-digits": "video",
    "digits": "image",
    "digit-scenes": "image",
    "digit-objects": "image",
    "stick-figures": "image",
    "digit-instances": "image",
    "photographs": "image",
}
WITH_MASKS = ("images", "table", "coco", "webdataset", "digit-scenes")
"""The kinds that may give masks."""
WITH_OBJECTS = ("coco", *OBJECT_SOURCES, "images", "table", "webdataset", "digit-objects", "digit-instances")
"""The kinds that may give boxes of objects."""
WITH_KEYPOINTS = ("coco", "yolo", *POSE_SOURCES, "table", "webdataset", "stick-figures")
"""The kinds that may give key points."""
WITH_PICTURES = ("images", "webdataset", "mixture", "photographs")
"""The kinds that give pictures without labels, or pairs of them."""
WITHOUT_LABELS = (
    *("images", "coco", *OBJECT_SOURCES, *POSE_SOURCES),
    *("digit-scenes", "digit-objects", "digit-instances", "stick-figures", "photographs"),
)
"""The kinds that give no label beside them."""
