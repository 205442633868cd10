"""Trainables of searches in which something happens at a known place, for tests that would else depend on timing."""

from collections.abc import Callable
from typing import Any

Trainable = Callable[..., None]
Hook = Callable[[int, int, dict[str, Any]], None]
"""(number of the trial or the fold, reports that this process has made, the next one)"""


def before_reports(run: Trainable, hook: Hook) -> Trainable:
    """A trainable as `run`, which calls `hook` before each of its reports: Ray Tune then knows all those before it."""

    def hooked(config: dict[str, Any], job: Any) -> None:
        from ray import tune

        report, told = tune.report, 0
        number = config["fold"] if "fold" in config else config["point"]["number"]

        def hook_and_report(metrics: dict[str, Any], **named: Any) -> None:
            nonlocal told
            hook(number, told, metrics)
            told += 1
            report(metrics, **named)

        tune.report = hook_and_report
        run(config, job=job)

    return hooked
