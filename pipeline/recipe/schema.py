"""The recipe's typed form: one frozen model a section, unknown keys forbidden.

Every choice is `{kind: name, its options}`, each kind with its own model. What a key means stands beside it.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from warnings import catch_warnings

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_serializer,
    model_validator,
)

from models.options import OPTIONS
from models.options.own import options_of
from pipeline.base import plugins
from pipeline.base.bands import MAX_CHANNELS, Bands
from pipeline.base.job import default_store
from pipeline.base.size import parse_size
from pipeline.recipe.duration import Duration, parse
from pipeline.recipe.evaluate import Evaluate
from pipeline.recipe.loss import Loss
from pipeline.recipe.mixing import Mixing, NoMixing, mixes
from pipeline.recipe.optimizers import Optimizer
from pipeline.recipe.sampling import AllSamples, Sampling
from pipeline.recipe.schedules import Cosine, Schedule
from pipeline.recipe.section import Fraction, Section
from pipeline.recipe.sources import Source
from pipeline.recipe.split import Split
from pipeline.recipe.tasks import SECTIONS, TaskSection, own_section
from pipeline.recipe.tuning import Tune


def _size(value: Any) -> str:
    text = str(value)  # a number has no unit, which is then told
    parse_size(text)
    return text


Size = Annotated[str, BeforeValidator(_size)]
"""A recipe key that says how many bytes, see `pipeline.base.size`."""


class Classes(Section):
    """Other classes than the source's. `rename` and `merge` are of the source's names, `keep` of what comes out."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    rename: dict[str, str] = Field(default={})
    """Name of a class -> what it is called instead."""
    merge: dict[str, list[str]] = Field(default={})
    """Name of a class, a new one or one that is there -> the classes that become a part of it."""
    keep: list[str] | None = None
    """The classes that there are; samples of others are left out and counted. By default all."""


class Data(Section):
    """Where samples come from."""

    late = frozenset({"classes", "channels", "bits"})

    source: Source
    split: Split = Split()
    classes: Classes = Classes()
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)] = 3
    """Channels of the pictures: 1 is grey, 3 RGB, 4 RGBA, and any other number bands, from TIFF or npy files. Pictures
    of other colours become grey, RGB or RGBA; the number of bands must be that of the files. The model's `in_channels`
    follows. Videos, folders of frames and tars that stay where they are have 3."""
    bits: Literal[8, 16] = 8
    """Of a level. 16: PNG, TIFF or npy files with 16 bits, kept as they are; with 8, their upper 8 bits are taken."""
    max_bad: Fraction = 0.01
    """Largest share of samples that may be unreadable; they go to a quarantine table. More stop the run."""

    @property
    def bands(self) -> Bands:
        """Channels and bits of the pictures."""
        return Bands(self.channels, self.bits)


class VideoShard(Section):
    """How videos are stored: H.264, closed GOP, `tune=fastdecode`, no audio."""

    transcode: bool = True
    """`false` stores the source's bytes."""
    short_side: Annotated[int, Field(ge=16, multiple_of=2)] = 256
    """Length of the shorter side in pixels; smaller videos are not enlarged."""
    gop: PositiveInt = 12
    """Frames from one key frame to the next."""
    crf: Annotated[int, Field(ge=0, le=51)] = 20
    """x264's constant rate factor: lower is better and larger."""


class ImageShard(Section):
    """How images are stored: as they are when small enough, else resized and encoded as JPEG."""

    resize: bool = True
    """`false` stores the source's bytes."""
    short_side: Annotated[int, Field(ge=16)] = 512
    """Images whose shorter side is at most this are stored as they are."""
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    """JPEG quality of what is encoded anew."""


class FlowShard(Section):
    """Optical flow beside each video, a member of its sample: `flow.mp4`, x above y, -limit_px to limit_px as 0 to 255.
    See [flow](flow.md).
    """

    method: Literal["dis", "files"] = "dis"
    """`dis` computes it from the stored video (Kroeger et al. 2016, OpenCV's preset MEDIUM). `files` takes what lies
    beside the frames of a source of frames, a grey picture an axis, as `dense_flow` writes it; or in folders of their
    own, see `x`."""
    limit_px: PositiveFloat = 20.0
    """The longest motion along an axis from a frame to the next, in px; more is clipped. Of `files`, what their levels
    0 and 255 stand for."""
    crf: Annotated[int, Field(ge=0, le=51)] = 16
    """x264's constant rate factor of the flow; 0 loses nothing."""
    x: str = "flow_x_*"
    """Of `files`: how those of x are called; or where they lie, as in `./tvl1_flow/u/{video}/*.jpg`, relative to the
    recipe, in which `{video}` stands for the name of the video's folder, or of its file without extension."""
    y: str = "flow_y_*"
    """Of `files`: how those of y are called, or where they lie, as in `./tvl1_flow/v/{video}/*.jpg`."""


class Shard(Section):
    """How samples are packed into WebDataset tars."""

    late = frozenset({"flow"})

    samples: PositiveInt = 1000
    """Samples in a shard, at most."""
    video: VideoShard = VideoShard()
    image: ImageShard = ImageShard()
    flow: FlowShard | None = None
    """Of videos: optical flow, stored beside them. By default there is none."""


class Clip(Section):
    """Which frames of a video make a clip."""

    late = frozenset({"flow"})

    frames: Annotated[int, Field(ge=1, le=512)] = 8
    """Frames of a clip."""
    sampling: Literal["segments", "dense"] = "segments"
    """`segments`: one frame from each of `frames` equal parts (TSN). `dense`: every `stride`-th frame from a start."""
    stride: PositiveInt = 1
    """Of `dense`: source frames from one frame of the clip to the next."""
    flow: Annotated[int, Field(ge=1, le=64)] | None = None
    """Fields of flow with each frame of the clip, from this frame on, each of two channels (x, y): a two-stream model
    sees them beside the frames, any other model sees them alone. It needs `shard.flow`. By default frames alone."""


Transforms = list[dict[str, dict[str, Any]]]
Channels = list[float]
"""A number a channel."""


def bare_names(value: Any) -> Any:
    """Name transforms in full: one without parameters may be written as its name alone, with or without a colon."""
    if isinstance(value, list):
        return [_bare_name(item) for item in value]
    return value


def _bare_name(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: {} if parameters is None else parameters for name, parameters in item.items()}
    return {item: {}} if isinstance(item, str) else item


class Augment(Section):
    """Sample transforms, named as albumentations names its classes and parameters."""

    late = frozenset({"flow_std"})

    train: Transforms
    """What every training sample goes through, in this order; the last ones fix its size."""
    eval: Transforms
    """The same for validation, evaluation and the exported model."""
    mean: Literal["measure"] | Channels = Field(default=[0.485, 0.456, 0.406])
    """Subtracted on the device, for pixels in 0..1 (ImageNet's by default), a number a channel. `measure`: that of the
    training samples, of up to 1,000 that are evenly spread, as `augment.eval` makes them."""
    std: Literal["measure"] | Channels = Field(default=[0.229, 0.224, 0.225])
    """Divided by, on the device; likewise."""
    flow_std: PositiveFloat = 0.226
    """What levels of flow are divided by, for 0..1; their mean is 0.5, no motion. 0.226 is TSN's and TSM's, 0.5 gives
    I3D's -1 to 1."""

    @field_validator("train", "eval", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        return bare_names(value)


class EarlyStopping(Section):
    """Stop when the validation's headline metric (`val/top1`, `val/mAP`) no longer grows, and keep the best weights."""

    patience: PositiveInt
    """Validations in a row without a better value."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much a value must be larger than the best to be better."""


class Train(Section):
    """The training loop."""

    late = frozenset({"freeze", "keep", "sizes"})

    duration: Duration
    """How long to train."""
    batch_size: PositiveInt
    """The global batch, in samples: over all workers and micro-batches together."""
    micro_batch: Literal["auto"] | PositiveInt | None = None
    """Most samples in one forward of a worker; more are accumulated, to the same gradient. `auto`: all of the worker's,
    half as many whenever the memory does not suffice. BatchNorm's statistics, and the draws of dropout and drop path,
    are of one forward, so they depend on it; augmentation and mixing do not."""
    shuffle_window: PositiveInt = 2048
    """Samples of a lane that are shuffled together; a batch takes the same number of samples from each of up to 64
    lanes. More costs 8 bytes a sample and lane, and is for shards that are sorted by class, which our own are not."""
    sampling: Annotated[Sampling, Field(discriminator="kind")] = AllSamples()
    mix_group: Annotated[int, Field(ge=2)] = 8
    """Of `mixing`: neighbours in the batch that are mixed with each other, by one draw; they stay on one worker."""
    sizes: list[PositiveInt] = Field(default=[])
    """Multi-scale training of detectors: `[256, 320, 384]`, of which each batch has one, drawn by its place. What
    `augment.train` makes is resized on the device, boxes with it, so that its shorter side has so many px; let it make
    the largest of them."""
    repeats: PositiveInt = 1
    """Repeated augmentation (Hoffer et al. 2020): so many copies of each sample in a batch, each augmented by its own
    draw. `batch_size` counts them all, and an epoch has every sample so often."""
    keep_last: bool = False
    """Keep an epoch's rest as a last, smaller batch; by default it is dropped, another one each epoch."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the forward and backward passes (autocast); weights stay in fp32."""
    channels_last: bool = False
    """Memory format of the model and its input; quicker on GPUs with bf16 or fp16."""
    compile: bool = False
    """Compile the model (`torch.compile`): minutes at the start, quicker afterwards."""
    grad_clip: PositiveFloat | None = None
    """Largest norm of the gradient."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, such as 0.9999, which is then what is measured and kept.
    In its step t it is at most (1 + t) / (10 + t), so that the first weights are soon forgotten."""
    early_stopping: EarlyStopping | None = None
    keep: Literal["best", "last"] | None = None
    """Which weights are measured at the end and exported: those of the `best` validation, by the task's headline metric
    (`val/top1`, `val/mAP`), or the `last` ones. By default the last, with `early_stopping` the best."""
    freeze: list[str] = Field(default=[])
    """Parameters that stay as they are, by their names: `["conv1.*", "bn1.*", "layer1.*"]`, where `*` stands for any
    letters. They get neither a gradient nor weight decay, and batch norms among them keep their statistics."""
    sync_bn: bool = False
    """BatchNorm over the batches of all workers together; on GPUs only."""
    checkpoint: Duration = parse("1ep")
    """How often a checkpoint is written."""
    evaluate: Duration = parse("1ep")
    """How often the validation split is measured on the way."""

    @property
    def most_at_once(self) -> int | None:
        """Most samples in one forward; None where the recipe says no number."""
        return None if self.micro_batch == "auto" else self.micro_batch

    @property
    def distinct(self) -> int:
        """Different samples in a batch."""
        return self.batch_size // self.repeats


class LocalFeed(Section):
    """Batches come from worker processes beside each training worker."""

    late = frozenset({"cache"})

    kind: Literal["local"] = "local"
    workers: Annotated[int, Field(ge=0)] = 1
    """Processes a training worker; 0 makes batches in the training process."""
    timeout_s: PositiveFloat = 120.0
    """A sample whose decoding takes longer costs its process; a second time it is left out, within `data.max_bad`."""
    cache: Size | None = None
    """How much of the decoded samples a node keeps for its workers from the first epoch on, such as `8GiB`: in
    `/dev/shm` where twice as much is free, else on the disk of `ZOETROPE_CACHE`. Batches are the same. A picture takes
    3 * height * width bytes, a video that times its frames; longer ones than 64 frames are not kept. By default none
    are."""


class RemoteFeed(Section):
    """The same batches come from Ray actors on other nodes, for training that waits for its node's CPUs."""

    late = frozenset({"cache"})

    kind: Literal["remote"]
    actors: PositiveInt = 2
    """Actors a training worker."""
    workers: PositiveInt = 4
    """Processes an actor, and the CPUs that Ray sets aside for it."""
    in_flight: PositiveInt = 4
    """Batches that a training worker has asked for and not taken, at most; they wait in its node's object store."""
    resource: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    """A resource of Ray's that only the nodes for actors have, such as `decode` in `cluster.yaml`; an actor takes
    `workers` of it. By default actors go to any node with free CPUs."""
    timeout_s: PositiveFloat = 120.0
    """As of a local feed."""
    cache: Size | None = None
    """As of a local feed, on the nodes of the actors."""

    @field_validator("resource")
    @classmethod
    def _own(cls, value: str | None) -> str | None:
        if value in ("CPU", "GPU", "memory", "object_store_memory"):
            raise ValueError(f"{value} is one that every node may have; name one that you gave to the nodes for actors")
        return value


class Workers(Section):
    """As many training processes as the cluster has room for, within limits: nodes may leave and join meanwhile."""

    min: PositiveInt
    """With fewer, training waits."""
    max: PositiveInt
    """No more than so many."""

    @model_validator(mode="before")
    @classmethod
    def _fixed(cls, value: Any) -> Any:
        return value if isinstance(value, dict | cls) else {"min": value, "max": value}

    @model_validator(mode="after")
    def _in_order(self) -> "Workers":
        if self.min > self.max:
            raise ValueError(f"min is {self.min} and max is {self.max}; write {{min: {self.max}, max: {self.min}}}")
        return self

    @model_serializer
    def _as_written(self) -> int | dict[str, int]:
        return {"min": self.min, "max": self.max} if self.elastic else self.min

    @property
    def elastic(self) -> bool:
        """Whether their number may change."""
        return self.min < self.max

    def __str__(self) -> str:
        return f"{self.min} to {self.max}" if self.elastic else str(self.min)


class Cluster(Section):
    """What training runs on."""

    workers: Workers = Workers(min=1, max=1)
    """Training processes, which share `train.batch_size`: a number, or `{min: 1, max: 4}`."""
    gpus_per_worker: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """`auto`: one each where the cluster has a GPU for every worker (of `min`), else none."""
    cpus_per_worker: PositiveFloat = 1.0
    """CPUs that Ray sets aside for a training process."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """How often a training whose worker died is started again from its last checkpoint."""
    resize_s: PositiveFloat = 30.0
    """How often Ray looks for room for more workers, up to `workers.max`. Where it finds some, the training starts
    anew from its last checkpoint.
    """


with catch_warnings(action="ignore", category=UserWarning):  # every class has a `register` by ABCMeta, which none needs

    class Tracking(Section):
        """Where MLflow keeps the results."""

        late = frozenset({"register"})

        uri: str | None = None
        """Tracking server; by default MLFLOW_TRACKING_URI, else an SQLite file in the store."""
        experiment: str | None = None
        """By default what the data are called, so that all runs on them can be compared: their file, folder or kind."""
        register: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
        """A name in MLflow's model registry: the model of a finished run becomes its next version, and the alias `best`
        goes to the version with the best headline metric, `models:/NAME@best`."""


if TYPE_CHECKING:
    Task = TaskSection
    ModelOptions = Any
else:
    Tasks = Union[tuple(dict.fromkeys(SECTIONS.values()))]  # noqa: UP007 (made at run time)
    Task = Annotated[Tasks, Field(discriminator="kind"), *plugins.or_own(own_section)]
    Families = Union[tuple(dict.fromkeys(OPTIONS.values()))]  # noqa: UP007 (made at run time)
    ModelOptions = Annotated[Families, Field(discriminator="kind"), *plugins.or_own(options_of)]


class Recipe(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Letters, digits, '.', '_' and '-'; names the run."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Every draw follows from it: shards, order, crops, initial weights."""
    task: Task
    data: Data
    shard: Shard = Shard()
    clip: Clip = Clip()
    model: ModelOptions
    augment: Augment
    mixing: Annotated[Mixing, Field(discriminator="kind")] = NoMixing()
    loss: Loss = Loss()
    optimizer: Optimizer
    schedule: Schedule = Cosine(kind="cosine")
    train: Train
    evaluate: Evaluate = Evaluate()
    store: str = Field(default_factory=default_store)
    """Where artifacts and runs live, a folder or a URL; a relative path is relative to the recipe. By default `runs` in
    the folder that the command is typed in; in a job of `ray job submit`, `~/zoetrope-runs` on the head."""
    feed: Annotated[LocalFeed | RemoteFeed, Field(discriminator="kind")] = LocalFeed()
    cluster: Cluster = Cluster()
    tracking: Tracking = Tracking()
    tune: Tune | None = None

    def __reduce__(self) -> Any:
        """Take along which packages are allowed: they are, where this is unpickled, before any part of it is."""
        return _unpickled, (plugins.allowed(),), self.__getstate__()

    @property
    def stored_short_side(self) -> int:
        """Length in pixels of the shorter side of what the shards hold, at most."""
        return self.shard.video.short_side if self.task.modality == "video" else self.shard.image.short_side

    @property
    def inputs(self) -> dict[str, int]:
        """Channels of what the model looks at, by name: `pixels`, and `flow` beside them.

        The `pixels` of a model that looks at flow alone are its fields.
        """
        if self.clip.flow is None:
            return {"pixels": self.data.channels}
        fields = {"flow": 2 * self.clip.flow}
        return (
            {"pixels": self.data.channels, **fields} if self.model.eats == "video+flow" else {"pixels": fields["flow"]}
        )

    @property
    def sees_flow_alone(self) -> bool:
        """Whether the model looks at flow, and at no frames."""
        return self.clip.flow is not None and "flow" not in self.inputs

    @property
    def mix_group(self) -> int:
        """Samples that may not be parted: neighbours in a batch that are mixed with each other, or each alone."""
        return self.train.mix_group if mixes(self.mixing) else 1


def _unpickled(packages: tuple[str, ...]) -> Recipe:
    plugins.allow(packages)
    return Recipe.__new__(Recipe)
