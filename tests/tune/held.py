"""`python -m tune`, of which one trial comes to a stand, to be killed there: `held.py FOLDER TRIAL REPORTS RECIPE ...`.

After so many reports the trial (a fold, of Fast AutoAugment) touches `FOLDER/held` and waits for ever. Every candidate
that Fast AutoAugment scores adds a line to `FOLDER/scored`, its fold.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from tests.tune.hooks import Trainable, before_reports
from tune import cli, search
from tune.policy import run_fast


def noting_scores(run: Trainable, notes: Path) -> Trainable:
    """Fast AutoAugment's trainable, in whose process every scoring is noted."""

    def run_and_note(config: dict[str, Any], job: Any) -> None:
        from tune.policy.density import Density

        score = Density.__call__

        def note_and_score(density: Density, policy: Any) -> Any:
            with notes.open("a") as file:
                file.write(f"{config['fold']}\n")
            return score(density, policy)

        Density.__call__ = note_and_score  # type: ignore[method-assign, assignment]
        run(config, job=job)

    return run_and_note


if __name__ == "__main__":
    folder, held, reports = Path(sys.argv.pop(1)), int(sys.argv.pop(1)), int(sys.argv.pop(1))

    def hold(number: int, told: int, metrics: dict[str, Any]) -> None:
        """Stand still, if this is the place."""
        if (number, told) == (held, reports):
            (folder / "held").touch()
            threading.Event().wait()

    search.run_trial = before_reports(search.run_trial, hold)
    run_fast.run_fold = before_reports(noting_scores(run_fast.run_fold, folder / "scored"), hold)
    cli.main()
