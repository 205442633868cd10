import io

import pytest
from rich.console import Console

from pipeline.base.errors import ZoetropeError
from pipeline.verbs.zoo import show_models


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


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ZoetropeError, match="did you mean 'tsm_resnet50'"):
        printed("tsm_resnt50")
