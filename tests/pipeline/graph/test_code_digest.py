import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.graph import code_digest
from pipeline.graph.code_digest import MOVED, ROOT, changed_files, code_digests

MODULE = code_digests.__module__


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "pipeline/__init__.py": "",
        "pipeline/stages/__init__.py": "",
        "pipeline/stages/shard.py": "import os\nfrom pipeline.shards import writer\n",
        "pipeline/shards/__init__.py": "",
        "pipeline/shards/writer.py": "def write():\n    from . import lazy\n",
        "pipeline/shards/lazy.py": "import models.zoo\n",
        "models/zoo.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pipeline.unused\n",
        "pipeline/unused.py": "",
        "pipeline/graph.py": "import pipeline.unused",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_follows_imports_of_the_project_only(root: Path) -> None:
    assert list(code_digests("pipeline.stages.shard", root)) == [
        "models/zoo.py",
        "pipeline/__init__.py",
        "pipeline/shards/__init__.py",
        "pipeline/shards/lazy.py",
        "pipeline/shards/writer.py",
        "pipeline/stages/__init__.py",
        "pipeline/stages/shard.py",
    ]


def digest(folder: Path, text: str) -> str:
    path = folder / "pipeline/x.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return code_digests("pipeline.x", folder)["pipeline/x.py"]


def test_comments_docstrings_and_layout_do_not_count(tmp_path: Path) -> None:
    first = digest(tmp_path / "a", "def f(x):\n    return x + 1\n")
    assert digest(tmp_path / "b", "# why\n\n\ndef f(x):  # c\n    return (x +\n        1)\n") == first
    assert digest(tmp_path / "c", "def f(x):\n    return x + 2\n") != first
    with_text = digest(tmp_path / "d", '"""Doc."""\ndef f(x):\n    """Doc."""\n    return x\n')
    assert digest(tmp_path / "e", '"""Other."""\ndef f(x):\n    """Else."""\n    return x\n') == with_text


def test_a_file_that_does_not_parse_has_a_digest(tmp_path: Path) -> None:
    assert digest(tmp_path / "a", "def f(:") != digest(tmp_path / "b", "def g(:")


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own, in which nothing is kept."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "cache"))
    as_another_process()
    yield tmp_path / "cache" / code_digest.KEPT
    as_another_process()


def as_another_process() -> None:
    """Forget what this one has read."""
    code_digest._kept.cache_clear()
    code_digest._read.cache_clear()


def test_a_file_is_parsed_once_by_all_processes(root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = code_digests("pipeline.stages.shard", root)
    as_another_process()
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda source: pytest.fail("parsed again"))
        assert code_digests("pipeline.stages.shard", root) == first
    (root / "pipeline/shards/writer.py").write_text("def write():\n    from . import lazy as late\n")
    as_another_process()
    assert changed_files(first, code_digests("pipeline.stages.shard", root)) == ["pipeline/shards/writer.py"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": ["b"]}', "\x00"])
def test_what_is_kept_may_be_broken(content: str, root: Path, own_cache: Path) -> None:
    own_cache.parent.mkdir()
    own_cache.write_text(content)
    first = code_digests("pipeline.stages.shard", root)
    own_cache.unlink()
    own_cache.parent.rmdir()
    own_cache.parent.touch()  # nothing can be kept
    as_another_process()
    assert code_digests("pipeline.stages.shard", root) == first


def test_what_is_kept_has_a_limit(root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_digest, "MOST_KEPT", 2)
    code_digests("pipeline.stages.shard", root)
    assert len(json.loads(own_cache.read_text())) == 2


def test_machinery_is_left_out(root: Path) -> None:
    (root / "pipeline/stages/shard.py").write_text("from pipeline.graph import Context\n")
    assert list(code_digests("pipeline.stages.shard", root)) == [
        "pipeline/__init__.py",
        "pipeline/stages/__init__.py",
        "pipeline/stages/shard.py",
    ]


def test_changed_files() -> None:
    assert changed_files({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]


def layout(folder: Path, files: dict[str, str]) -> dict[str, str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return code_digests("pipeline.stages.shard", folder)


def test_a_file_that_only_moved_is_no_changed_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to import it; its new name is sorted elsewhere, and its package is new."""
    monkeypatch.setattr(
        f"{MODULE}.MOVED", {"pipeline.room.way": "pipeline.stages.way", "pipeline.room.zebra": "pipeline.zebra"}
    )
    before = layout(
        tmp_path / "before",
        {
            "pipeline/stages/__init__.py": '"""Stages."""\n',
            "pipeline/stages/shard.py": "import os\n"
            "from pipeline.shards import writer\nfrom pipeline.stages import way\nfrom pipeline.zebra import stripes\n",
            "pipeline/stages/way.py": "def go():\n    from pipeline.zebra import stripes\n",
            "pipeline/shards/writer.py": "X = 1\n",
            "pipeline/zebra.py": "stripes = 2\n",
        },
    )
    after = {
        "pipeline/stages/__init__.py": '"""Stages."""\n',
        "pipeline/stages/shard.py": "import os\n"
        "from pipeline.room import way\nfrom pipeline.room.zebra import stripes\nfrom pipeline.shards import writer\n",
        "pipeline/room/__init__.py": '"""A room."""\n',
        "pipeline/room/way.py": "def go():\n    from pipeline.room.zebra import stripes\n",
        "pipeline/room/zebra.py": "stripes = 2\n",
        "pipeline/shards/writer.py": "X = 1\n",
    }
    moved = layout(tmp_path / "after", after)
    assert "pipeline/zebra.py" in before
    assert "pipeline/room/zebra.py" in moved
    assert changed_files(before, moved) == []
    changed = layout(tmp_path / "changed", after | {"pipeline/room/zebra.py": "stripes = 3\n"})
    assert changed_files(before, changed) == ["pipeline/room/zebra.py"]
    other = after["pipeline/stages/shard.py"].replace("room.zebra", "room.other")
    changed = layout(tmp_path / "other", after | {"pipeline/stages/shard.py": other})
    assert changed_files(before, changed) == ["pipeline/stages/shard.py"]


def test_a_moved_module_may_be_called_by_its_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a module is imported by itself, the name that the code calls it by is another one, and sorted elsewhere."""
    monkeypatch.setattr(f"{MODULE}.MOVED", {"pipeline.shards.zebra": "pipeline.shards.files"})
    text = "from pipeline.shards import files, masks\n\nfiles.read(masks.FILE)\n"
    before = layout(tmp_path / "before", {"pipeline/stages/shard.py": text, "pipeline/shards/files.py": "X = 1\n"})
    text = "from pipeline.shards import masks, zebra\n\nzebra.read(masks.FILE)\n"
    after = {"pipeline/stages/shard.py": text, "pipeline/shards/zebra.py": "X = 1\n"}
    assert changed_files(before, layout(tmp_path / "after", after)) == []
    changed = after | {"pipeline/stages/shard.py": text.replace("zebra.read", "zebra.write")}
    assert changed_files(before, layout(tmp_path / "changed", changed)) == ["pipeline/stages/shard.py"]


def test_every_moved_module_is_there() -> None:
    """And no file is where one was: it would be taken for the one that moved."""
    for new, old in MOVED.items():
        assert ROOT.joinpath(*new.split(".")).with_suffix(".py").is_file(), new
        assert not ROOT.joinpath(*old.split(".")).with_suffix(".py").exists(), old


def test_this_project() -> None:
    assert "pipeline/base/errors.py" in code_digests("pipeline.base.errors", ROOT)
