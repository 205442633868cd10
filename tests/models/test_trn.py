"""TRN: the release's names and counts, the sum over tuples written out, and which tuples there are."""

import hashlib
from itertools import combinations
from typing import Any

import pytest
import torch

import models
from models.complexity import count_parameters
from models.trn import evenly
from pipeline.base.errors import ZoetropeError
from tests.models.test_resnet import on_meta


def tiny(**options: Any) -> Any:
    torch.manual_seed(0)
    return models.build("trn_resnet18", 4, **{"width": 8, "frames": 4, **options}).eval()


@pytest.mark.parametrize(("classes", "parameters"), [(174, 2_608_578), (27, 2_344_125), (339, 2_905_413)])
def test_relations_have_the_releases_parameters(classes: int, parameters: int) -> None:
    assert count_parameters(on_meta("trn_resnet50", classes).get_submodule("consensus")) == parameters


def test_names_are_the_releases() -> None:
    state = on_meta("trn_resnet50", 174).state_dict()
    lines = [f"{key[10:]} {tuple(value.shape)}" for key, value in state.items() if key.startswith("consensus.")]
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == (28, "f7421cfce613fbc5")
    assert tuple(state["new_fc.weight"].shape) == (256, 2048)


def test_against_the_definition() -> None:
    """Equation 4: over all scales, the sum of h(g(f_i, f_j, ...)) over tuples in the order of time."""
    model, clips = tiny(), torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        frames = torch.stack([model.new_fc(model.base_model(clips[:, :, t])) for t in range(4)], 1)
        expected = torch.zeros(2, 4)
        for i, n in enumerate((4, 3, 2)):
            every = list(combinations(range(4), n))
            for picked in [every[place] for place in evenly(len(every))]:
                expected += model.consensus["fc_fusion_scales"][i](torch.cat([frames[:, t] for t in picked], 1))
        torch.testing.assert_close(model(clips), expected, rtol=1e-4, atol=1e-5)


def test_tuples_of_evaluation() -> None:
    assert [evenly(count) for count in (1, 2, 3, 8, 70)] == [[0], [0, 1], [0, 1, 2], [0, 3, 7], [0, 34, 69]]
    picked = [tuples.tolist() for tuples in tiny().tuples()]
    assert picked == [[[0, 1, 2, 3]], [[0, 1, 2], [0, 1, 3], [1, 2, 3]], [[0, 1], [0, 3], [2, 3]]]


def test_tuples_of_training_are_drawn_without_replacement() -> None:
    model = tiny(frames=6).train()
    torch.manual_seed(1)
    drawn = [model.tuples() for _ in range(20)]
    assert [len(tuples) for tuples in drawn[0]] == [1, 3, 3, 3, 3]
    pairs = [sorted(map(tuple, tuples[-1].tolist())) for tuples in drawn]
    assert all(len(set(three)) == 3 and all(a < b for a, b in three) for three in pairs)
    assert len({pair for three in pairs for pair in three}) == 15
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], model.tuples(), strict=True))


def test_weights_of_a_resnet_start_the_trunk() -> None:
    model, image = tiny(), models.build("resnet18", 7, width=8)
    report = models.load_weights(model, image.state_dict())
    assert len(report.loaded) == 120
    assert all(name.startswith(("new_fc", "consensus")) for name in report.missing)
    own = {key: value + 1 for key, value in tiny(dropout=0.0).state_dict().items()}
    assert len(models.load_weights(model, own).loaded) == len(own)
    own |= {key: value[:1] for key, value in own.items() if ".3." in key and key.startswith("consensus")}
    assert len(models.load_weights(model, own).replaced) == 6


def test_another_number_of_frames_is_refused_in_words() -> None:
    with pytest.raises(ZoetropeError, match=r"TRN takes clips \[B, 3, 4, H, W\], got the shape \(1, 3, 5, 32, 32\)"):
        tiny()(torch.zeros(1, 3, 5, 32, 32))
