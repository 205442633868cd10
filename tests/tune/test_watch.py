import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tune.journal import Journal
from tune.watch import Unkept, Watcher, reason

DIED = """Failure # 1 (occurred at 2026-11-20_21-07-00)
The actor died unexpectedly before finishing this task.
\tclass_name: ImplicitFunc
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"""
RAISED = """Failure # 2 (occurred at 2026-11-20_21-08-00)
ray::ImplicitFunc.train() (pid=1, ip=127.0.0.1)
  File "x.py", line 1, in run_trial
    raise ValueError("a: b")
ValueError: a: b
more"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DIED, "its process died (killed, out of memory, or a crash in native code)"),
        (RAISED, "ValueError: a: b"),
        (DIED + "\n" + RAISED, "ValueError: a: b"),
        (RAISED + DIED, "its process died (killed, out of memory, or a crash in native code)"),
        ("odd\n", "odd"),
        (None, "no message"),
    ],
)
def test_reasons(tmp_path: Path, text: str | None, expected: str) -> None:
    if text:
        (tmp_path / "error.txt").write_text(text)
    trial: Any = SimpleNamespace(error_file=str(tmp_path / "error.txt"))
    assert reason(trial) == expected


def test_ray_tune_may_pickle_what_it_is_given(tmp_path: Path) -> None:
    watcher = Watcher(Journal(tmp_path, "m"), None, lambda trial, word: None)
    assert type(pickle.loads(pickle.dumps(watcher))) is Unkept  # noqa: S301
    assert copy.deepcopy(watcher) is watcher
