from pathlib import Path
from typing import Any

import pytest

from pipeline.base.files import as_files
from pipeline.shards.dataset import Dataset
from pipeline.shards.short import short_warning


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ({"frames": 6}, None),  # the videos have 6
        (
            {"frames": 7},
            "clip.frames: 16 of 16 videos have fewer frames than a clip has (7), so frames come several times; "
            "lower clip.frames",
        ),
        ({"frames": 3, "sampling": "segments", "stride": 9}, None),
        ({"frames": 2, "sampling": "dense", "stride": 5}, None),
        (
            {"frames": 3, "sampling": "dense", "stride": 3},
            "clip.frames: 16 of 16 videos have fewer frames than a clip of 3 with a stride of 3 spans (7), "
            "so clips play them in a loop; lower clip.frames or clip.stride",
        ),
    ],
)
def test_videos_shorter_than_a_clip(
    make_recipe: Any, videos: Dataset, clip: dict[str, Any], expected: str | None
) -> None:
    assert short_warning(make_recipe("video", clip=clip), videos.files) == expected


def test_what_it_cannot_tell(make_recipe: Any, images: Dataset, tmp_path: Path) -> None:
    assert short_warning(make_recipe("image"), images.files) is None
    assert short_warning(make_recipe("video", clip={"frames": 99}), as_files(tmp_path)) is None
