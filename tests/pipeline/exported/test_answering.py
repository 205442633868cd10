"""The module that is exported, against the model and its preprocessing as they are called in a run."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.base.errors import ZoetropeError
from pipeline.exported.agreement import worst_differences
from pipeline.exported.answering import exportable, traced
from pipeline.exported.formats import run_module
from pipeline.training.step import Normalize
from tests.pipeline.exported.test_every_export import drawn, recipe_of, views_of

CPU = torch.device("cpu")
ONLINE = {"kind": "tsm_resnet18", "direction": "past"}


@pytest.mark.parametrize("options", [{"kind": "resnet18"}, {"kind": "tsm_resnet18"}])
def test_preprocessing_inside_changes_nothing(options: dict[str, str]) -> None:
    recipe = recipe_of(options)
    model, task = drawn(recipe)
    pixels, normalize = np.stack(views_of(recipe)), Normalize.of(recipe, CPU)
    outside, inside = (exportable(recipe, model, task, preprocess) for preprocess in (False, True))
    (expected,) = run_module(outside.module)([normalize(pixels).numpy()])
    (found,) = run_module(inside.module)([pixels])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert inside.inputs["pixels"].dtype == torch.uint8
    assert inside.inputs["pixels"].shape[1:] == pixels.shape[1:]
    assert inside.size == outside.size == (24, 32)


def test_online_answers_add_up_to_the_clip() -> None:
    """The mean of the frames' logits is that of the clip; what is answered are the frames' own probabilities."""
    recipe = recipe_of(ONLINE)
    model, task = drawn(recipe)
    given = exportable(recipe, model, task, preprocess=True, online=True)
    assert given.caches == 8  # a shift in each block of a ResNet-18
    assert given.outputs == ("scores", *(f"next_{i}" for i in range(8)))
    clips = np.stack(views_of(recipe))
    caches: list[Tensor] = [torch.zeros(3, *cache.shape[1:]) for cache in list(given.inputs.values())[1:]]
    logs = []
    with torch.no_grad():
        for frame in torch.from_numpy(clips).unbind(1):
            scores, *caches = given.module(frame, *caches)
            logs.append(scores.log())
        expected = model(Normalize.of(recipe, CPU)(clips)).softmax(-1)
    np.testing.assert_allclose(torch.stack(logs).mean(0).softmax(-1), expected, atol=1e-5)


def test_an_online_graph_passes_its_caches_on() -> None:
    recipe = recipe_of(ONLINE)
    given = exportable(recipe, *drawn(recipe), online=True)
    run = run_module(traced(given).module())
    views = [{"pixels": pixels} for pixels in views_of(recipe)]
    worst = worst_differences(given, run, views, Normalize.of(recipe, CPU))
    assert set(worst) == set(given.outputs)
    assert max(worst.values()) <= 1e-5


def test_only_a_tsm_of_the_past_runs_online() -> None:
    recipe = recipe_of({"kind": "tsm_resnet18"})
    with pytest.raises(ZoetropeError, match="only a TSM with direction='past' can run online"):
        exportable(recipe, *drawn(recipe), online=True)


def test_a_model_that_fixes_its_batch_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) * torch.ones(len(x), 1)

    recipe = recipe_of({"kind": "resnet18"})
    _, task = drawn(recipe)
    with pytest.raises(ZoetropeError, match=r"(?s)torch.export cannot trace the model: .*x.shape\[0\], and not len"):
        traced(exportable(recipe, Fixed(), task))
