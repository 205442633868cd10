import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import ZoetropeError
from pipeline.graph.code_digest import code_digests
from pipeline.graph.plan import Graph, Plan, Stage, fingerprint, leaves, plan, read_values
from pipeline.store import Artifact, FolderStore

INGEST = Stage("ingest", 1, "pipeline.base.keyed:run", ("data",), outside=lambda values: str(values["listing"]))
SHARD = Stage("shard", 1, "pipeline.base.keyed:run", ("shard",), ("ingest",))
TRAIN = Stage("train", 1, "pipeline.base.keyed:run", ("optimizer", "model", "seed"), ("shard",))
GRAPH = Graph([TRAIN, SHARD, INGEST])
VALUES: dict[str, Any] = {
    "name": "mine",
    "seed": 0,
    "listing": "L1",
    "data": {"url": "https://me:pw@host/x"},
    "shard": {"samples": 128},
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "model": {"kind": "tsm", "layers": [1, 1]},
    "tracking": {"uri": None},
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def make(store: FolderStore, values: Mapping[str, Any], graph: Graph = GRAPH, text: str | None = None) -> None:
    """Publish what `pipeline.graph.execute` would; a stage's output is `text`, else its own values."""
    made: dict[str, Artifact] = {}
    for stage in graph.order:
        own = read_values(stage, values)
        outside = stage.outside(values) if stage.outside else None
        inputs = {name: {"fingerprint": made[name].fingerprint, "digest": made[name].digest} for name in stage.inputs}
        mark = fingerprint(stage, own, {name: made[name].digest for name in stage.inputs}, outside)
        with store.work(stage.name, mark) as work:
            (work.out / "x.txt").write_text(text or repr((own, outside, inputs)))
            code = code_digests(stage.module)
            rest = {"version": stage.version, "values": own, "inputs": inputs, "outside": outside, "code": code}
            made[stage.name] = store.publish(work, {**rest, "facts": {}})
    stages = {name: {"fingerprint": artifact.fingerprint} for name, artifact in made.items()}
    store.record_run(values["name"], {}, stages).end("done")


def reasons(planned: Plan) -> dict[str, tuple[str, ...]]:
    return {step.stage.name: step.reasons for step in planned.to_run}


def changed(**sections: Any) -> dict[str, Any]:
    return {**VALUES, **sections}


def test_first_run(store: FolderStore) -> None:
    planned = plan(GRAPH, VALUES, store)
    assert [step.stage.name for step in planned.steps] == ["ingest", "shard", "train"]
    assert reasons(planned) == {"ingest": ("first run",), "shard": ("first run",), "train": ("first run",)}
    assert planned.steps[0].fingerprint is not None
    assert planned.steps[1].fingerprint is None  # what ingest gives is not known yet


def test_all_there(store: FolderStore) -> None:
    make(store, VALUES)
    planned = plan(GRAPH, VALUES, store)
    assert planned.to_run == ()
    assert all(step.artifact and step.fingerprint and step.note is None for step in planned.steps)
    assert plan(GRAPH, changed(tracking={"uri": "http://x"}), store).to_run == ()


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"optimizer": {"kind": "sgd", "lr": 0.2}}, {"train": ("optimizer.lr changed 0.1 -> 0.2",)}),
        ({"optimizer": {"kind": "adamw", "lr": 0.1}}, {"train": ("optimizer.kind changed sgd -> adamw",)}),
        (
            {"optimizer": {"kind": "sgd", "lr": 0.1, "nesterov": True}},
            {"train": ("optimizer.nesterov is new: true",)},
        ),
        ({"optimizer": {"kind": "sgd"}}, {"train": ("optimizer.lr is gone (was 0.1)",)}),
        (
            {"seed": 1, "model": {"kind": "tsm", "layers": [1, 2]}},
            {"train": ("model.layers changed [1, 1] -> [1, 2]", "seed changed 0 -> 1")},
        ),
        (
            {"shard": {"samples": 64}},
            {"shard": ("shard.samples changed 128 -> 64",), "train": ("input shard will be made anew",)},
        ),
        (
            {"listing": "L2", "seed": 1},
            {
                "ingest": ("source files changed",),
                "shard": ("input ingest will be made anew",),
                "train": ("seed changed 0 -> 1", "input shard will be made anew"),
            },
        ),
    ],
)
def test_reasons(store: FolderStore, sections: dict[str, Any], expected: dict[str, tuple[str, ...]]) -> None:
    make(store, VALUES)
    assert reasons(plan(GRAPH, changed(**sections), store)) == expected


def test_passwords_are_neither_shown_nor_counted(store: FolderStore) -> None:
    make(store, VALUES)
    assert plan(GRAPH, changed(data={"url": "https://me:other@host/x"}), store).to_run == ()
    shown = reasons(plan(GRAPH, changed(data={"url": "https://me:other@host/y"}), store))["ingest"]
    assert shown == ("data.url changed https://me:***@host/x -> https://me:***@host/y",)
    assert "pw" not in "".join(path.read_text() for path in store.root.rglob("manifest.json"))


def test_version_and_input_changed(store: FolderStore) -> None:
    make(store, VALUES)
    newer = Graph([replace(INGEST, version=2, news="what it read wrongly is read right"), SHARD, TRAIN])
    assert reasons(plan(newer, VALUES, store))["ingest"] == ("version 1 -> 2: what it read wrongly is read right",)
    make(store, changed(data={"url": "y"}), Graph([INGEST]))  # ingest is there, shard of it is not
    assert reasons(plan(GRAPH, changed(data={"url": "y"}), store)) == {
        "shard": ("input ingest changed",),
        "train": ("input shard will be made anew",),
    }


def test_compares_with_the_nearest_artifact(store: FolderStore) -> None:
    make(store, VALUES)
    make(store, changed(optimizer={"kind": "adamw", "lr": 0.5}, seed=7))
    far = changed(optimizer={"kind": "adamw", "lr": 0.6}, seed=7)
    assert reasons(plan(GRAPH, far, store)) == {"train": ("optimizer.lr changed 0.5 -> 0.6",)}


def test_another_recipe_in_the_store_explains_nothing(store: FolderStore) -> None:
    make(store, VALUES)
    other = changed(name="other", seed=7)
    assert reasons(plan(GRAPH, other, store)) == {"train": ("first run",)}  # what both need is reused
    make(store, other)
    make(store, changed(name="third", seed=8))
    assert reasons(plan(GRAPH, changed(name="other", seed=9, shard={"samples": 64}), store)) == {
        "shard": ("shard.samples changed 128 -> 64",),  # though another recipe made what was reused
        "train": ("seed changed 7 -> 9", "input shard will be made anew"),
    }


def test_early_cut_off_shows_in_the_plan(store: FolderStore) -> None:
    make(store, VALUES, text="same")
    make(store, changed(listing="L2"), Graph([INGEST]), text="same")
    assert plan(GRAPH, changed(listing="L2"), store).to_run == ()


def test_missing_file(store: FolderStore) -> None:
    make(store, VALUES)
    next((store.root / "artifacts/shard").rglob("x.txt")).unlink()
    assert reasons(plan(GRAPH, VALUES, store)) == {
        "shard": ("files missing or of another size: x.txt",),
        "train": ("input shard will be made anew",),
    }


def test_rerun(store: FolderStore) -> None:
    make(store, VALUES)
    planned = plan(GRAPH, VALUES, store, {"shard"})
    assert reasons(planned) == {"shard": ("--rerun",), "train": ("input shard will be made anew",)}
    with pytest.raises(ZoetropeError, match="unknown stage 'shrad'; did you mean 'shard'"):
        plan(GRAPH, VALUES, store, {"shrad"})


def test_changed_code_is_said_and_nothing_is_thrown_away(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, VALUES, Graph([INGEST]))
    files = [f"pipeline/{name}.py" for name in "abcde"]
    monkeypatch.setattr("pipeline.graph.plan.code_digests", lambda module: {**code_digests(module), files[0]: "new"})
    step = plan(Graph([INGEST]), VALUES, store).steps[0]
    assert step.action == "reuse"
    assert step.note == "code changed since: pipeline/a.py (use --rerun ingest to make it again)"
    monkeypatch.setattr("pipeline.graph.plan.code_digests", lambda m: code_digests(m) | dict.fromkeys(files, "new"))
    note = plan(Graph([INGEST]), VALUES, store).steps[0].note
    assert note is not None
    assert "pipeline/a.py, pipeline/b.py, pipeline/c.py and 2 more" in note


def test_fingerprint_depends_on_all_that_goes_in() -> None:
    base = fingerprint(TRAIN, {"seed": 0}, {"shard": "d"}, None)
    others = [
        fingerprint(replace(TRAIN, name="other"), {"seed": 0}, {"shard": "d"}, None),
        fingerprint(replace(TRAIN, version=2), {"seed": 0}, {"shard": "d"}, None),
        fingerprint(TRAIN, {"seed": 1}, {"shard": "d"}, None),
        fingerprint(TRAIN, {"seed": 0}, {"shard": "e"}, None),
        fingerprint(TRAIN, {"seed": 0}, {"shard": "d"}, "listing"),
    ]
    assert len({base, *others}) == 6
    assert fingerprint(TRAIN, {"a": 1, "b": 2}, {}, None) == fingerprint(TRAIN, {"b": 2, "a": 1}, {}, None)
    # Artifacts of a released version must be found by the next. By hand:
    # printf '[1,"train",1,{"seed":0},{"shard":"d"},null]' | sha256sum | cut -c1-32
    assert base == "df5af487ee82569ef2fd649e89074882"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([SHARD], "stage shard: unknown input 'ingest'"),
        ([replace(INGEST, inputs=("shard",)), SHARD], "in a circle"),
        ([INGEST, INGEST], "two stages are called 'ingest'"),
        ([replace(INGEST, name="../x")], "it names a folder"),
        ([replace(INGEST, run="pipeline.x")], "must be 'module:function'"),
    ],
)
def test_bad_graphs(stages: list[Stage], message: str) -> None:
    with pytest.raises(ZoetropeError, match=message):
        Graph(stages)


def test_a_key_that_recipes_do_not_have(store: FolderStore) -> None:
    with pytest.raises(ZoetropeError, match=r"declares the recipe key 'data\.sauce'"):
        plan(Graph([replace(INGEST, keys=("data.sauce",))]), VALUES, store)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, pipeline.graph.plan, pipeline.graph.progress; "
        "print({'ray', 'torch', 'mlflow', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_leaves_are_not_below_lists_and_empty_sections() -> None:
    nested = {"a": {"b": {"c": 1}, "d": {}}, "e": [{"f": 2}]}
    assert dict(leaves(nested)) == {"a.b.c": 1, "a.d": {}, "e": [{"f": 2}]}
