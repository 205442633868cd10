import math
import re

from pipeline.tracking.system import parse_gpus, read_machine, read_system


def test_this_machine_has_memory_in_use() -> None:
    metrics = read_system()
    assert 0 < metrics["system/system_memory_usage_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 1
    assert all(math.isfinite(value) for value in metrics.values())


def test_this_machine_in_words() -> None:
    assert re.search(r"\b[1-9]\d* CPU cores, \d+ GB$", read_machine())


def test_gpus_from_the_answer_of_nvidia_smi() -> None:
    assert parse_gpus("0, 37, 1000, 4000\n1, [N/A], 0, 8000\n") == {
        "system/gpu_0_utilization_percentage": 37.0,
        "system/gpu_0_memory_usage_megabytes": 1048.576,
        "system/gpu_0_memory_usage_percentage": 25.0,
        "system/gpu_1_memory_usage_megabytes": 0.0,
        "system/gpu_1_memory_usage_percentage": 0.0,
    }


def test_no_gpus_from_an_error_message() -> None:
    assert parse_gpus("No devices were found\n") == {}
