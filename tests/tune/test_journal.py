import json
import math
from pathlib import Path

from tune.journal import EVENTS, Journal, Trial, apply, ranked, winner


def start(number: int, **facts: object) -> dict[str, object]:
    return {
        "event": "start",
        "trial": number,
        "values": {"a": number},
        "replaced": 0,
        "epoch": 0.0,
        "from": None,
    } | facts


def result(number: int, epoch: float, value: float) -> dict[str, object]:
    return {"event": "result", "trial": number, "epoch": epoch, "step": int(10 * epoch), "metrics": {"m": value}}


def test_a_killed_search_is_read_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "m")
    for event in (start(0), result(0, 1.0, 0.5), result(0, 2.0, math.nan), start(1)):
        journal.write(event)
    journal.write({"event": "checkpoint", "trial": 1, "path": "/c"})
    journal.write({"event": "retry", "trial": 1, "error": "died"})
    journal.write({"event": "end", "trial": 0, "status": "done", "error": None})
    journal.close()
    with (tmp_path / EVENTS).open("a") as file:
        file.write('{"event": "end", "tri')  # killed in mid-line

    again = Journal(tmp_path, "m")
    assert {n: (t.status, t.epoch, t.retries, t.checkpoint) for n, t in again.trials.items()} == {
        0: ("done", 2.0, 0, None),
        1: ("running", 0.0, 1, "/c"),
    }
    assert again.trials[0].value is None  # not a number
    again.write(result(1, 1.0, 0.7))
    again.close()
    lines = (tmp_path / EVENTS).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines][-2:] == ["end", "result"]
    assert Journal(tmp_path, "m").trials[1].value == 0.7


def test_those_that_were_trained_to_their_end_come_first() -> None:
    def trial(number: int, status: str, value: float | None) -> Trial:
        metrics = {} if value is None else {"m": value}
        return Trial(number, {}, "m", status, [{"epoch": 1.0, "step": 1, "metrics": metrics}])  # type: ignore[arg-type]

    trials = [
        trial(0, "failed", 0.99),
        trial(1, "stopped", 0.95),
        trial(2, "done", 0.8),
        trial(3, "done", 0.9),
        trial(4, "done", math.nan),
    ]
    assert [t.number for t in ranked(trials, "max")] == [3, 2, 1, 0, 4]
    assert [t.number for t in ranked(trials, "min")][:2] == [2, 3]
    best = winner(trials, "max")
    assert best is not None
    assert best.number == 3
    assert winner([trials[0], trials[4]], "max") is None
    assert winner([], "max") is None


def test_the_history_of_weights_that_were_handed_over() -> None:
    trials: dict[int, Trial] = {}
    for event in (
        start(0),
        start(1),
        start(0, values={"a": 10}, replaced=1, epoch=1.0, **{"from": 1}),
        start(1, values={"a": 11}, replaced=1, epoch=2.0, **{"from": 0}),
        start(1, values={"a": 11}, replaced=1, epoch=2.0, **{"from": 0}),  # a retry, or after a pause
    ):
        apply(trials, event, "m")
    assert [(entry["epoch"], entry["values"]["a"]) for entry in trials[1].history] == [(0.0, 1), (1.0, 10), (2.0, 11)]
    assert [(entry["epoch"], entry["from"]) for entry in trials[0].history] == [(0.0, None), (1.0, 1)]
