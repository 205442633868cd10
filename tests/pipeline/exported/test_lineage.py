"""Where a model came from, in a store whose stages are done, and where that is not known."""

import shutil
from pathlib import Path

from pipeline.exported.lineage import Lineage, lineage
from pipeline.verbs.planning import GRAPH
from tests.pipeline.stores import publish_until, quickstart


def test_a_store_knows_data_training_and_scores(tmp_path: Path) -> None:
    store = publish_until(quickstart(tmp_path / "runs"), GRAPH.order[-1].name)
    made = {stage: store.artifacts(stage)[0]["fingerprint"] for stage in ("shard", "train", "export")}
    export = store.find("export", made["export"])
    assert export is not None
    folder = export.path / "model"
    folder.mkdir()
    found = lineage(folder)
    assert (found.data, found.train) == (made["shard"], made["train"])
    assert found.shard is not None
    assert found.shard.fingerprint == made["shard"]
    assert found.scores == {"loss": 0.0623, "top1": 0.9701, "top5": 1.0}
    assert lineage(shutil.copytree(folder, tmp_path / "elsewhere" / "model")) == Lineage()


def test_shards_that_are_gone_leave_their_fingerprint(tmp_path: Path) -> None:
    store = publish_until(quickstart(tmp_path / "runs"), GRAPH.order[-1].name)
    export, shard = (store.find(name, store.artifacts(name)[0]["fingerprint"]) for name in ("export", "shard"))
    assert export is not None
    assert shard is not None
    (export.path / "model").mkdir()
    shutil.rmtree(shard.path)
    found = lineage(export.path / "model")
    assert (found.shard, found.data) == (None, shard.fingerprint)
