"""The shards that trials read: made before them, once for all that need the same."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console

from pipeline.base.files import Files
from pipeline.cluster.tracker import Services
from pipeline.graph.execute import execute
from pipeline.graph.plan import planned_stages
from pipeline.graph.progress import Progress
from pipeline.recipe import Recipe, plain
from pipeline.shards.shard import DATASET_FILE
from pipeline.verbs.planning import make_plan
from pipeline.verbs.show import show_plan
from tune.space import Values, changed, upstream

STAGES = ("ingest", "shard")


def make_shards(recipe: Recipe, points: Iterable[Values], console: Console) -> dict[str, Files]:
    """Make the data set of each point, by its name `upstream`; what is not there is made. Ray must be initialised.

    StoreError where the list of a data set's shards is damaged; the shards are left to the trials.
    """
    made: dict[str, Files] = {}
    for point in points:
        if (name := upstream(point)) not in made:
            made[name] = _shards(changed(recipe, point), console)
    return made


def _shards(recipe: Recipe, console: Console) -> Files:
    planned, store = make_plan(recipe)
    steps = tuple(step for step in planned.steps if step.stage.name in STAGES)
    planned = replace(planned, steps=steps)
    show_plan(console, planned)
    # Of reused shards, too: `gc` keeps what runs use.
    record = store.record_run(recipe.name, plain(recipe), planned_stages(steps))
    with Progress(console) as progress:
        results: Sequence = execute(planned, recipe, store, Services(None, record.folder), progress, record)
    artifact = results[-1].artifact
    artifact.whole(DATASET_FILE)
    return artifact.files
