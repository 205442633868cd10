"""Many files to their answers, one after the other: files are read and decoded in processes beside the model."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.exported.predictor import Predictor, placed
from pipeline.exported.sight import File, Seen, Sight, see, see_apart
from pipeline.feed import processes
from pipeline.feed.apart import each_apart
from pipeline.figures.drawing import Drawing

Item = TypeVar("Item")
Sights = tuple[Sight, ...]
Result = tuple[File, tuple[Seen, ...] | ZoetropeError]
"""A file, and what each model sees of it or why it cannot be used."""
ONCE = {"image": 16, "video": 2}
"""Files that a process is given at a time."""
AHEAD = 2
"""Of these parts, how many wait for each process or for the model."""
BATCH_BYTES = 256 << 20
"""Of pixels, from which on a batch is no larger, however many files it is to have."""


@dataclass(frozen=True)
class Prediction:
    """What the models say of one file.

    file:    its path or URL as it was given; "" for one that was given by its content
    answer:  the task's columns, `Task.row`; empty for a file that cannot be used
    words:   the answer in a line
    error:   why it cannot be used; None for one that can
    drawing: the file's picture with the answer, where it is asked for
    size:    (H, W) of a file in px, where the answer has places in it
    """

    file: str
    answer: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    error: str | None = None
    drawing: Drawing | None = None
    size: tuple[int, int] | None = None


def predictions(
    predictors: Sequence[Predictor],
    files: Iterable[File],
    workers: int = 0,
    top: int = 1,
    draw: bool = False,
    batch_size: int | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction a file, in their order; of several models, which go together, the mean of their answers.

    Neither files nor answers pile up: `files` may be a generator without an end. `workers`: processes that read and
    decode; 0 does it in this one. A file that hangs or crashes a decoder costs its process and is an error of its own,
    but for `workers` 0. `batch_size`: files that go through the models at once, by default as the recipe says.
    """
    first = predictors[0]
    sights = tuple(replace(each.sight, shows=draw) for each in predictors)
    seen = _seen_ahead(sights, files, workers) if workers else _seen_here(sights, files)
    for batch in _batches(seen, batch_size or _batch_size(first)):
        known = [each for _, each in batch if not isinstance(each, ZoetropeError)]
        answers = iter(placed(predictors, known))
        for file, each in batch:
            name = redact(file) if isinstance(file, str) else ""
            if isinstance(each, ZoetropeError):
                yield Prediction(name, error=str(each))
                continue
            answer, shown = next(answers), each[0].shown
            drawing = None if shown is None else first.task.drawn(shown, answer)
            yield Prediction(name, first.task.row(answer, top), first.task.words(answer), None, drawing, each[0].size)


def cut(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items, the last one shorter."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _batches(seen: Iterable[Result], size: int) -> Iterator[list[Result]]:
    batch: list[Result] = []
    held = 0
    for file, each in seen:
        batch.append((file, each))
        held += (
            0 if isinstance(each, ZoetropeError) else sum(array.nbytes for one in each for array in one.inputs.values())
        )
        if len(batch) == size or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _batch_size(predictor: Predictor) -> int:
    recipe = predictor.recipe
    return recipe.evaluate.batch_size or (1 if predictor.task.any_size else recipe.train.batch_size)


def _seen_here(sights: Sights, files: Iterable[File]) -> Iterator[Result]:
    for file in files:
        try:
            yield file, see(sights, file)
        except ZoetropeError as error:
            yield file, error


def _seen_ahead(sights: Sights, files: Iterable[File], workers: int) -> Iterator[Result]:
    """See files in processes, each with a thread that takes what it made: neither waits for the model."""
    processes.start_fork_server()
    timeout_s = sights[0].recipe.feed.timeout_s
    waiting: deque[tuple[list[File], Future[list[tuple[Seen, ...] | ZoetropeError]]]] = deque()

    def work(part: list[File]) -> list[tuple[Seen, ...] | ZoetropeError]:
        return list(each_apart(see_apart, [(sights, file) for file in part], timeout_s, processes.CONTEXT))

    pool = ThreadPoolExecutor(workers)
    try:
        for part in cut(files, ONCE[sights[0].recipe.task.modality]):
            waiting.append((part, pool.submit(work, part)))
            if len(waiting) > AHEAD * workers:
                done, made = waiting.popleft()
                yield from zip(done, made.result(), strict=True)
        while waiting:
            done, made = waiting.popleft()
            yield from zip(done, made.result(), strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
