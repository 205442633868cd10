"""docs/recipe.md is what the code says now."""

from pathlib import Path

from pipeline.recipe.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "recipe.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == reference(), "run `python -m pipeline.recipe.reference > docs/recipe.md`"


def test_every_key_says_what_it_means() -> None:
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row[0] for row in rows if row[-1].strip(" |") == "" and not row[0].startswith("| `model.")] == []


def test_known_rows() -> None:
    lines = reference().splitlines()
    for start in (
        "| `train.duration` | duration | **required** | How long to train. |",
        "| `schedule.warmup` | duration or share | `0%` |",
        "| `data.split.val` | number > 0, < 1 | `0.2` |",
        "| `shard.video.short_side` | integer ≥ 16, multiple of 2 | `256` |",
        "| `train.grad_clip` | number > 0 |  | Largest norm",
        "| `clip.sampling` | `segments` or `dense` | `segments` |",
        "| `optimizer.betas` | list of 2: number ≥ 0, < 1 | `[0.9, 0.999]` |",
        "| `augment.train` | list of transforms | **required** |",
        "| `data.source.columns.path` | text | `path` |",
        "| `model.shift` | integer ≥ 2 | `8` | 1/shift of the channels",
        "## `data.source: {kind: kinetics}`",
        "## `schedule: {kind: cosine}` (default)",
    ):
        assert any(line.startswith(start) for line in lines), start
