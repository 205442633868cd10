"""Damaged checkpoints in a store behind a real S3 API; those on a disk are in stages/test_checkpoints.py."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.shards.dataset import Dataset
from pipeline.store.remote import RemoteParts, RemoteStore
from tests.pipeline.cluster.test_checkpoints import through, undisturbed

__all__ = ["undisturbed"]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("damage", ["half", "no file", "middle", "digest"])
def test_the_one_before_is_taken(
    undisturbed: tuple[Any, Any],
    images: Dataset,
    tmp_path: Path,
    store: RemoteStore,
    damage: str,
) -> None:
    through(RemoteParts(store.url, "train", "f" * 32), undisturbed, images, tmp_path, damage)
