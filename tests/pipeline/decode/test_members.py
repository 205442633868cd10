import io

import numpy as np
import pytest
from PIL import Image

from pipeline.decode.limits import BadSample
from pipeline.decode.members import MEMBERS, naming


def test_a_companion_has_an_extension_with_a_dot() -> None:
    assert [name for name in MEMBERS if "." not in name.strip(".")] == []


def test_a_mask_from_its_file_to_the_feed() -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [255, 1]], np.uint8)).save(file, "PNG")
    kind = MEMBERS["seg.png"]
    kind.probe(file, 2, 2, None)
    data, found = kind.store(file.getvalue(), (2, 2), (2, 2), 2, None)
    assert kind.read(data, None).tolist() == [[0, 1], [255, 1]]
    assert found == {0: 1, 1: 2}


def test_the_reason_names_the_companion() -> None:
    with pytest.raises(BadSample, match=r"^its seg\.png: the file is empty$") as caught, naming("seg.png"):
        raise BadSample("the file is empty")
    assert caught.value.reason == "its seg.png: the file is empty"
