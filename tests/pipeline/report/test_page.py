"""Every task has its page: whole, small, and without a word that asks a network."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.report.details import DETAILS, read_details, to_list, write_details
from pipeline.report.gather import Told, of_folder
from pipeline.report.page import MOST_BYTES, page_of
from pipeline.stages.evaluation import write_tables
from pipeline.tasks.classification import Classification
from tests.pipeline.tasks.test_tasks import CASES, SIZE, Case, guesses, tally_of

VOID = {"meta", "img", "link", "br", "input", "hr"}
CURVES = {"train/loss": [[1, 2], [2.0, None]], "val/loss": [[2], [1.0]], "throughput/samples_per_s": [[1], [5.0]]}


class Reader(HTMLParser):
    """Collects text, ids and addresses; every element that opens must close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    assert len(page.encode()) <= MOST_BYTES
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in reader.addresses)
    assert "@import" not in page
    assert len(reader.ids) == len(set(reader.ids))
    return reader


def evaluated(case: Case, folder: Path, seed: int = 0) -> Told:
    """What `evaluate` leaves of a model that knows nothing."""
    task, tally = case.task, tally_of(case, guesses(case, seed))
    folder.mkdir()
    names = [f"<b>{i}</b>.jpg" for i in range(5)]
    write_tables(folder, task, names, tally)
    rows = [{name: column[i] for name, column in tally.rows.items()} for i in range(5)]
    drawings = {i: task.compared(np.full((*SIZE, 3), 40 * i, np.uint8), rows[i]) for i in range(5)}
    write_details(folder, "a-kind", task, "val", names, tally, to_list(task, tally, 16), drawings, CURVES)
    return of_folder(folder)


@pytest.mark.parametrize("name", CASES)
def test_a_page_of_every_task(name: str, tmp_path: Path) -> None:
    told = evaluated(CASES[name], tmp_path / "out")
    assert (tmp_path / "out" / DETAILS).read_bytes()[4:8] == bytes(4)  # no time in it: equal ones are equal files
    reader = read(page_of([told]))
    task = CASES[name].task
    assert task.headline.title in reader.text
    assert "<b>0</b>.jpg" in reader.text  # a name is no markup
    assert len(told.details["score"]) == len(told.details["file"]) == 5
    assert np.isfinite(told.details["score"]).all()
    assert ("calibration" in reader.ids) == (name in ("classification", "multilabel"))
    assert {"errors", "charts"} <= set(reader.ids)


@pytest.mark.parametrize("name", ["classification", "segmentation", "restoration"])
def test_two_side_by_side(name: str, tmp_path: Path) -> None:
    one, other = (evaluated(CASES[name], tmp_path / str(seed), seed) for seed in range(2))
    text = read(page_of([one, other])).text
    assert "2 runs side by side" in text
    assert "1 against 0" in text
    assert "95 % interval" in text
    assert "Better than before" in text or "Worse than before" in text
    same = read(page_of([one, one])).text
    assert "Worse than before" not in same


def test_a_page_that_would_be_too_large_has_fewer_pictures(tmp_path: Path) -> None:
    told = evaluated(CASES["classification"], tmp_path / "out")
    picture = next(iter(told.details["pictures"].values()))
    told.details["pictures"] = {str(i): {**picture, "jpeg": "A" * 100_000} for i in range(5)}
    told.details["listed"]["errors"] = [0, 1, 2, 3, 4] * 10
    page = page_of([told])
    read(page)
    assert page.count("A" * 100_000) > 5


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / DETAILS).write_bytes(b"no gzip")
    with pytest.raises(ZoetropeError, match="cannot be read"):
        read_details(tmp_path / DETAILS)


def test_the_most_confident_errors_come_first() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    judged = Classification(("a", "b")).judged({"scores": scores, "label": np.array([0, 0, 1, 0])})
    assert np.argsort(-judged.wrongness)[:2].tolist() == [1, 3]
    assert judged.wrongness[[0, 2]].tolist() == [-np.inf, -np.inf]
    assert (list(judged.true), list(judged.said)) == (["a", "a", "b", "a"], ["a", "b", "b", "b"])
    json.dumps(judged.score.tolist())
