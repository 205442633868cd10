"""A training's checkpoints on the node of a worker: where they are written, and which one it goes on from.

Where every node sees the store they lie in its folder and are written right there. An object store gets and gives them
through this node's part of its cache. Nothing is written to TMPDIR, which may be small.
"""

import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Event

import ray.train
from ray.train import Checkpoint, CheckpointUploadMode

from pipeline.base.errors import ZoetropeError
from pipeline.base.files import check_seen
from pipeline.store import Parts
from pipeline.training.checkpoint import FILE, State, damage
from pipeline.training.distributed import Process, gather


def place(parts: Parts, name: str) -> Checkpoint:
    """Return the checkpoint that is, or will be, `name` below the storage path of Ray Train."""
    path, filesystem = parts.ray_storage()
    return Checkpoint(f"{path}/{name}", filesystem)


def write(parts: Parts, name: str, save: Callable[[Path], None]) -> Checkpoint:
    """Have `save(folder)` write a checkpoint, and keep it as `name` below the storage path of Ray Train.

    Raises StoreError when the store does not take it, OSError when this node's disk does not.
    """
    if parts.shared:
        path, _ = parts.ray_storage()
        check_seen(Path(path))
        save(Path(path, name))
    else:
        # Not by Ray Train: `pyarrow.fs.copy_files` does not say when closing a file of fsspec fails, and so loses
        # small files in silence.
        with passing(parts, "written") as folder:
            save(folder)
            parts.upload(folder, name)
    return place(parts, name)


class Writer:
    """Writes checkpoints while training goes on, one at a time, by a thread of Ray Train's.

    An error of writing ends the training, and the end of the training waits for the last checkpoint.
    """

    def __init__(self, parts: Parts, folder: str, in_words: Callable[[], AbstractContextManager[None]]) -> None:
        """Keep checkpoints in `folder` below the storage path; `in_words` tells what the store says."""
        self._parts, self._folder, self._in_words = parts, folder, in_words
        self._idle = Event()
        self._idle.set()
        self._copy: State | None = None

    def report(self, name: str, state: State, metrics: dict[str, float], before: Callable[[], None]) -> None:
        """Copy `state`, and have it kept as `name`, `before` called before; waits for the checkpoint before this one.

        To be called on rank 0, while the others call `ray.train.report`.
        """
        self._idle.wait()  # the copy of the one before is overwritten
        self._idle.clear()
        path, self._copy = f"{self._folder}/{name}", state.copy(self._copy)
        save = self._copy.save

        def upload(to: Checkpoint, _: str) -> Checkpoint:
            try:
                before()
                with self._in_words():
                    return write(self._parts, path, save)
            except Exception as error:
                error.add_note(traceback.format_exc())  # a traceback does not travel by itself
                raise
            finally:
                self._idle.set()

        ray.train.report(
            metrics,
            place(self._parts, path),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            checkpoint_upload_fn=upload,
            delete_local_checkpoint_after_upload=False,  # what `upload` is given is where it writes to
        )


@contextmanager
def fetched(checkpoint: Checkpoint, parts: Parts, rank: int = 0) -> Iterator[Path]:
    """Yield a checkpoint's folder on this node. `rank`: of several that fetch it at the same time."""
    if parts.shared:
        yield Path(checkpoint.path)
        return
    with passing(parts, f"fetched-{rank}") as folder:
        with suppress(FileNotFoundError):  # who reads it says what is missing
            checkpoint.to_directory(folder)
        yield folder


@contextmanager
def newest_whole(
    kept: Sequence[Checkpoint], parts: Parts, process: Process, say: Callable[[str], None]
) -> Iterator[tuple[Checkpoint | None, Path | None]]:
    """Yield the newest checkpoint that is as it was written, and its folder on this node.

    kept: the newest last; when there is none, this gives (None, None)
    say:  tells the user of those that are damaged
    ZoetropeError when all of them are damaged.
    """
    damaged: list[str] = []
    for checkpoint in reversed(kept):
        with fetched(checkpoint, parts, process.rank) as folder:
            what = damage(folder)
            if what is None:
                _check_agreed(len(damaged), process)
                for one in damaged if not process.rank else ():
                    say(f"train: {one}; the one before it is taken")
                yield checkpoint, folder
                return
        damaged.append(f"{checkpoint.path}/{FILE}: cannot be read as a checkpoint ({what})")
    _check_agreed(len(damaged), process)
    if damaged:
        raise ZoetropeError(
            f"no checkpoint of this training is whole: {'; '.join(damaged)}. "
            "`python -m pipeline run RECIPE --rerun train` trains from step 0; a search without --resume does, too."
        )
    yield None, None


def name_of(step: int, world: int, kept: Sequence[Checkpoint]) -> str:
    """Return the name of a new checkpoint, after `step` steps by `world` workers; none of `kept` has it.

    Steps are done again when the checkpoint behind them is damaged; Ray Train would remove both under one name.
    """
    name = f"step-{step:09d}-of-{world}"
    return f"{name}-again" if any(Path(checkpoint.path).name == name for checkpoint in kept) else name


def steps_of(checkpoint: Checkpoint | None) -> int:
    """Return the steps that were done when a checkpoint was written, by its `name_of`; 0 without one."""
    return int(Path(checkpoint.path).name.split("-")[1]) if checkpoint else 0


def _check_agreed(passed_over: int, process: Process) -> None:
    """Raise RuntimeError, so that another try is made, when not all workers go on from the same checkpoint."""
    if len({*gather(passed_over, process)}) > 1:
        raise RuntimeError("a checkpoint is damaged for some of the workers and not for others")


@contextmanager
def passing(parts: Parts, name: str) -> Iterator[Path]:
    """Yield an empty folder on this node for what comes from the store, or goes there; removed behind the block."""
    folder = parts.out.with_name("scratch") / name
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
