"""Stores in which some stages of the real graph are done, without doing them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.graph.code_digest import code_digests
from pipeline.graph.plan import plan
from pipeline.recipe import Recipe, load, plain
from pipeline.store import Store, open_store
from pipeline.verbs.planning import GRAPH

RECIPES = Path(__file__).parents[2] / "recipes"
FACTS: dict[str, dict[str, Any]] = {
    "ingest": {"samples": 1200, "quarantined": 0, "classes": 4},
    "shard": {"train": 969, "val": 231, "shards": 10, "bytes": 6830080, "quarantined": 0},
    "train": {"mlflow_run_id": "3f2a", "val/loss": 0.0623, "val/top1": 1.0},
    "evaluate": {"loss": 0.0623, "top1": 0.9701, "top5": 1.0},
    "export": {"mlflow_model": "models:/m-1"},
}


def quickstart(store: Path, *overrides: str, name: str = "quickstart") -> Recipe:
    """One of the recipes that stand in the repository, with another store."""
    return load(RECIPES / f"{name}.yaml", [f"store={store}", *overrides])


def publish_until(
    recipe: Recipe, last: str, facts: Mapping[str, dict[str, Any]] | None = None, code: Mapping[str, str] | None = None
) -> Store:
    """The recipe's store, with an artifact of each stage up to `last`, made by today's code or by that of `code`."""
    store = open_store(recipe.store)
    record = store.record_run(recipe.name, plain(recipe), {})
    for stage in GRAPH.order:
        steps = {step.stage.name: step for step in plan(GRAPH, plain(recipe), store).steps}
        step = steps[stage.name]
        assert step.fingerprint is not None
        inputs = {name: artifact for name in stage.inputs if (artifact := steps[name].artifact) is not None}
        manifest = {
            "version": stage.version,
            "values": step.values,
            "inputs": {n: {"fingerprint": a.fingerprint, "digest": a.digest} for n, a in inputs.items()},
            "outside": step.outside,
            "code": code_digests(stage.module) if code is None else code,
            "facts": FACTS[stage.name] | (facts or {}).get(stage.name, {}),
            "run": record.folder.name,
        }
        with store.work(stage.name, step.fingerprint) as work:
            (work.out / "made.txt").write_text(stage.name)
            store.publish(work, manifest)
        record.update_stage(stage.name, status="made", fingerprint=step.fingerprint)
        if stage.name == last:
            break
    record.end("done")
    return store
