from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

SMALL: dict[str, Any] = {
    "name": "small",
    "task": {"kind": "image-classification"},
    "data": {"source": {"kind": "folder", "path": "photos"}},
    "model": {"kind": "resnet18", "width": 16},
    "augment": {
        "train": [{"RandomCrop": {"height": 28, "width": 28}}],
        "eval": [{"CenterCrop": {"height": 28, "width": 28}}],
    },
    "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.8},
    "train": {"duration": "2ep", "batch_size": 8},
}


@pytest.fixture
def small() -> dict[str, Any]:
    """The values of a recipe that is right; a fresh copy, to be changed."""
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL))
    return copy


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes values, or a text, into a recipe file in `tmp_path`: `write(content, name)`."""

    def write(content: Any, name: str = "r.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    return write
