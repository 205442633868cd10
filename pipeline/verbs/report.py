"""The verb `report`: a run as a page, or several side by side; and the page that each run ends with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.report.gather import Told, find, of_folder, of_record
from pipeline.store import Artifact, Store
from pipeline.store.record import RUNS, Run
from pipeline.training.find_model import typed

PAGE = "report.html"


def report(console: Console, named: Sequence[str], out: Path, store: str | None = None) -> None:
    """Write the page of the runs that a user names to `out`."""
    from pipeline.report.page import page_of

    write(out, page_of([find(typed(name), store) for name in named]))
    console.print(f"{out} shows {', '.join(named)}.", markup=False)


def write(out: Path, page: str) -> None:
    """Write a page. ZoetropeError where it cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ZoetropeError(f"--out {out}: cannot be written: {error.strerror}") from error


def of_evaluation(folder: Path) -> Path:
    """Write the page of what the verb `evaluate` has left in `folder`, there."""
    from pipeline.report.page import page_of

    write(folder / PAGE, page_of([of_folder(folder)]))
    return folder / PAGE


def of_run(record: Run, store: Store) -> Path | None:
    """Write the page of a run that has ended beside its record; None where its evaluation left nothing for one."""
    from pipeline.report.page import page_of

    told: Told | None = of_record(record.folder.name, record.record, store)
    return record.keep(PAGE, page_of([told])) if told else None


def earlier(store: Store, artifacts: Mapping[str, Artifact]) -> Path | None:
    """Return the page of the newest run with this evaluation; None where there is none on this node."""
    for record in store.records():
        page = store.home / RUNS / record.name / PAGE
        mark = record.content.get("stages", {}).get("evaluate", {}).get("fingerprint")
        if mark == artifacts["evaluate"].fingerprint and page.is_file():
            return page
    return None
