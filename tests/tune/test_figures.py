import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.keyed import generator
from pipeline.recipe.space import parse_domain
from pipeline.recipe.tuning import Tune
from tune import figures
from tune.journal import Trial, ranked
from tune.proposals import random_values

TUNE = Tune.model_validate(
    {
        "metric": "val/top1",
        "mode": "max",
        "space": {
            "optimizer.lr": "loguniform(0.01, 1)",
            "loss.label_smoothing": "uniform(0, 0.2)",
            "mixing.kind": "choice(none, mixup, cutmix)",
        },
    }
)


def trials(count: int) -> list[Trial]:
    """Of which the learning rate alone decides; some stopped, one failed."""
    made = []
    for number in range(count):
        values = random_values(TUNE.space, 0, number)
        value = 0.9 - 0.2 * abs(math.log10(values["optimizer.lr"]) + 1) + 0.01 * generator(0, number).random()
        results = [{"epoch": float(e), "step": e, "metrics": {"val/top1": value * e / 4}} for e in range(1, 5)]
        status = "failed" if number == 3 else "stopped" if number % 4 == 1 else "done"
        made.append(Trial(number, values, "val/top1", status, results[: 1 if status == "stopped" else 4]))  # type: ignore[arg-type]
    return ranked(made, "max")


@pytest.mark.parametrize(
    ("text", "value", "share"),
    [
        ("loguniform(0.01, 1)", 0.1, 0.5),
        ("uniform(0, 0.2)", 0.05, 0.25),
        ("choice(none, mixup, cutmix)", "mixup", 0.5),
        ("choice(0.5, 0.1)", 0.1, 1.0),
        ("choice([1], [2])", [2], 1.0),
        ("choice(1)", 1, 0.5),
        ("randint(0, 10)", 10, 1.0),
    ],
)
def test_where_a_value_stands(text: str, value: object, share: float) -> None:
    assert figures.place(parse_domain(text), value) == pytest.approx(share)


def test_what_decides_is_important() -> None:
    done = [trial for trial in trials(40) if trial.status == "done"]
    found = figures.importances(done, TUNE, 0)
    assert found["optimizer.lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert found == figures.importances(done, TUNE, 0)
    assert figures.importances(done[:3], TUNE, 0) == {}


def test_they_are_drawn(tmp_path: Path) -> None:
    for count in (0, 1, 20):
        folder = tmp_path / str(count)
        figures.progress(trials(count), TUNE, folder / "progress.png")
        figures.parallel_coordinates(trials(count), TUNE, folder / "parallel.png")
        figures.importance(trials(count), TUNE, 0, folder / "importance.png")
    assert len(list((tmp_path / "20").iterdir())) == 3
    assert not (tmp_path / "0" / "parallel.png").exists()
    with Image.open(tmp_path / "20" / "parallel.png") as picture:
        assert np.asarray(picture).std() > 10
