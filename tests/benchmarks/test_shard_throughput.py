"""Both sides of the benchmark do the same work; the stage's Ray tasks are run in this process."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import shard_throughput as bench
from tests.tars import members

pytestmark = pytest.mark.usefixtures("in_this_process")


def contents(folder: Path, extension: str) -> list[bytes]:
    """What the tars below a folder hold, sorted."""
    files = [file for path in folder.rglob("*.tar") for file in members(path).items()]
    return sorted(content for name, content in files if name.endswith(extension))


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("decode", [bench.decode_by_pillow, bench.decode_by_cv2, None])
def test_the_stage_and_the_loop_store_the_same_images(tmp_path: Path, decode: Any) -> None:
    bench.draw_images(fresh(tmp_path / "drawn"), 12)
    files = bench.listed(tmp_path / "drawn", "image")
    source = bench.ingested(tmp_path / "ingest", files)
    facts = bench.run_stage(bench.a_recipe("image", 4), source, fresh(tmp_path / "ours"))
    assert facts["train"] + facts["val"] == len(files) == 12
    bench.run_loop(files, 4, decode, fresh(tmp_path / "loop"))
    assert contents(tmp_path / "ours", ".jpg") == contents(tmp_path / "loop", ".jpg")
    assert len(contents(tmp_path / "loop", ".json")) == 12


def test_the_stage_and_the_loop_make_videos_of_the_same_bytes(tmp_path: Path) -> None:
    bench.draw_videos(fresh(tmp_path / "drawn"), 10, frames=5)
    files = bench.listed(tmp_path / "drawn", "video")
    recipe = bench.a_recipe("video", 5)
    bench.run_stage(recipe, bench.ingested(tmp_path / "ingest", files), fresh(tmp_path / "ours"))
    bench.transcode_loop(files, recipe, 1, fresh(tmp_path / "loop"))
    made = sorted(path.read_bytes() for path in (tmp_path / "loop").iterdir())
    assert contents(tmp_path / "ours", ".mp4") == made


def test_a_way_is_timed_in_a_folder_that_goes(tmp_path: Path) -> None:
    seen: list[Path] = []
    cost = bench.Timed(seen.append, tmp_path)()
    assert cost.clock_s > 0
    assert seen
    assert not seen[0].exists()
