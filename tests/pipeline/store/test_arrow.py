import pickle
from pathlib import Path

import pytest

from pipeline.store import StoreError
from pipeline.store.arrow import arrow_filesystem
from pipeline.store.objects import Objects
from tests.pipeline.store.s3_server import KEY, SECRET, URL, Server, first


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.objects.BOTOCORE_TRIES", 2)


def test_folders_go_up_and_down_as_ray_train_does_it(s3: Server, tmp_path: Path) -> None:
    from pyarrow.fs import LocalFileSystem, copy_files

    filesystem, base = arrow_filesystem(Objects(URL))
    sent = pickle.dumps(filesystem)
    assert KEY.encode() not in sent
    assert SECRET.encode() not in sent
    filesystem = pickle.loads(sent)  # noqa: S301  made above
    (tmp_path / "up").mkdir()
    (tmp_path / "up/checkpoint.pt").write_bytes(bytes(1 << 20))
    filesystem.create_dir(f"{base}/ray/step-1", recursive=True)
    s3.rules.append(first(1, (503, "SlowDown"), "PUT"))
    copy_files(str(tmp_path / "up"), f"{base}/ray/step-1", destination_filesystem=filesystem)
    assert Objects(URL).list("ray")["step-1/checkpoint.pt"].bytes == 1 << 20
    (tmp_path / "down").mkdir()
    copy_files(f"{base}/ray/step-1", str(tmp_path / "down"), filesystem, LocalFileSystem())
    assert (tmp_path / "down/checkpoint.pt").stat().st_size == 1 << 20
    assert [info.base_name for info in filesystem.get_file_info([f"{base}/ray/none"]) if info.is_file] == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((507, "InsufficientStorage"), "is full or its quota is used up"),
        ((503, "ServiceUnavailable"), "it answers 503 ServiceUnavailable. Is it up"),
        ((403, "AccessDenied"), "it refuses access"),
    ],
)
def test_words(s3: Server, answer: tuple[int, str], words: str) -> None:
    filesystem, base = arrow_filesystem(Objects(URL))
    s3.rules.append(first(10**6, answer))
    with pytest.raises(StoreError, match=words), filesystem.open_output_stream(f"{base}/x") as stream:
        stream.write(b"x")
