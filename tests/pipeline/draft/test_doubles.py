"""Files of one content."""

from pathlib import Path

from pipeline.draft.doubles import find_doubles
from pipeline.draft.suspects import sizes_of
from pipeline.sources.listing import Candidate

FILES = {
    "a/1": (b"one", "a", "train"),
    "a/2": (b"two", "a", "val"),
    "b/3": (b"one", "b", "val"),
    "a/4": (b"other", "a", "train"),
    "a/5": (b"other", "a", "train"),
    "b/6": (b"six!!", "b", "train"),
    "b/7": (b"", "b", "train"),
    "b/8": (b"", "b", "val"),
}


def candidates(root: Path) -> list[Candidate]:
    found = []
    for key, (content, label, split) in FILES.items():
        (root / key).parent.mkdir(exist_ok=True)
        (root / key).write_bytes(content)
        found.append(Candidate(key, str(root / key), (label,), split))
    return found


def keys(groups: tuple[tuple[Candidate, ...], ...]) -> list[list[str]]:
    return [[one.key for one in same] for same in groups]


def test_contents_in_two_splits_and_with_two_labels(tmp_path: Path) -> None:
    every = candidates(tmp_path)
    found = find_doubles(every, sizes_of(every))
    assert keys(found.across) == [["a/1", "b/3"]]  # empty files are another matter
    assert keys(found.torn) == [["a/1", "b/3"]]
    assert found.whole


def test_time_that_is_over_is_said(tmp_path: Path) -> None:
    every = candidates(tmp_path)
    found = find_doubles(every, sizes_of(every), seconds=-1)
    assert (found.across, found.whole) == ((), False)


def test_parts_of_a_video_are_no_doubles(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"video")
    parts = [
        Candidate(f"v.mp4#{i}", str(tmp_path / "v.mp4"), ("a",), split, start_s=float(i))
        for i, split in enumerate(("train", "val"))
    ]
    assert find_doubles(parts, sizes_of(parts)).across == ()
