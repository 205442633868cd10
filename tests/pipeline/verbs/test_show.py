import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.graph.execute import StageResult
from pipeline.graph.plan import Plan
from pipeline.recipe import Recipe
from pipeline.store import Artifact
from pipeline.tasks.classification import Classification
from pipeline.verbs import show
from pipeline.verbs.planning import make_plan
from tests.pipeline.stores import publish_until, quickstart


def printed(show: Any, *arguments: Any, width: int = 80, terminal: bool = False) -> str:
    text = io.StringIO()
    show(Console(file=text, width=width, highlight=False, soft_wrap=True, force_terminal=terminal), *arguments)
    return text.getvalue()


def the_plan(recipe: Recipe, rerun: Sequence[str] = ()) -> Plan:
    return make_plan(recipe, rerun)[0]


def test_first_plan(tmp_path: Path) -> None:
    assert printed(show.show_plan, the_plan(quickstart(tmp_path))) == (
        "ingest    run    first run\n"
        "shard     run    first run\n"
        "train     run    first run\n"
        "evaluate  run    first run\n"
        "export    run    first run\n"
        "5 stages to run\n"
    )


def test_the_training_in_words(tmp_path: Path) -> None:
    assert show.training_words(quickstart(tmp_path, "train.duration=4ep", "optimizer.lr=0.1")) == (
        "training: 4ep in batches of 32, peak learning rate 0.05 (linear from 0.1 at 64), "
        "weight decay 0.0001 on weights, not on biases, norms and embeddings of place"
    )
    changes = ("optimizer.scaling=none", "optimizer.weight_decay=0", "train.duration=4ep")
    words = show.training_words(quickstart(tmp_path, *changes))
    assert words.startswith("training: 4ep in batches of 32, peak learning rate ")
    assert words.endswith("no weight decay")
    for micro_batch, shown in (
        ("auto", "in smaller parts whenever the memory does not suffice"),
        (8, "at most 8 at once"),
    ):
        words = show.training_words(quickstart(tmp_path, f"train.micro_batch={micro_batch}"))
        assert f" in batches of 32 ({shown}), " in words
    assert "all parameters" in show.training_words(quickstart(tmp_path, "optimizer.decay_all=true"))


def test_warnings_follow_the_plan(tmp_path: Path) -> None:
    text = printed(show.show_plan, the_plan(quickstart(tmp_path)), ["train.shuffle_window: [too small] " + "x" * 60])
    assert text.splitlines()[5:] == [
        "5 stages to run",
        "Warning: train.shuffle_window: [too small]",
        "         " + "x" * 60,
    ]


def test_the_data_follow_the_stages(tmp_path: Path) -> None:
    planned = replace(the_plan(quickstart(tmp_path)), notes=("data: 3 [train] " + "word " * 20, "refused: 1"))
    assert printed(show.show_plan, planned).splitlines()[5:] == [
        "data: 3 [train] word word word word word word word word word word word word word",
        "  word word word word word word word",
        "refused: 1",
        "5 stages to run",
    ]


def test_plan_with_nothing_to_do(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export")
    assert printed(show.show_plan, the_plan(quickstart(tmp_path))) == (
        "ingest    reuse  is there\n"
        "shard     reuse  is there\n"
        "train     reuse  is there\n"
        "evaluate  reuse  is there\n"
        "export    reuse  is there\n"
        "0 stages to run\n"
    )


def test_plan_of_a_change_says_why_a_reason_a_line(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path, "optimizer.lr=0.1", "train.duration=3ep"), "export")
    changed = quickstart(tmp_path, "optimizer.lr=0.2", "train.duration=4ep")
    lines = printed(show.show_plan, the_plan(changed)).splitlines()
    assert lines[2:] == [
        "train     run    optimizer.lr changed 0.1 -> 0.2",
        "                 train.duration changed 3ep -> 4ep",
        "evaluate  run    input train will be made anew",
        "export    run    input train will be made anew",
        "3 stages to run",
    ]


def test_one_stage_to_run(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export")
    text = printed(show.show_plan, the_plan(quickstart(tmp_path), ["export"]))
    assert text.endswith("export    run    --rerun\n1 stage to run\n")


@pytest.mark.parametrize("width", [50, 80, 160])
def test_the_note_on_changed_code_fits_the_width(tmp_path: Path, width: int) -> None:
    code = dict.fromkeys(("pipeline/stages/ingest.py", "pipeline/sources/class_folders.py", "gone.py"), "changed")
    publish_until(quickstart(tmp_path), "export", code=code)
    text = printed(show.show_plan, the_plan(quickstart(tmp_path)), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "ingest    reuse  is there"
    note = lines[1 : lines.index("shard     reuse  is there")]
    assert all(line.startswith(" " * 17) and line == line.rstrip() for line in note)
    text = " ".join(line.strip() for line in note)
    assert text.startswith("code changed since: ")
    assert text.endswith("(use --rerun ingest to make it again)")


def test_a_value_in_a_reason_is_no_markup(tmp_path: Path) -> None:
    planned = the_plan(quickstart(tmp_path))
    first = replace(planned.steps[0], reasons=("data.source.path changed [bold]/a[/] -> /b", "see https://me:pw@host"))
    text = printed(show.show_plan, Plan((first,), frozenset()), terminal=True)
    assert text == (
        "ingest  run    data.source.path changed [bold]/a[/] -> /b\n"
        "               see https://me:***@host\n"
        "1 stage to run\n"
    )


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, ""),
        ({"samples": 1200, "quarantined": 0, "classes": 4}, "samples 1200, classes 4"),
        ({"samples": 1234567, "quarantined": 3}, "samples 1234567, quarantined 3"),
        ({"bytes": 6830080}, "6.8 MB"),
        ({"top1": 0.97012, "val/top5": 1.0, "loss": 0.0623457}, "top1 97.0%, val/top5 100.0%, loss 0.06235"),
        ({"mlflow_run_id": "3f2a", "none": None}, ""),
    ],
)
def test_facts(facts: dict[str, Any], shown: str) -> None:
    assert show.facts(facts, {"loss": "{:.4g}", "top1": "{:.1%}", "top5": "{:.1%}"}) == shown


def results(recipe: Recipe) -> list[StageResult]:
    steps = the_plan(recipe).steps
    made = [
        StageResult(step.stage.name, "made", step.artifact, 1.25 * number, None)
        for number, step in enumerate(steps, 1)
        if step.artifact
    ]
    return [replace(made[0], action="reused", duration_s=0.0), *made[1:]]


def test_the_table_of_stages(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export")
    text = printed(show.show_stages, results(quickstart(tmp_path)), 61.04, Classification(()))
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert lines == [
        ["ingest", "reused", "", "samples 1200, classes 4"],
        ["shard", "made", "2.5", "train 969, val 231, shards 10, 6.8 MB"],
        ["train", "made", "3.8", "val/loss 0.0623, val/top1 100.0%"],
        ["evaluate", "made", "5.0", "loss 0.0623, top1 97.0%, top5 100.0%"],
        ["export", "made", "6.2", ""],
        ["in all", "", "61.0", ""],
    ]
    assert "left out" not in text


def test_samples_that_were_left_out_are_said(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export", {"shard": {"quarantined": 2}})
    made = results(quickstart(tmp_path))
    text = printed(show.show_stages, made, 1.0, Classification(()))
    assert text.endswith(f"2 files were left out; the reasons are in {made[1].artifact.path}/quarantine.jsonl\n")


def test_samples_that_went_bad_later_are_said(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export", {"train": {"quarantined": 2}, "evaluate": {"quarantined": 1}})
    made = results(quickstart(tmp_path))
    text = printed(show.show_stages, made, 1.0, Classification(()))
    assert f"2 samples were left out; the reasons are in {made[2].artifact.path}/quarantine.jsonl\n" in text
    assert text.endswith(
        f"1 measured sample was left out; the reasons are in {made[3].artifact.path}/quarantine.jsonl\n"
    )


def show_result(recipe: Recipe, *overrides: str) -> str:
    artifacts: dict[str, Artifact] = {
        step.stage.name: step.artifact for step in the_plan(recipe).steps if step.artifact is not None
    }
    return printed(show.show_result, recipe, artifacts, "my recipes/[r].yaml", overrides)


def test_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = tmp_path / "[my] runs"
    recipe = quickstart(store, "train.duration=3ep")
    publish_until(recipe, "export")
    paths = {step.stage.name: step.artifact.path for step in the_plan(recipe).steps if step.artifact}
    assert show_result(recipe, f"store={store}", "train.duration=3ep", "seed=0") == (
        "\n"
        "top-1 97.0% on the validation split\n"
        f"evaluation  {paths['evaluate']}\n"
        f"model       {paths['export']}\n"
        "\n"
        "Browse the results:\n"
        f"  MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri 'sqlite:///{store}/mlflow.db'\n"
        "Train longer:\n"
        f"  python -m pipeline run 'my recipes/[r].yaml' 'store={store}' seed=0 train.duration=6ep\n"
    )


@pytest.mark.parametrize("uri", [None, "https://me:s3cret@host"])
def test_the_page_where_the_curves_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    recipe = quickstart(tmp_path, f"tracking.uri={uri or 'null'}")
    publish_until(recipe, "export", {"train": {"mlflow_experiment_id": "7"}})
    page = "/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
    lines = show_result(recipe).partition("Browse the results:\n")[2].splitlines()
    if uri:
        assert lines[:2] == [f"  https://host{page}", "Train longer:"]
    else:
        assert lines[1:3] == [f"  and open http://127.0.0.1:5000{page}", "Train longer:"]


@pytest.mark.parametrize(
    ("duration", "longer"), [("0.3ep", "0.6ep"), ("1.2Msa", "2400000sa"), ("1000st", "2000st"), ("2.5ep", "5ep")]
)
def test_longer_is_twice_as_long(tmp_path: Path, duration: str, longer: str) -> None:
    recipe = quickstart(tmp_path, f"train.duration={duration}")
    publish_until(recipe, "export")
    assert show_result(recipe).endswith(f" train.duration={longer}\n")
    quickstart(tmp_path, f"train.duration={longer}")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    uri = "https://me:s3cret@host"
    recipe = quickstart(tmp_path, f"tracking.uri={uri}")
    publish_until(recipe, "export")
    text = show_result(recipe, f"tracking.uri={uri}")
    assert "s3cret" not in text
    assert "  https://host\n" in text
    assert "'tracking.uri=https://me:***@host'" in text
