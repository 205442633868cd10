"""`task` in a recipe: what a sample means to the model. A section a task; a line in `SECTIONS` a kind."""

from typing import Any, ClassVar, Literal, get_args

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from models.options import OPTIONS, Answers
from pipeline.base import plugins
from pipeline.base.errors import ZoetropeError
from pipeline.recipe.bodies import Body
from pipeline.recipe.restoring import Degrade
from pipeline.recipe.section import Modality, Section

OF_PICTURES = frozenset({"mixup", "cutmix", "ricap", "sample_pairing"})
"""Ways of mixing that leave pictures as large as they are, and have no objects laid over others."""
WAYS = OF_PICTURES | {"mosaic", "copy_paste"}
"""All ways of mixing."""


class TaskSection(Section):
    """What a sample means to the model."""

    kind: str
    label_sets: ClassVar[bool] = False
    """Whether a sample is stored with a set of classes, perhaps an empty one, where others have exactly one."""
    answers: ClassVar[Answers] = "classes"
    """What its models answer: see `models.options.ModelOptions`."""
    outlines: ClassVar[bool] = False
    """Whether its objects have masks."""
    mixes: ClassVar[frozenset[str]] = OF_PICTURES
    """The ways of mixing that mean something for its targets."""
    task: ClassVar[Any] = None
    """Of a user's own task, its `pipeline.tasks.base.Task`; ours are in `pipeline.tasks.TASKS`."""

    @property
    def modality(self) -> Modality:
        """What a sample is: one image or one video."""
        return "video" if self.kind.startswith("video-") else "image"


class Classification(TaskSection):
    """One label a sample."""

    kind: Literal["image-classification", "video-classification"]


class Multilabel(TaskSection):
    """Any number of labels a sample, each class a question of its own."""

    kind: Literal["image-multilabel", "video-multilabel"]
    label_sets = True


class Segmentation(TaskSection):
    """A class a pixel."""

    kind: Literal["segmentation"]
    label_sets = True
    answers = "mask"


class Detection(TaskSection):
    """Boxes of objects, each of a class."""

    late = frozenset({"max_objects"})

    kind: Literal["detection"]
    label_sets = True
    answers = "objects"
    mixes = OF_PICTURES | {"mosaic"}
    max_objects: PositiveInt | None = None
    """Places for objects in a sample of a batch; of a sample with more the largest are kept. By default as many as the
    sample with the most has."""


class Keypoints(TaskSection):
    """Key points of bodies: the joints of persons, or of what else has a body."""

    kind: Literal["keypoints"]
    label_sets = True
    answers = "keypoints"
    mixes = frozenset()
    body: Literal["coco17", "coco18", "lsp14", "mpii16", "hand21"] | Body = "coco17"
    """Joints and limbs: a known body, or one of your own. `coco18` is OpenPose's, COCO's with a neck, and `hand21` that
    of its hand model. A source's joints are taken by their names where it names them."""
    persons: Literal["many", "one"] = "many"
    """Whether a picture may show several bodies, whose joints are put together along the limbs; or one that fills it,
    whose every joint is where its map is highest."""
    sigma_px: PositiveFloat = 7.0
    """Standard deviation of the Gaussian that stands for a joint in the map that is learned, in px of the view."""
    peak_weight: NonNegativeFloat = 0.0
    """How much more than the background a place counts in the loss where a joint is, whose map is 1 there. OpenPose has
    0; with few pictures, of which joints are a small part, 30 learns sooner."""
    limb_px: PositiveFloat = 8.0
    """How far from a limb's line its affinity field reaches, in px of the view."""


class Instances(TaskSection):
    """Boxes of objects, each of a class and with a mask."""

    kind: Literal["instances"]
    label_sets = True
    answers = "objects"
    outlines = True
    mixes = OF_PICTURES | {"copy_paste"}
    max_objects: PositiveInt | None = None
    """Places for objects in a sample of a batch; of a sample with more the largest are kept. By default as many as the
    sample with the most has."""


class Restoration(TaskSection):
    """A picture as it was: enlarged, without noise, blur or the traces of JPEG."""

    kind: Literal["restoration"]
    label_sets = True
    answers = "image"
    mixes = frozenset({"mixup", "cutmix", "ricap"})
    scale: Literal[1, 2, 3, 4] = 1
    """How many times as large as its input the restored picture is, each side. Sizes of crops are those of the restored
    picture."""
    degrade: Degrade | None = None
    """How inputs are made of the source's pictures, in the feed. Without it samples are pairs: the source's pictures
    are inputs, and it gives targets, too."""


SECTIONS: dict[str, type[TaskSection]] = {
    kind: section
    for section in (Classification, Multilabel, Segmentation, Detection, Instances, Keypoints, Restoration)
    for kind in get_args(section.model_fields["kind"].annotation)
}


def own_section(name: str) -> type[TaskSection]:
    """Return the section of a user's own task by a name such as `my_package.my_module:MyTask`."""

    def refuse(found: Any) -> type[TaskSection]:
        raise ZoetropeError(f"{name} is no subclass of pipeline.recipe.tasks.TaskSection")

    made = plugins.section(name, TaskSection, own_section, refuse)
    if made.task is None:
        raise ZoetropeError(f"{name}: its class attribute `task` must be a subclass of pipeline.tasks.base.Task")
    return made


def fitting_models(task: TaskSection) -> list[str]:
    """Return the names of the models that take and answer what a task's samples are and ask for."""
    asked = (task.modality, task.answers, task.outlines)
    return [name for name, one in OPTIONS.items() if (one.modality(), one.answers, one.outlines) == asked]


def section_of(kind: str, **options: Any) -> TaskSection:
    """Return the section of a kind with nothing else set but `options`."""
    return SECTIONS[kind].model_validate({"kind": kind, **options})
