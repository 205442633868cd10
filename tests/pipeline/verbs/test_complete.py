import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.verbs.complete import changes, keys, recipes

ROOT = Path(__file__).parents[3]


def test_keys_and_their_words() -> None:
    assert "optimizer.lr=" in changes("optimizer.l")
    assert changes("train.prec") == ["train.precision="]
    assert changes("train.precision=") == ["train.precision=bf16", "train.precision=fp16", "train.precision=fp32"]
    assert changes("model.kind=tsm_resnet5") == ["model.kind=tsm_resnet50"]
    assert changes("train.compile=t") == ["train.compile=true"]
    assert changes("optimizer.lr=") == []
    assert len(keys()) > 150


def test_recipes_of_this_folder_and_of_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes" / "deep").mkdir(parents=True)
    for name in ("mine.yaml", "recipes/one.yaml", "recipes/deep/two.yml"):
        (tmp_path / name).touch()
    assert recipes("") == ["mine.yaml", "recipes/one.yaml"]
    assert recipes("recipes/") == ["recipes/one.yaml", "recipes/deep/"]
    assert recipes("recipes/deep/t") == ["recipes/deep/two.yml"]


@pytest.mark.parametrize(
    ("line", "found"),
    [("zoetrope sche", "schema"), ("zoetrope run recipes/quickstart-i", "recipes/quickstart-images.yaml")],
)
def test_a_shell_asks_the_program(line: str, found: str) -> None:
    words = line.split()
    asked = {"_ZOETROPE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv = ['zoetrope']; from pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **asked}
    )
    assert found in done.stdout.split(), done.stderr
