from pathlib import Path

import pytest

from pipeline.codedigest import ROOT, changed_files, code_digests


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


def test_machinery_is_left_out(root: Path) -> None:
    (root / "pipeline/stages/shard.py").write_text("from pipeline.graph import Context\n")
    assert list(code_digests("pipeline.stages.shard", root)) == [
        "pipeline/__init__.py",
        "pipeline/stages/__init__.py",
        "pipeline/stages/shard.py",
    ]


def test_changed_files() -> None:
    assert changed_files({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]


def test_this_project() -> None:
    assert "pipeline/base/errors.py" in code_digests("pipeline.base.errors", ROOT)
