"""A table of pictures, and a figure of how much better each became."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.figures.figures import gains
from pipeline.tasks.base import Arrays
from pipeline.tasks.tables import write_csv


def write_report(folder: Path, names: Sequence[str], plain: str, keys: Sequence[str], rows: Arrays) -> None:
    """Write `samples.csv`, a line a picture with the metrics `names`, and PSNR before and after as a figure.

    plain: what pictures are compared with: "bicubic" or "input"
    """
    columns = [rows[name].tolist() for name in names]
    each = zip(keys, *columns, strict=True)
    lines = ((key, *(round(value, 4) for value in values)) for key, *values in each)
    write_csv(folder / "samples.csv", ("file", *names), lines)
    after, before = (rows[name] for name in (names[0], f"{plain}_{names[0]}"))
    gains(before, after, f"PSNR in dB, {plain}", "PSNR in dB, restored", folder / "figures" / "psnr.png")
