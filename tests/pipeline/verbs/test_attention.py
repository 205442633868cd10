import re
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import yaml
from safetensors.torch import save_file

from pipeline.base.errors import ZoetropeError
from pipeline.recipe import plain
from pipeline.training.model import build_model
from pipeline.verbs.attention import draw_attention

TINY = {"width": 12, "depth": 2, "heads": 3, "patch_px": 8, "size_px": 32, "frames": 4}


def exported(make_recipe: Any, folder: Path, model: dict[str, Any]) -> Path:
    """What the export stage writes, of a model that nobody trained: `folder`."""
    recipe = make_recipe("video", model=model)
    torch.manual_seed(0)
    save_file(build_model(recipe, 2).state_dict(), str(folder / "model.safetensors"))
    (folder / "classes.json").write_text('["run", "sit"]')
    (folder / "recipe.yaml").write_text(yaml.safe_dump(plain(recipe)))
    return folder


def test_a_picture_of_frames_and_of_attention_over_them(
    make_recipe: Any, validation_files: Any, tmp_path: Path
) -> None:
    model = exported(make_recipe, tmp_path, {"kind": "timesformer_base", **TINY})
    (tmp_path / "clip.mp4").write_bytes(validation_files("video")[0])
    answer = draw_attention(model, tmp_path / "clip.mp4", tmp_path / "attention.png")
    assert re.fullmatch(r"'(run|sit)' with \d+\.\d%", answer)
    picture = cv2.imread(str(tmp_path / "attention.png"))
    assert picture is not None
    blue, _, red = picture.reshape(-1, 3).T.astype(int)
    assert (blue - red).max() > 60
    assert (red - blue).max() > 60


def test_what_cannot_be_drawn_is_said(make_recipe: Any, tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"holds no exported model: model.safetensors is not there"):
        draw_attention(tmp_path, tmp_path / "clip.mp4", tmp_path / "attention.png")
    model = exported(make_recipe, tmp_path, {"kind": "tsm_resnet18", "width": 8})
    with pytest.raises(ZoetropeError, match="tsm_resnet18 has no attention to draw; train one of the timesformer_"):
        draw_attention(model, tmp_path / "clip.mp4", tmp_path / "attention.png")
