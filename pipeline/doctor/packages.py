"""Packages: whether those that are needed are there, in which versions, and whether torch sees the GPU."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from pipeline.doctor.found import Found, Looked

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
DISTRIBUTION = "zoetrope"
LINE = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")
NAME = re.compile(r"^[A-Za-z0-9._-]+")
DECORDS = ("decord", "eva-decord", "decord2")
INSTALL = "pip install --constraint constraints.txt --editable ."
SHOWN = 8


def packages(looked: Looked) -> Iterator[Found]:
    """The packages that the project asks for."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    missing, unfit = [], []
    for one in needed:
        version = version_of(one.name)
        if version is None:
            missing.append(one.name)
        elif not one.specifier.contains(version, prereleases=True):
            unfit.append(f"{one.name} {version} ({one.specifier} is needed)")
    if missing:
        yield Found("wrong", f"not installed: {', '.join(missing)}", INSTALL)
    if unfit:
        yield Found("wrong", f"of another version: {', '.join(unfit)}", INSTALL)
    if not missing and not unfit:
        yield Found("right", f"the {len(needed)} that are needed are there")
    decords = [name for name in DECORDS if version_of(name)]
    if len(decords) > 1:
        yield Found("wrong", f"{' and '.join(decords)} overwrite each other", f"pip uninstall {' '.join(decords[1:])}")


def versions(looked: Looked) -> Iterator[Found]:
    """The versions that the tests ran with."""
    if not CONSTRAINTS.is_file():
        return
    lines = (LINE.match(line) for line in CONSTRAINTS.read_text().splitlines())
    pinned = {found[1]: found[2] for found in lines if found}
    there = {name: version_of(name) for name in pinned}
    other = [
        f"{name} {there[name]} (tested: {pinned[name]})"
        for name in pinned
        if (version := there[name]) and version.partition("+")[0] != pinned[name].partition("+")[0]
    ]
    more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
    if other:
        yield Found("note", f"not as tested: {', '.join(other[:SHOWN])}{more}", INSTALL)
    else:
        yield Found("right", f"all {sum(map(bool, there.values()))} as in {CONSTRAINTS.name}")


def accelerator(looked: Looked) -> Iterator[Found]:
    """Whether torch computes on the GPU that the machine has."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Found("right", f"torch {torch.__version__}, CUDA {torch.version.cuda}: {', '.join(names)}")
        return
    gpus = _nvidia()
    if gpus and torch.version.cuda is None:
        yield Found(
            "wrong",
            f"the machine has {gpus}, and torch {torch.__version__} is built for CPUs",
            "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu128",
        )
    elif gpus:
        yield Found(
            "wrong",
            f"the machine has {gpus}, and torch {torch.__version__} with CUDA {torch.version.cuda} cannot use it",
            "nvidia-smi shows the driver; update it, or unset CUDA_VISIBLE_DEVICES",
        )
    else:
        yield Found("right", f"torch {torch.__version__} on CPUs: there is no NVIDIA GPU")


def version_of(name: str) -> str | None:
    """Return the version of an installed package; None where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _nvidia() -> str:
    """Return the names of the machine's GPUs."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    try:
        told = subprocess.run(
            [command, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(told.stdout.split("\n")).strip(", ") if told.returncode == 0 else ""
