"""Shared fixtures: tiny datasets of real JPEG and MP4 samples, recipes for them, and Ray for tests that need it."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, settings

from pipeline.base import forks
from pipeline.base.errors import ZoetropeError
from pipeline.decode.image import encode_jpeg
from pipeline.decode.transcode import encode, transcode
from pipeline.recipe import Recipe, check
from pipeline.shards.dataset import Dataset, open_dataset
from pipeline.shards.index import index_path, read_index
from pipeline.shards.writer import ShardInfo, StoredSample, write_dataset, write_shard
from tests.processes import PYTHONPATH

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two cores, shared with other processes
AS_OTHERS = {"RAY_worker_niceness": "0"}
"""Ray's workers otherwise give way by 15: beside tests that compute, they get a thirtieth of a core, and time out."""
os.environ |= AS_OTHERS
# Runs in a home of their own need not each look through this machine's fonts.
os.environ.setdefault("MPLCONFIGDIR", str(Path(__file__).parents[1] / ".pytest_cache" / "matplotlib"))
# A shell without job control starts `make test &` with SIGINT ignored, and so would be all that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Nothing depends on how fast the machine is, or on chance.
settings.register_profile("here", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

RecipeMaker = Callable[..., Recipe]
ROOT = Path(__file__).parents[1]
NO_IMAGE = "its content is no image that can be read: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or PPM"
COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}
SHARDS = {"train": (16, 10), "val": (7,)}
SPLIT_SEEDS = {"train": 1, "val": 2}

VALUES: dict[str, dict[str, Any]] = {
    "image": {
        "task": {"kind": "image-classification"},
        "model": {"kind": "resnet18", "width": 4, "stem": "small"},
        "augment": {
            "train": [{"RandomCrop": {"height": 16, "width": 16}}, {"HorizontalFlip": {}}],
            "eval": [{"CenterCrop": {"height": 16, "width": 16}}],
        },
    },
    "video": {
        "task": {"kind": "video-classification"},
        "shard": {"video": {"short_side": 32, "gop": 4}},
        "clip": {"frames": 3},
        "model": {"kind": "tsm_resnet18", "width": 8, "shift": 8, "dropout": 0.0},
        "augment": {
            "train": [{"RandomCrop": {"height": 28, "width": 28}}],
            "eval": [{"CenterCrop": {"height": 28, "width": 28}}],
        },
    },
}


def picture(label: int, seed: int) -> np.ndarray:
    """uint8 [20, 24, 3]: the class' colour with a noise of its own."""
    noise = np.random.default_rng(seed).integers(-40, 40, (20, 24, 3))
    return np.clip(np.array(list(COLOURS.values())[label]) + noise, 0, 255).astype(np.uint8)


def clip(label: int, seed: int) -> np.ndarray:
    """uint8 [6, 32, 40, 3]: a bright square that goes right, left or down over a noise of its own."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 60, (6, 32, 40, 3), dtype=np.uint8)
    for t in range(6):
        y, x = [(12, 4 * t + 4), (12, 28 - 4 * t), (4 * t + 2, 16)][label]
        frames[t, y : y + 8, x : x + 8] = 220
    return frames


def image_sample(label: int, seed: int) -> StoredSample:
    """A JPEG of 24 x 20 px."""
    data = encode_jpeg(picture(label, seed), 95)
    return StoredSample("jpg", data, label, list(COLOURS)[label], f"{seed}.jpg", "0" * 64, 24, 20, 1, 0.0, 0.0)


def video_sample(label: int, seed: int) -> StoredSample:
    """An H.264 clip of 6 frames of 40 x 32 px, stored as the shard stage would."""
    made = transcode(encode(clip(label, seed), 6), 32, 4, 20)
    name = list(COLOURS)[label]
    return StoredSample("mp4", made.data, label, name, f"{seed}.mp4", "0" * 64, 40, 32, 6, 6.0, 1.0)


def write_tiny(folder: Path, modality: Any, sample: Callable[[int, int], StoredSample]) -> Dataset:
    """26 training samples in two shards, 7 of validation in one; classes take turns."""
    shards: dict[str, list[ShardInfo]] = {}
    for split, counts in SHARDS.items():
        first, shards[split] = 0, []
        for number, count in enumerate(counts):
            samples = [sample(i % 3, 1000 * SPLIT_SEEDS[split] + i) for i in range(first, first + count)]
            shards[split].append(write_shard(folder, split, number, first, samples))
            first += count
    write_dataset(folder, modality, list(COLOURS), shards)
    return open_dataset(folder)


def tiny_values(modality: str, **changes: Any) -> dict[str, Any]:
    """The values of a recipe; `changes` are dotted."""
    values: dict[str, Any] = {
        "name": f"tiny-{modality}",
        "data": {"source": {"kind": "folder", "path": "/nowhere"}},
        "optimizer": {"kind": "sgd", "lr": 0.05, "base_batch": 8},
        "schedule": {"kind": "cosine", "warmup": "0%"},
        "train": {"duration": "2ep", "batch_size": 8, "shuffle_window": 8},
        "feed": {"workers": 0},
        **VALUES[modality],
    }
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        at = values
        for key in parents:
            at[key] = dict(at.get(key, {}))
            at = at[key]
        at[last] = value
    return values


def pytest_configure(config: pytest.Config) -> None:
    """Run one server of `pipeline.base.forks` for all of pytest's processes, which are started after this."""
    if forks.SOCKET not in os.environ:
        running = ExitStack()
        home = running.enter_context(TemporaryDirectory())
        running.enter_context(forks.running_server(HOME=home))
        config.add_cleanup(running.close)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what starts Ray as slow, and put the files that take long first, so that no process is left with one.

    These are files with slow tests, first those of whole runs, then files with many tests.
    """
    for item in items:
        if "ray_of_two" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    yield  # `-m` chooses
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, item.path.parent != ROOT / "tests", -tests[item.path]))


def pytest_collection_finish() -> None:
    """Leave modules and ten thousand tests, which are here now, out of garbage collection, and have that rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws without a seed of its own does not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset folder of JPEG images."""
    return write_tiny(tmp_path_factory.mktemp("images"), "image", image_sample)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset folder of H.264 clips."""
    return write_tiny(tmp_path_factory.mktemp("videos"), "video", video_sample)


@pytest.fixture
def damaged(tmp_path: Path) -> Callable[[Dataset, str, dict[int, Callable[[bytes], bytes]]], Dataset]:
    """`damaged(videos, "train", {3: zeros})`: a copy in which samples were changed where they lie in their tar."""

    def change(dataset: Dataset, split: str, changes: dict[int, Callable[[bytes], bytes]]) -> Dataset:
        folder = tmp_path / "damaged"
        copy = open_dataset(folder if folder == dataset.folder else shutil.copytree(dataset.folder, folder))
        for sample, damage in changes.items():
            number, i = copy.split(split).place(sample)
            shard = copy.split(split).shards[number]
            index = read_index(index_path(copy.folder / shard.name), shard.bytes)
            column = index.data_column()[i]
            offset, length = int(index.offsets[column, i]), int(index.lengths[column, i])
            tar = bytearray((copy.folder / shard.name).read_bytes())
            tar[offset : offset + length] = changed = damage(bytes(tar[offset : offset + length]))
            assert len(changed) == length
            (copy.folder / shard.name).write_bytes(tar)
        return copy

    return change


@pytest.fixture(scope="session")
def validation_files() -> Callable[[str], list[bytes]]:
    """`validation_files("video")`: the files that the validation samples of `images` or `videos` come from."""

    def contents(modality: str) -> list[bytes]:
        keys = [(i % 3, 1000 * SPLIT_SEEDS["val"] + i) for i in range(sum(SHARDS["val"]))]
        if modality == "image":
            return [encode_jpeg(picture(*key), 95) for key in keys]
        return [encode(clip(*key), 6) for key in keys]

    return contents


@pytest.fixture(scope="session")
def make_recipe() -> RecipeMaker:
    """`make_recipe("image", **{"train.batch_size": 4})`: a recipe for `images` or `videos`, some keys changed."""
    return lambda modality, **changes: check(tiny_values(modality, **changes), "a test's recipe")


class Project:
    """A folder of a user's files, a recipe for them, a store, and the command line with `environment` besides."""

    environment: Mapping[str, str] = {}
    typed_in = ROOT

    def __init__(self, folder: Path, modality: str, **changes: Any) -> None:
        self.folder, self.store = folder, folder / "runs"
        for split, counts in SHARDS.items():
            for i in range(sum(counts)):
                label, seed = i % 3, 1000 * SPLIT_SEEDS[split] + i
                path = (
                    folder / "data" / split / list(COLOURS)[label] / f"{seed}.{'jpg' if modality == 'image' else 'mp4'}"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(
                    encode_jpeg(picture(label, seed), 95) if modality == "image" else encode(clip(label, seed), 6)
                )
        values = tiny_values(modality, **{"data.source.path": "data", "store": "runs", "shard.samples": 16, **changes})
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(yaml.safe_dump(values))

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """`python -m pipeline VERB RECIPE ...`, its output in `self.log`."""
        self.log = self.folder / f"{verb}-{len(list(self.folder.glob('*.log')))}.log"
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "HOME": str(home), "PYTHONPATH": PYTHONPATH}
        environment.pop("RAY_ADDRESS", None)
        environment.pop("MLFLOW_TRACKING_URI", None)
        environment |= self.environment
        command = [sys.executable, "-m", "pipeline", verb, str(self.recipe), f"store={self.store}", *arguments]
        with self.log.open("w") as log:
            # A session of its own, as a terminal gives a command: signals to it reach nobody else.
            return subprocess.Popen(
                command, stdout=log, stderr=log, text=True, env=environment, cwd=self.typed_in, start_new_session=True
            )

    def run(self, *arguments: str, verb: str = "run") -> str:
        """The output of a command that must succeed."""
        process = self.start(verb, *arguments)
        assert process.wait(timeout=600) == 0, self.log.read_text()
        return self.log.read_text()

    def plan(self, *arguments: str, code: int = 0) -> str:
        """What `python -m pipeline plan` prints, in this process, which has loaded all that it needs."""
        from typer.testing import CliRunner

        from pipeline.cli import app

        answered = CliRunner().invoke(app, ["plan", str(self.recipe), f"store={self.store}", *arguments])
        assert answered.exit_code == code, answered.output
        return answered.output

    def artifact(self, stage: str) -> Path:
        """The newest artifact of a stage."""
        return max((self.store / "artifacts" / stage).iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def facts(self, stage: str) -> dict[str, Any]:
        """What the newest artifact of a stage says of itself."""
        facts: dict[str, Any] = json.loads((self.artifact(stage) / "manifest.json").read_text())["facts"]
        return facts

    @property
    def mlflow(self) -> Any:
        """A client of the store's MLflow."""
        from mlflow import MlflowClient

        return MlflowClient(f"sqlite:///{self.store / 'mlflow.db'}")

    def mlflow_runs(self) -> list[Any]:
        """All MLflow runs, of whatever experiment and status."""
        client = self.mlflow
        return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Callable[..., Project]:
    """`make_project("video", **{"train.duration": "1ep"})`: a `Project` in its own folder, with MLflow's tables."""

    def make(modality: str, **changes: Any) -> Project:
        project = Project(tmp_path_factory.mktemp(f"{modality}-project"), modality, **changes)
        project.store.mkdir()
        shutil.copy(mlflow_tables, project.store)
        return project

    return make


@contextmanager
def stages_here() -> Iterator[None]:
    """Inside, what the stages ingest and shard give to Ray as tasks, and to other processes, is called in turn."""
    from pipeline.stages import adopt, headers, ingest, shard

    def run_here(
        function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], here: bool = False
    ) -> Iterator[Any]:
        return (function(*a) for a in arguments)

    def each_here(
        function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], timeout_s: float
    ) -> Iterator[Any]:
        for a in arguments:
            try:
                yield function(*a)
            except ZoetropeError as error:
                yield error

    with pytest.MonkeyPatch.context() as patch:
        for stage in (adopt, ingest, shard):
            patch.setattr(stage, "run_parallel", run_here)
        for stage in (headers, shard):
            patch.setattr(stage, "each_apart", each_here)
        patch.setattr("pipeline.feed.apart.each_apart", each_here)
        yield


@pytest.fixture
def in_this_process() -> Iterator[None]:
    """As `stages_here`."""
    with stages_here():
        yield


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB, which a test soon fills."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def mlflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file of MLflow's with nothing in it, to be copied: MLflow takes 1 to 3 s to make one."""
    from pipeline.tracking.client import create_schema

    folder = tmp_path_factory.mktemp("mlflow")
    create_schema(folder / "mlflow.db", str(folder / "mlartifacts"))
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def ray_of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray of two CPUs in this process, for all files that ask; it writes nothing to the user's home."""
    import ray

    with pytest.MonkeyPatch.context() as patch:  # Ray's workers start with what is here now
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PYTHONPATH", PYTHONPATH)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
