from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipeline.training.model import build_model, load_model


def test_weights_come_back_ready_to_predict(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image")
    torch.manual_seed(1)
    built = build_model(recipe, 3)
    save_file(built.state_dict(), str(tmp_path / "w"))
    loaded = load_model(recipe, 3, tmp_path / "w", torch.device("cpu"))
    assert not loaded.training
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in built.state_dict().items())


def test_weights_of_another_number_of_classes_are_refused(make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe("image")
    save_file(build_model(recipe, 4).state_dict(), str(tmp_path / "w"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_model(recipe, 3, tmp_path / "w", torch.device("cpu"))


def test_channels_last_is_a_layout_of_the_same_weights(make_recipe: Any) -> None:
    torch.manual_seed(1)
    plain = build_model(make_recipe("image"), 3)
    torch.manual_seed(1)
    last = build_model(make_recipe("image", **{"train.channels_last": True}), 3)
    kernels = [p for p in last.parameters() if p.ndim == 4 and p.shape[2] > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), last.parameters(), strict=True))


def test_kernels_of_images_and_of_clips_are_channels_last_beside_each_other(make_recipe: Any) -> None:
    model = {"kind": "tsm_resnet18", "width": 8, "non_local": True}
    last = build_model(make_recipe("video", **{"train.channels_last": True, "model": model}), 3)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    kernels = [p for p in last.parameters() if p.ndim in formats]
    assert {p.ndim for p in kernels} == {4, 5}
    assert all(p.is_contiguous(memory_format=formats[p.ndim]) for p in kernels)
