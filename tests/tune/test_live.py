import io

from rich.console import Console

from tune.journal import Trial
from tune.live import View, show_value, table


def trial(number: int, status: str, value: float) -> Trial:
    results = [{"epoch": 1.0, "step": 1, "metrics": {"m": value}}]
    return Trial(number, {"a": 0.123456, "b": [1]}, "m", status, results)  # type: ignore[arg-type]


def test_values_are_short() -> None:
    assert show_value(0.0123456) == "0.01235"
    assert show_value("cutmix") == "cutmix"
    assert show_value([{"Posterize": {"bits": 4}}]) == '[{"Posterize": {"bits": 4}}]'
    assert len(show_value("x" * 100)) == 40


def test_the_best_is_on_top_and_the_rest_is_counted() -> None:
    trials = {number: trial(number, "done", number / 10) for number in range(5)}
    console = Console(file=io.StringIO(), width=100)
    console.print(table(trials, "m", "max", most=2))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("0.4000") < shown.index("0.3000")
    assert "0.2000" not in shown
    assert "and 3 more" in shown


def test_a_line_an_event_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=200)
    with View(console, {}, "m", "max", 8) as view:
        view(trial(3, "running", 0.5), "starts")
        view(trial(3, "running", 0.5), "")
        view(trial(3, "done", 0.5), "done")
        view(trial(4, "failed", 0.5), "failed: [bold]the loss is nan")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "trial 3 of 8: starts with a 0.1235, b [1]",
        "trial 3: epoch 1, m 0.5000",
        "trial 3: done, m 0.5000",
        "trial 4: failed: [bold]the loss is nan",
    ]


def test_a_table_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    trials = {0: trial(0, "running", 0.5)}
    with View(console, trials, "m", "max", 8) as view:
        view(trials[0], "")
    assert "0.5000" in console.file.getvalue()  # type: ignore[attr-defined]
