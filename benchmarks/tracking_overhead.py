"""What tracking costs the training loop: with a server that answers, one that hangs (SIGSTOP) and one that is dead.

    OMP_NUM_THREADS=1 python -m benchmarks.tracking_overhead [turns]

Wanted: less than 1 % over no tracking. A ResNet-18 step of 8 pictures of 64 px; points every 10 steps as in
`pipeline.training.loop`, and before a checkpoint, every 50 steps here, the loop waits until they are on disk as in
`pipeline.cluster.fit`. Ways take turns. Two figures each: the loop's processor time over that without tracking, and the
share of the loop's time by the clock that went by in calls of tracking, waiting included.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import ray
import torch
from torch.nn import functional

from models import build
from pipeline.cluster.tracker import send, start_tracker, wait_until_sent
from pipeline.recipe import load
from pipeline.tracking.address import resolve
from tests.pipeline.tracking.mlflow_server import Server

ROOT = Path(__file__).parents[1]
STEPS = 50
LOG_EVERY = 10
WARM_UP_TURNS = 1


@dataclass
class Way:
    """One way to track: the actor (None: not at all), and what was measured, an entry a turn."""

    tracker: Any
    step: int = 0
    processor_s: list[float] = field(default_factory=list)
    clock_s: list[float] = field(default_factory=list)
    tracking_s: list[float] = field(default_factory=list)

    def turn(self, train_step: Callable[[], float]) -> None:
        """Fifty steps, five times points, one checkpoint."""
        inside = 0.0
        sent = None
        began, began_processor = perf_counter(), process_time()
        for _ in range(STEPS):
            loss = train_step()
            self.step += 1
            if self.tracker and self.step % LOG_EVERY == 0:
                before = perf_counter()
                sent = send(self.tracker, self.step, dict.fromkeys(NAMES, loss))
                inside += perf_counter() - before
        if sent:
            before = perf_counter()
            wait_until_sent(sent)
            inside += perf_counter() - before
        self.processor_s.append(process_time() - began_processor)
        self.clock_s.append(perf_counter() - began)
        self.tracking_s.append(inside)


NAMES = ("train/loss", "train/top1", "throughput/samples_per_s", "throughput/data_wait", "memory/process_gib", "lr")


class _Silent:
    """Takes the place of a stage's progress."""

    def say(self, text: str) -> None: ...


def ways(stack: ExitStack, folder: Path) -> dict[str, Way]:
    """All four, each with a store of its own."""
    recipe = load(ROOT / "recipes" / "quickstart.yaml")
    found = {"none": Way(None)}
    for name in ("answers", "hangs", "dead"):
        store = folder / name
        (store / "run").mkdir(parents=True)
        server = stack.enter_context(Server(store))
        if name != "dead":
            server.start()
        if name == "hangs":
            server.hang()
        tracker = start_tracker(resolve(server.url, store), recipe, store, store / "run")
        ray.get(tracker.attach.remote(_Silent(), "key", None, 10.0))
        found[name] = Way(tracker)
    return found


def main(turns: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    model: torch.nn.Module = build("resnet18", 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, labels = torch.rand(8, 3, 64, 64), torch.randint(10, (8,))

    def train_step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    os.environ.update(RAY_AUTH_MODE="disabled", PYTHONPATH=str(ROOT))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        stack.callback(ray.shutdown)
        found = list(ways(stack, Path(folder)).items())
        for turn in range(turns + WARM_UP_TURNS):
            for _, way in found[turn % 4 :] + found[: turn % 4]:
                way.turn(train_step)
    report(dict(found))


def report(found: dict[str, Way]) -> None:
    """Medians over the turns, quartiles in brackets."""
    none = found["none"].processor_s[WARM_UP_TURNS:]
    print(
        f"{statistics.median(none) / STEPS * 1e3:.1f} ms of processor time a step, {len(none)} turns of {STEPS} steps"
    )
    for name, way in found.items():
        if way.tracker is None:
            continue
        ratios = [mine / peer for mine, peer in zip(way.processor_s[WARM_UP_TURNS:], none, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        shares = [a / b for a, b in zip(way.tracking_s[WARM_UP_TURNS:], way.clock_s[WARM_UP_TURNS:], strict=True)]
        print(
            f"{name:8} processor time over none {middle:.4f} ({low:.4f} to {high:.4f}), in tracking by the clock "
            f"{statistics.median(shares):.3%} (at most {max(shares):.3%})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
