import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.training.distributed import Process, agree, gather, gather_rows

ROOT = Path(__file__).parents[3]
RANK = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[3])
from torch import distributed
from pipeline.training.distributed import Process, agree, gather, gather_rows
rank, world = int(sys.argv[1]), 3
distributed.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=world)
mine = [{}, {9: "nine", 3: "three"}, {3: "drei"}][rank]
bad = {"train": mine, "val": {1: "ä"} if rank == 2 else {}}
agree(bad, Process(rank, world))
print(json.dumps([*(list(split.items()) for split in bad.values()), gather(rank, Process(rank, world))]))
rows = {
    "score": np.full((rank, 2), rank / 3, np.float32),
    "right": np.arange(rank) > 0,
    "one": np.arange(rank, dtype=np.int16),
}
print([(column.dtype.name, column.tolist()) for column in gather_rows(rows, Process(rank, world)).values()])
"""


@pytest.mark.slow
def test_ranks_agree_on_the_bad_samples(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(tmp_path / "meet"), str(ROOT)], stdout=-1, text=True
        )
        for rank in range(3)
    ]
    said = [rank.communicate(timeout=300)[0] for rank in ranks]
    third, two = float(np.float32(1 / 3)), float(np.float32(2 / 3))
    rows = [("float32", [[third] * 2, [two] * 2, [two] * 2]), ("bool", [False, False, True]), ("int16", [0, 0, 1])]
    assert said == [f'[[[3, "three"], [9, "nine"]], [[1, "\\u00e4"]], [0, 1, 2]]\n{rows}\n'] * 3


def test_one_process_agrees_with_itself() -> None:
    bad = {"train": {9: "nine", 3: "three"}, "val": {}}
    agree(bad, Process())
    assert [*bad["train"]] == [3, 9]
    assert gather({"a": 1}, Process()) == [{"a": 1}]
    assert gather_rows({"a": np.arange(3)}, Process())["a"].tolist() == [0, 1, 2]
