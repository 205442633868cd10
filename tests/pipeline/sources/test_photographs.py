"""Parts of scikit-learn's photographs."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_sample_images

from pipeline.decode.image import decode_image
from pipeline.recipe.sources import PhotographsSource
from pipeline.sources.drawn import draw


def test_parts_lie_beside_each_other(tmp_path: Path) -> None:
    """All that fit are inside of the photographs, and no two are the same place."""
    source = PhotographsSource(kind="photographs", samples=80, size_px=80)
    draw(source, tmp_path, range(15, 19))
    draw(source, tmp_path, range(78, 80))
    made = {path.stem: decode_image(path.read_bytes()) for path in tmp_path.iterdir()}
    first, second = load_sample_images().images
    assert made.keys() == {"0015", "0016", "0017", "0018", "0078", "0079"}
    assert np.array_equal(made["0015"], second[:80, 560:640])
    assert np.array_equal(made["0016"], first[80:160, :80])
    assert np.array_equal(made["0079"], second[320:400, 560:640])


def test_no_more_are_asked_for_than_there_are() -> None:
    with pytest.raises(ValidationError, match="of 80 px there are 80 parts"):
        PhotographsSource(kind="photographs", samples=81, size_px=80)
