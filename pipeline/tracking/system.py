"""What the machine is doing: CPU, memory and GPUs, under the names that MLflow's system page shows."""

import csv
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence

import psutil

QUERY = ["--query-gpu=index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]
NAMES = ["--query-gpu=name", "--format=csv,noheader"]


def read_system() -> dict[str, float]:
    """Measure percentages and megabytes of this machine, now.

    CPU use is the mean since the last call in this process.
    """
    memory = psutil.virtual_memory()
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / 1e6,
        "system/system_memory_usage_percentage": memory.percent,
        **parse_gpus(_ask(QUERY)),
    }


def read_machine() -> str:
    """Say what this machine has: "2 x NVIDIA H200, 16 CPU cores, 128 GB"."""
    names = Counter(line.strip() for line in _ask(NAMES).splitlines() if line.strip())
    gpus = [f"{count} x {name}" for name, count in names.items()]
    memory = f"{psutil.virtual_memory().total / 1e9:.0f} GB"
    return ", ".join([*gpus, f"{psutil.cpu_count()} CPU cores", memory])


def _ask(query: Sequence[str]) -> str:
    """Return nvidia-smi's answer; "" where there is none.

    Rather than torch.cuda, which would take half a gigabyte of the GPU for a CUDA context.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        return subprocess.run([program, *query], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_gpus(answer: str) -> dict[str, float]:
    """Parse metrics of nvidia-smi's lines `index, utilization %, MiB used, MiB in all`; `[N/A]` fields are left out."""
    metrics: dict[str, float] = {}
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if len(row) != 4 or not row[0].isdigit():
            continue
        index, utilization, used, total = row
        if utilization.isdigit():
            metrics[f"system/gpu_{index}_utilization_percentage"] = float(utilization)
        if used.isdigit() and total.isdigit():
            metrics[f"system/gpu_{index}_memory_usage_megabytes"] = int(used) * 1.048576
            metrics[f"system/gpu_{index}_memory_usage_percentage"] = 100 * int(used) / int(total)
    return metrics
