"""What the store still knows of an exported model: the data that it was trained on, and how well it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import ZoetropeError
from pipeline.store import Artifact, open_store
from pipeline.store.artifact import MANIFEST, parse_manifest


@dataclass(frozen=True)
class Lineage:
    """Artifacts and facts behind an exported model; None or empty is what is not there any more."""

    shard: Artifact | None = None
    """The shards of the data."""
    data: str | None = None
    """The fingerprint of these."""
    train: str | None = None
    """The fingerprint of the training."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """What the evaluation measured."""
    split: str = "val"
    """What it was measured on: "val" or "test"."""


def lineage(folder: Path) -> Lineage:
    """Look up where the model in `folder` came from; a copy outside of its store knows nothing."""
    path = folder.parent / MANIFEST
    if folder.name != "model" or not path.is_file() or (export := parse_manifest(path.read_bytes())) is None:
        return Lineage()
    train = _input(export, "train")
    try:
        store = open_store(str(folder.parents[3]))
        trained = store.find("train", train) if train else None
        evaluations = store.artifacts("evaluate")
    except ZoetropeError:
        return Lineage(train=train)
    data = _input(trained.manifest, "shard") if trained else None
    facts: dict[str, Any] = next((made["facts"] for made in evaluations if _input(made, "train") == train), {})
    scores = {name: value for name, value in facts.items() if isinstance(value, float)}
    shard = store.find("shard", data) if data else None
    return Lineage(shard, data, train, scores, str(facts.get("split", "val")))


def _input(manifest: Mapping[str, Any], stage: str) -> str | None:
    found: str | None = manifest["inputs"].get(stage, {}).get("fingerprint")
    return found
