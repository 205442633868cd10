import pytest

from pipeline.recipe.space import Domain, parse_domain
from tune.journal import Trial
from tune.proposals import grid_values, optuna_values, random_values

SPACE: dict[str, Domain] = {
    "a": parse_domain("uniform(0, 1)"),
    "b": parse_domain("choice([1], two)"),
    "c": parse_domain("quniform(0, 0.3, 0.1)"),
    "d": parse_domain("randint(1, 3)"),
}


def done(number: int, value: float | None, status: str = "done", space: dict[str, Domain] = SPACE) -> Trial:
    """A trial at a random point."""
    metrics = {} if value is None else {"m": value}
    results = [{"epoch": 1.0, "step": 1, "metrics": metrics}]
    return Trial(number, random_values(space, 0, number), "m", status, results)  # type: ignore[arg-type]


def test_random_values_are_of_seed_number_and_key() -> None:
    first = [random_values(SPACE, 7, number) for number in range(20)]
    assert first == [random_values(SPACE, 7, number) for number in range(20)]
    assert first != [random_values(SPACE, 8, number) for number in range(20)]
    # Another key beside it changes none.
    assert random_values({"a": SPACE["a"]}, 7, 3)["a"] == first[3]["a"]
    assert len({point["a"] for point in first}) == 20


def test_a_grid_is_every_combination_once() -> None:
    points = grid_values({"b": SPACE["b"], "d": SPACE["d"]})
    assert points == [{"b": b, "d": d} for b in ([1], "two") for d in (1, 2, 3)]


def test_optuna_is_a_function_of_what_is_known() -> None:
    trials = [done(n, float(n)) for n in range(5)]
    point = optuna_values(SPACE, 0, 5, trials, "max", 2)
    assert point == optuna_values(SPACE, 0, 5, trials, "max", 2)
    assert point != optuna_values(SPACE, 0, 6, trials, "max", 2)
    assert list(point) == list(SPACE)
    assert 0 <= point["a"] <= 1
    assert point["b"] in ([1], "two")
    assert point["c"] in (0.0, 0.1, 0.2, 0.3)
    assert point["d"] in (1, 2, 3)


def test_trials_that_run_or_failed_are_no_results() -> None:
    some = [done(0, 1.0), done(1, None, "failed"), done(2, 0.5, "running"), done(3, None, "running")]
    assert set(optuna_values(SPACE, 0, 4, some, "min", 1)) == set(SPACE)


@pytest.mark.parametrize("mode", ["max", "min"])
def test_optuna_finds_a_hill(mode: str) -> None:
    space = {"x": parse_domain("uniform(0, 1)")}
    sign = 1 if mode == "max" else -1
    trials: list[Trial] = []
    for number in range(30):
        values = optuna_values(space, 0, number, trials, mode, 8)
        value = -sign * (values["x"] - 0.3) ** 2
        trials.append(Trial(number, values, "m", "done", [{"epoch": 1.0, "step": 1, "metrics": {"m": value}}]))
    late = [abs(trial.values["x"] - 0.3) for trial in trials[20:]]
    assert sum(late) / len(late) < 0.2, late  # 0.29 for random ones
