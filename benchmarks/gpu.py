"""What a GPU changes: bf16, NCCL, SyncBN, memory, torch.compile, and trainings out of shards against bare loops.

    python -m benchmarks.gpu [--minutes 4]

Each training is `pipeline.training.loop`'s, out of shards of JPEGs or clips. Its peer is a bare PyTorch loop on the
same card: the same model, precision and memory format, one batch that lies there already, and no feed. Samples/s of
both are those from step 10 on. What all GPUs do together runs with a process for each; there samples/s are of one card
without the others, and the same with DDP, and with SyncBN, over it. One model of each family is timed alone, and told
as a share of the card's peak.

Prints tables, and last a line of JSON with the card, torch's version and the date. What fails is told in its place and
the rest goes on; then the exit status is 1. Nothing begins after the minutes are over: by default, what has begun has
two more until it is six. Without a GPU all of it runs small, on the CPU and with gloo: such figures say only that the
script runs.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from benchmarks import gpu_families
from benchmarks.gpu_together import together
from benchmarks.gpu_trainings import ON_CPU, ON_GPU, TRAININGS, Found, compare, draw
from tests.models.small import ONE_EACH, small


def tried(work: Callable[[], Found], until_s: float) -> Found:
    """What `work` found, or why there is nothing: a check that fails does not waste a GPU's other minutes."""
    if time.perf_counter() > until_s:
        return {"left_out": "the minutes were over"}
    try:
        return work()
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}


def row(name: str, found: Found) -> str:
    """A training's line in the table."""
    if "ratio" not in found:
        return f"{name:24}{found}"
    ours, peer = found["ours"], found["bare"]
    peaks = "".join(f"{'-' if one['peak_mib'] is None else round(one['peak_mib']):>10}" for one in (ours, peer))
    return (
        f"{name:24}{ours['samples_per_s']:10.0f}{peer['samples_per_s']:10.0f}{found['ratio']:8.2f}"
        f"{ours['data_wait']:11.1%}{peaks}{ours['losses'][-1]:10.4f}"
    )


def main(arguments: list[str]) -> int:
    """Print the tables and the line of JSON; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4)
    until_s = time.perf_counter() + 60 * parser.parse_args(arguments).minutes
    cuda = torch.cuda.is_available()
    device, size = (torch.device("cuda", 0), ON_GPU) if cuda else (torch.device("cpu"), ON_CPU)
    card = torch.cuda.get_device_name(device) if cuda else f"CPU, {torch.get_num_threads()} threads"
    head = {"card": card, "cards": torch.cuda.device_count(), "torch": torch.__version__, "cuda": torch.version.cuda}
    print(", ".join(f"{key} {value}" for key, value in head.items()))
    group = tried(partial(together, size), until_s)
    print("\n".join(f"{key:24}{value}" for key, value in group.items()), flush=True)
    print(f"{'':24}{'samples/s':>10}{'bare':>10}{'ratio':>8}{'data wait':>11}{'peak MiB':>10}{'bare':>10}{'loss':>10}")
    trainings: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="zoetrope-") as folder:
        datasets = {modality: draw(Path(folder, modality), modality, size) for modality in size.models}
        for name in TRAININGS:
            trainings[name] = tried(partial(compare, name, size, device, datasets), until_s)
            print(row(name, trainings[name]), flush=True)
    few, side = (ONE_EACH, 8192) if cuda else (ONE_EACH[:2], 512)
    peaks = {precision: gpu_families.peak(device, precision, side) for precision in gpu_families.PRECISIONS}
    told = ", ".join(f"{precision} {value / 1e12:.2f}" for precision, value in peaks.items())
    print(f"\nsamples/s and share of the peak (10^12 operations/s: {told}), forwards and a step's forward and backward")
    families: dict[str, Found] = {}
    for name in few:
        options = {} if cuda else small(name)
        families[name] = tried(partial(gpu_families.measure, name, device, peaks, options), until_s)
        print(gpu_families.row(name, families[name]), flush=True)
    full, half = (trainings[f"images, {precision}"].get("ours", {}).get("losses") for precision in ("fp32", "bf16"))
    off = abs(half[0] / full[0] - 1) if full and half else None
    print("bf16 and fp32: not compared" if off is None else f"bf16's loss over ten steps is {off:.2%} off fp32's")
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    found = {"trainings": trainings, "families": families, "bf16_loss_off": off, "together": group}
    print(json.dumps({**head, "date": date, "peaks": peaks, **found}))
    return int(any("error" in one for one in (*trainings.values(), *families.values(), group)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
