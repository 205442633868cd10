"""What a small run takes besides its training: with workers as forks of one process, and each importing by itself.

    python -m benchmarks.start [turns]

The quickstart is run once. Then its learning rate is another one each time, for one epoch: train, evaluate and export,
by the clock, on a copy of the store. Wanted is less than 22 s on two quiet cores. An unchanged run, whose plan says
that nothing is to do, is timed beside.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from benchmarks.pairs import in_turns, quotients
from pipeline.base.forks import ROOT, SOCKET

RATES = count(200)


def run(store: Path, forked: bool, *changes: str) -> float:
    """Seconds of a command that must succeed."""
    environment = {name: value for name, value in os.environ.items() if name not in (SOCKET, "RAY_ADDRESS")}
    environment |= {"PYTHONPATH": str(ROOT), **({} if forked else {SOCKET: ""})}
    command = [sys.executable, "-m", "pipeline", "run", "recipes/quickstart.yaml", f"store={store}", *changes]
    began = time.perf_counter()
    subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def changed(store: Path, forked: bool) -> float:
    """Seconds of a run with another learning rate, on a copy of the store."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(store, Path(folder) / "store")
        return run(copy, forked, f"optimizer.lr=0.{next(RATES)}", "train.duration=1ep")


def main(turns: int) -> None:
    """Print a line a way, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        print(f"the quickstart, all of it: {run(store, forked=True):.1f} s")
        spent = in_turns({"forks": lambda: changed(store, True), "imports": lambda: changed(store, False)}, turns)
        for way, each in spent.items():
            print(f"{way:8} {statistics.median(each):.1f} s ({min(each):.1f} to {max(each):.1f})")
        print(f"imports over forks {quotients(spent['imports'], spent['forks'])}")
        again = in_turns({"forks": lambda: run(store, True), "imports": lambda: run(store, False)}, turns)
        print(", ".join(f"unchanged, {way}: {statistics.median(each):.2f} s" for way, each in again.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
