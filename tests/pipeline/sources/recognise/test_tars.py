"""Tars by what is in them: masks, one label, several."""

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from pipeline.sources.recognise import recognise, tree_of


def tar(path: Path, *samples: dict[str, str]) -> Path:
    """A tar of samples, their members by extension."""
    with tarfile.open(path, "w") as file:
        for i, sample in enumerate(samples):
            for extension, text in sample.items():
                info = tarfile.TarInfo(f"{i:05}.{extension}")
                info.size = len(text)
                file.addfile(info, BytesIO(text.encode()))
    return path.parent


def labelled(key: str, *labels: Any) -> list[dict[str, str]]:
    return [{"jpg": "x", "json": json.dumps({"width": 3, key: label})} for label in labels]


@pytest.mark.parametrize(
    ("samples", "task", "more"),
    [
        ([{"jpg": "x", "cls": "0"}], "image-classification", {}),
        ([{"jpg": "x", "cls": "0", "json": "{}"}], "image-classification", {}),
        ([{"mp4": "x", "txt": "run"}], "video-classification", {"label": "txt"}),
        (labelled("label", "a", "b"), "image-classification", {"label": "json.label"}),
        (labelled("category", 3, 4), "image-classification", {"label": "json.category"}),
        (labelled("labels", ["a"], ["b"]), "image-classification", {"label": "json.labels"}),
        (labelled("tags", ["a"], ["a", "b"]), "image-multilabel", {"label": "json.tags"}),
        (labelled("tags", ["a"], []), "image-multilabel", {"label": "json.tags"}),
        ([{"jpg": "x", "json": "no"}], "image-classification", {"label": "json.label"}),
        ([{"jpg": "x", "png": "y"}], "segmentation", {"extensions": ["jpg"], "members": {"seg.png": "png"}}),
        ([{"jpg": "x", "png": "y", "cls": "0"}], "image-classification", {}),
        (
            [{"jpg": "x", "mask.png": "y", "cls": "0"}],
            "segmentation",
            {"extensions": ["jpg"], "members": {"seg.png": "mask.png"}},
        ),
        (
            [{"png": "x", "seg.png": "y", "inst.png": "z"}],
            "segmentation",
            {"extensions": ["png"], "members": {"seg.png": "seg.png"}},
        ),
    ],
)
def test_what_samples_have(tmp_path: Path, samples: Any, task: str, more: dict[str, Any]) -> None:
    guess = recognise(tree_of(tar(tmp_path / "train-0.tar", *samples)))
    assert guess.task == task
    assert guess.source == {"kind": "webdataset", "urls": [f"{tmp_path}/train-0.tar"], **more}
