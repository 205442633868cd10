import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.figures import published
from pipeline.figures.published import LETTER_PT, LINE_PT, Published, raised
from pipeline.verbs.zoo import draw_models, print_models, show_models


def printed(*names: str) -> str:
    out = io.StringIO()
    show_models(Console(file=out, width=200), names)
    return out.getvalue()


def test_models_with_what_they_cost_and_their_weights() -> None:
    text = printed("resnet50", "tsm_resnet50", "deeplabv3_resnet50", "unet_bn")
    assert "25,557,032" in text
    assert "24,327,632" in text
    assert "32.70" in text
    assert "42,004,074" in text  # of 21 classes
    assert text.count("segmentation") == 2
    assert text.count("image-classification, image-multilabel") == text.count("video-classification, video-multi") == 1
    assert "imagenet1k: top-1 80.9%, BSD-3-Clause" in text
    assert "imagenet1k: top-1 76.1% of resnet50, BSD-3-Clause" in text
    assert "kinetics400-dense: top-1 of 10 clips 74.1%, MIT" in text
    assert "coco: mIoU 66.4%, BSD-3-Clause" in text


def test_a_line_of_json_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    print_models(["resnet50"])
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "model": "resnet50",
        "tasks": ["image-classification", "image-multilabel"],
        "parameters": 25_557_032,
        "multiply_adds": 4_089_184_256,
        "input_shape": [3, 224, 224],
        "weights": ["imagenet1k", "imagenet1k-v1"],
    }


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ZoetropeError, match="did you mean 'tsm_resnet50'"):
        printed("tsm_resnt50")


def test_published_accuracy_is_drawn_over_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what has weights of its own that were measured with one view: not U-Net, nor TSM on a ResNet's weights."""
    given: list[Any] = []
    draw = published.accuracy_over_costs

    def spy(shown: Any, path: Path) -> None:
        given.append(shown)
        draw(shown, path)

    monkeypatch.setattr(published, "accuracy_over_costs", spy)
    names = ("alexnet", "resnet18", "tsm_resnet18", "tsn_resnet50", "unet")
    assert draw_models(names, tmp_path / "first.svg") == draw_models(names, tmp_path / "again.svg") == 3
    assert {title: [one.name for one in row] for title, row in given[0].items()} == {
        "ImageNet-1K": ["alexnet", "resnet18"],
        "Kinetics-400": ["tsn_resnet50"],
    }
    alexnet = Published("alexnet", "alexnet", 56.522, 714_188_480, 61_100_840)
    assert given[0]["ImageNet-1K"][0] == alexnet
    text = (tmp_path / "first.svg").read_text()
    assert text.count(">alexnet<") == text.count(">tsn_resnet50<") == 2
    assert "tsm_resnet18" not in text
    assert (tmp_path / "again.svg").read_text() == text


def test_names_are_raised_until_none_overlaps() -> None:
    places, names = [(0, 10), (5, 12), (0, 0), (3 * LETTER_PT, 10), (2, 16)], ["one", "two", "low", "far", "top"]
    heights = raised(places, names)
    assert (heights[2], heights[0], heights[3]) == (0, 0, 0)  # of its own line, the first of its line, and beside it
    assert heights[1] == LINE_PT - 2
    assert heights[4] == 2 * LINE_PT - 6


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match="none of unet has published top-1"):
        draw_models(["unet"], tmp_path / "models.svg")
    assert not (tmp_path / "models.svg").exists()


def test_a_form_that_no_picture_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"models.doc is none of .svg, .png, .pdf; give --out such a name"):
        draw_models([], tmp_path / "models.doc")
