import json
import sys

import pytest

from pipeline.base.imports import without


def test_a_module_is_missing_inside_and_there_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)


def test_it_is_there_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), without("no.module"):
        raise ValueError("inside")
    assert "no.module" not in sys.modules


def test_what_is_loaded_stays() -> None:
    with without("json"):
        import json as again
    assert again is json is sys.modules["json"]
