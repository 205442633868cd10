"""What a stage's process does around the stage; whole runs of it are in test_execute.py."""

import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.graph.stage_process import note_unfinished
from pipeline.store import FolderStore, StoreError


def test_a_note_that_a_full_disk_cut_short_is_not_other_code(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path / "store"), list[str]()
    manifest = {"code": {"pipeline/x.py": "0123456789abcdef"}}
    job: Any = SimpleNamespace(stage="shard", store=store, manifest=manifest, reporter=SimpleNamespace(say=said.append))
    with store.work("shard", "f1") as work:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        try:
            with pytest.raises(StoreError, match="may not grow that large"):
                note_unfinished(job, work)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        for _ in range(2):
            note_unfinished(job, work)
        assert said == []
        manifest["code"]["pipeline/x.py"] = "other"
        note_unfinished(job, work)
        assert "by an attempt with other code" in said[0]
