"""The verb `doctor`: what this machine has for a run, what it lacks, and the command that mends it."""

import json

from rich.console import Console

from pipeline.base.redact import redact
from pipeline.doctor import examine
from pipeline.doctor.found import Looked

SIGNS = {"right": "ok", "note": "note", "wrong": "WRONG"}
COLOURS = {"right": "green", "note": "yellow", "wrong": "bold red"}


def doctor(console: Console, looked: Looked, as_json: bool = False) -> bool:
    """Look at everything and say it; returns whether nothing is wrong. `as_json`: a line for each finding."""
    wrong = 0
    for name, found in examine(looked):
        wrong += found.state == "wrong"
        what, mend = redact(found.what), redact(found.mend)
        if as_json:
            print(json.dumps({"check": name, "state": found.state, "what": what, "mend": mend}))
            continue
        console.print(f"[{COLOURS[found.state]}]{SIGNS[found.state]:<6}[/]", end="")
        console.print(f"{name:<12} {what}", markup=False)
        if mend:
            console.print(f"{'':<19}{mend}", markup=False, style="bold")
    if not as_json:
        console.print(f"\n{wrong} thing{'' if wrong == 1 else 's'} to mend." if wrong else "\nNothing is wrong.")
    return not wrong
