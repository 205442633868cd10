"""The verbs: `python -m pipeline plan RECIPE`, `run RECIPE`.

What is imported here at the top, every verb and every help waits for; so a verb imports what it needs.
"""

import re
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup

from pipeline.base.errors import ZoetropeError
from pipeline.base.redact import redact
from pipeline.base.terminal import Terminal
from pipeline.verbs import misread

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.store import Artifact, Store

LOG_WIDTH = 160
"""Columns of what is not a terminal: a log's lines are not broken to fit a screen."""

console = Terminal(width=None if sys.stdout.isatty() else LOG_WIDTH)


class Verbs(TyperGroup):
    """Runs a verb; an error that the user can mend is shown without a traceback and ends with exit code 1."""

    stopped = "Stopped. The same command goes on from here."
    """Said after Ctrl-C, and after an error that nobody need mend."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Resolve as Typer does; what users of other tools type is answered with how it is written here."""
        if said := misread.answer(args, {name: _options(command) for name, command in self.commands.items()}):
            Terminal(stderr=True).print(f"[bold red]Error:[/] {escape(redact(said))}")
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Invoke as Typer does, but for the end."""
        errors = Terminal(stderr=True)
        try:
            return super().invoke(ctx)
        except ZoetropeError as error:
            errors.print(f"[bold red]Error:[/] {escape(redact(str(error)))}")
            if error.resumable:
                errors.print(self.stopped)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print(self.stopped)
            raise typer.Exit(130) from None


def _options(command: Any) -> list[str] | None:
    """Return a verb's options; None where it takes no changes of a recipe."""
    if not any(one.name == "overrides" for one in command.params):
        return None
    return ["--help", *(option for one in command.params for option in (*one.opts, *one.secondary_opts))]


app = typer.Typer(
    cls=Verbs,
    help="Raw videos and images in, a trained and tracked model out.",
    epilog="Exit codes: 0 all is done, 1 an error or something found, 2 a command line that is not understood, "
    "3 files that predict could not use, 130 Ctrl-C. docs/scripts.md has more.",
    no_args_is_help=True,
    add_completion=Path(sys.argv[0]).stem == "zoetrope",  # a shell knows programs, and no `python -m`
    pretty_exceptions_enable=False,
)


def load(recipe: str | Path, overrides: list[str] | None) -> "Recipe":
    """Read and check a recipe with its changes."""
    from pipeline.recipe import load as read

    return read(recipe, overrides or ())


def _allow(packages: list[str] | None) -> None:
    """Let recipes use classes of these packages, before they are read."""
    if packages:
        from pipeline.base.plugins import allow

        allow(packages)


def _complete(what: str) -> Any:
    def found(incomplete: str) -> list[str]:
        from pipeline.verbs import complete

        words: list[str] = getattr(complete, what)(incomplete)
        return words

    return found


RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The YAML file of the run.", autocompletion=_complete("recipes"))
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes, such as train.duration=10ep.",
        autocompletion=_complete("changes"),
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PACKAGE",
        help="Let the recipe use classes of this package of your own. May be repeated.",
        callback=_allow,
    ),
]
Rerun = Annotated[
    list[str] | None,
    typer.Option(metavar="STAGE", help="Make this stage again whatever is there. May be repeated."),
]


@app.command()
def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder, a table, or a folder of WebDataset tars.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The recipe to write.")] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a recipe that is there.")] = False,
) -> None:
    """Look at your own data, say what it is, and write a recipe for it."""
    from pipeline.verbs.init import init as look_and_write

    look_and_write(console, data, out, force)


@app.command()
def plan(
    recipe: RecipePath,
    overrides: Overrides = None,
    rerun: Rerun = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each stage.")] = False,
    packages: Allow = None,
) -> None:
    """Show which stages would run, and why. Nothing is started."""
    from pipeline.verbs import show
    from pipeline.verbs.planning import make_plan, warnings

    checked = load(recipe, overrides)
    planned, _ = make_plan(checked, rerun or ())
    if as_json:
        show.print_plan(planned)
        return
    console.print(show.training_words(checked), markup=False)
    show.show_plan(console, planned, warnings(checked, planned))


@app.command()
def run(recipe: RecipePath, overrides: Overrides = None, rerun: Rerun = None, packages: Allow = None) -> None:
    """Run the stages that have something to do, and track the result in MLflow."""
    from pipeline.cluster.joining import embedded

    with embedded():  # begins at once: it takes seconds, in which the recipe is read
        _run(recipe, overrides, rerun)


def _run(recipe: Path, overrides: list[str] | None, rerun: list[str] | None) -> None:
    from pipeline.tasks import task_of
    from pipeline.verbs import show
    from pipeline.verbs.planning import check_start, make_plan, warnings

    began = time.monotonic()
    checked = load(recipe, overrides)
    planned, store = make_plan(checked, rerun or ())
    check_start(checked, planned)
    show.show_plan(console, planned, warnings(checked, planned))
    if not planned.to_run:
        artifacts = {step.stage.name: step.artifact for step in planned.steps if step.artifact}
        _close_abandoned(store, checked.tracking.uri)
    else:
        from pipeline.cluster.described import Typed
        from pipeline.verbs.driver import drive

        try:
            results = drive(checked, planned, store, console, Typed(str(recipe), tuple(overrides or ())))
        except ZoetropeError:
            console.print(
                f"`python -m pipeline doctor {recipe}` looks at what this machine has and lacks.", markup=False
            )
            raise
        show.show_stages(console, results, time.monotonic() - began, task_of(checked))
        artifacts = {result.stage: result.artifact for result in results}
    from pipeline.verbs.report import earlier

    show.show_result(console, checked, artifacts, str(recipe), overrides or (), earlier(store, artifacts))


@app.command()
def preview(
    recipe: RecipePath,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(metavar="PNG", help="The picture to write.")] = Path("preview.png"),
    lr: Annotated[bool, typer.Option("--lr", help="Draw the learning rate instead.")] = False,
    packages: Allow = None,
) -> None:
    """Draw what training makes of its samples: before and after augmentation, and mixed. Nothing is trained."""
    from pipeline.verbs.preview import preview as draw
    from pipeline.verbs.preview import preview_lr

    shown = (preview_lr if lr else draw)(load(recipe, overrides), out)
    console.print(f"{out} shows {shown}.", markup=False)


@app.command()
def feed(
    recipe: RecipePath,
    overrides: Overrides = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure.")] = 10,
    packages: Allow = None,
) -> None:
    """Measure how fast training batches are made, and what limits it. Shards that are not there are made first."""
    from pipeline.verbs import show

    checked = load(recipe, overrides)
    show.show_feed(console, checked, _shards(checked), seconds)


def _shards(recipe: "Recipe") -> "Artifact":
    """Return a recipe's shards, which are made where they are not there."""
    from pipeline.verbs.planning import make_plan

    planned, store = make_plan(recipe)
    steps = tuple(step for step in planned.steps if step.stage.name in ("ingest", "shard"))
    if there := steps[-1].artifact:
        return there
    from pipeline.verbs.driver import drive

    return drive(recipe, replace(planned, steps=steps), store, console)[-1].artifact


@app.command()
def models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="All, when none is given.")] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Draw published accuracy over costs instead.")] = False,
    out: Annotated[Path, typer.Option(metavar="SVG", help="The SVG, PNG or PDF of --draw.")] = Path("models.svg"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each model.")] = False,
    packages: Allow = None,
) -> None:
    """Show models: their tasks, parameters, multiply-adds at their published input size, official weights by name."""
    from pipeline.verbs.zoo import draw_models, print_models, show_models

    if draw:
        count = draw_models(names or (), out)
        console.print(f"{out} shows {count} models: published top-1 over multiply-adds and parameters.", markup=False)
        return
    if as_json:
        print_models(names or ())
        return
    show_models(console, names or ())


@app.command()
def attention(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of an exported TimeSformer.")],
    video: Annotated[Path, typer.Argument(metavar="VIDEO", exists=True, dir_okay=False, help="The video to look at.")],
    out: Annotated[Path, typer.Option(metavar="PNG", help="The picture to write.")] = Path("attention.png"),
    packages: Allow = None,
) -> None:
    """Draw what a TimeSformer looks at in a video."""
    from pipeline.verbs.attention import draw_attention

    answer = draw_attention(model, video, out)
    console.print(f"{out} shows what the model looked at; its answer is {answer}.", markup=False)


CHANGE = re.compile(r"[a-z_0-9.]+=")
"""How a change of a recipe begins, which stands among other words."""
BAD_FILES = 3
"""How `predict` ends when a file could not be used."""


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run (name, id or folder), an exported folder, a recipe for its last run, runs:/... or models:/...",
        ),
    ],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Images or videos, folders, patterns, tables of paths, URLs."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Write the answers: .jsonl, .csv or .parquet.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Draw every answer on its picture.")] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write answers that are files, such as masks.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write boxes as annotations: .json (COCO), .xml (CVAT) or a folder of YOLO's text files.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="So many classes a file, not the best alone.")] = 1,
    views: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A key of `evaluate`: clips=3, crops=3, flip=true. May be repeated."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Files in a batch; by default the recipe's.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode; by default one for each core beside the model.")
    ] = None,
    column: Annotated[str | None, typer.Option(metavar="NAME", help="The column of a table that holds paths.")] = None,
    others: Annotated[
        list[str] | None, typer.Option("--with", metavar="MODEL", help="Average with this model. May be repeated.")
    ] = None,
    store: Annotated[str | None, typer.Option(metavar="STORE", help="Where the run is; by default runs.")] = None,
    on_ray: Annotated[
        bool, typer.Option("--ray", help="Share the files over a cluster; goes on where it was.")
    ] = False,
    packages: Allow = None,
) -> None:
    """Predict new files with a trained model. Ends with exit code 3 when a file could not be used: its row says why."""
    from pipeline.cluster.resources import cores
    from pipeline.verbs.predict import Wanted, predict, views_of

    count = max(1, cores() - 1) if workers is None else workers
    wanted = Wanted(top, views_of(views or ()), batch, count, out, save, draw, labels)
    models = [model, *(others or ())]
    if on_ray and labels:
        raise ZoetropeError("--labels: is written by one process; leave --ray out, or make labels of its --out table")
    if on_ray:
        from pipeline.verbs.predict_parts import predict_parts

        whole = predict_parts(console, models, files, wanted, store, column)
    else:
        try:
            whole = predict(console, models, files, wanted, store, column)
        except KeyboardInterrupt:
            Terminal(stderr=True).print(
                "Stopped. JSON lines and CSV have the answers so far; with --ray the same command can go on."
            )
            raise typer.Exit(130) from None
    if not whole:
        raise typer.Exit(BAD_FILES)


@app.command()
def stream(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A run or an exported folder of a TSM with direction: past; or of export --online."
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A video, the number of a camera, or a URL such as rtsp://host/path."),
    ],
    every: Annotated[
        int | None, typer.Option(min=1, help="Frames from one step to the next; by default clip.stride.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="Frames a second of the training's videos; by default those of the source."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Take a file at the speed at which it plays, and drop what comes too late.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="MP4", help="Write the frames with the answers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a frame.")] = False,
    packages: Allow = None,
) -> None:
    """Say what a causal TSM sees, frame by frame: python -m pipeline stream moving-digits-online video.mp4."""
    from pipeline.verbs.stream import Wanted, stream

    try:
        stream(console, model, source, Wanted(every, rate, live, out, as_json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def evaluate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL... DATA [KEY=VALUE]...",
            help="Models: runs, exported folders, MLflow URIs, or recipes for their last runs. The data: a recipe, or "
            "a folder of shards; DATA may stand first, too. A recipe alone is its own last run on its own data. And "
            "changes of the recipe, such as evaluate.clips=3.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="By default NAME-evaluation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics alone, a line of JSON.")] = False,
    packages: Allow = None,
) -> None:
    """Measure trained models on any data of their classes; several of them together, by the mean of their scores."""
    from pipeline.shards.dataset import open_dataset
    from pipeline.training.find_model import find_model, typed
    from pipeline.verbs.evaluate import evaluate as measure
    from pipeline.verbs.evaluate import is_recipe, parted, recipe_of

    changes = [text for text in words if CHANGE.match(text)]
    data, named = parted([text for text in words if text not in changes])
    if is_recipe(data):
        checked = load(data, changes)
        for name in named:  # before shards are made, which may take long
            find_model(typed(name), checked.store)
        shards = open_dataset(_shards(checked).files)
    else:
        checked, shards = recipe_of(named[0], changes), open_dataset(Path(data))
    measure(console, checked, shards, named, out or Path(f"{checked.name}-evaluation"), as_json)


@app.command()
def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs by name, recipes for their last runs, or folders that `evaluate` wrote; several stand side by "
            "side, compared with the first.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="HTML", help="The page to write.")] = Path("report.html"),
    store: Annotated[str | None, typer.Option(metavar="STORE", help="Where the runs are; by default runs.")] = None,
) -> None:
    """Write a run as one page to look at and to send: scores, errors with pictures, classes, calibration, curves."""
    from pipeline.verbs.report import report as write

    write(console, runs, out, store)


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A run, an exported folder, an MLflow URI, or a recipe's last run.")
    ],
    to: Annotated[str, typer.Option(metavar="FORMAT", help="onnx, torch (a .pt2) or safetensors.")] = "onnx",
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="By default NAME-FORMAT.")] = None,
    preprocess: Annotated[bool, typer.Option("--preprocess", help="Take uint8 pixels, normalise inside.")] = False,
    any_size: Annotated[
        bool | None, typer.Option("--any-size/--one-size", help="Leave height and width open where the model can.")
    ] = None,
    online: Annotated[bool, typer.Option("--online", help="A TSM frame by frame, with its caches.")] = False,
    samples: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Files to compare on, or a folder; else the run's shards. May be repeated."),
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, help="The largest difference that is allowed.")] = 1e-4,
    packages: Allow = None,
) -> None:
    """Export a model for use without this project, and compare it with the model on real samples."""
    from pipeline.verbs.export import Asked
    from pipeline.verbs.export import export as write

    asked = Asked(to, preprocess, any_size, online, tuple(samples or ()), tolerance)
    write(console, model, out, asked)


StoreUrl = Annotated[str, typer.Argument(metavar="STORE", help="A store's folder or URL.")]


def _existing(url: str) -> "Store":
    """Open a store that is looked at. ZoetropeError for a folder that is not there; a URL has no folders."""
    from pipeline.store import open_store

    store = open_store(url)
    if "://" not in store.url and not store.home.exists():
        raise ZoetropeError(
            f"{store.url} does not exist. A store is the folder that a recipe names as `store`; by default, `runs` in "
            "the folder where `run` was typed."
        )
    return store


@app.command()
def ls(
    store: StoreUrl,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each run, newest first.")] = False,
) -> None:
    """Show a store's runs and artifacts with their sizes, ages and lineage."""
    from pipeline.verbs.inventory import print_runs, show_store

    opened = _existing(store)
    with suppress(ZoetropeError):  # of an object store, when no MLflow is named
        _close_abandoned(opened)
    if as_json:
        print_runs(opened)
    else:
        show_store(console, opened)


@app.command()
def gc(
    store: StoreUrl,
    days: Annotated[float, typer.Option(min=0, help="What runs of the last so many days made or used stays.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run/--delete", help="Only show what would go.")] = True,
) -> None:
    """Remove what no recent run and no pin needs. Pins: lines of the file `pins` in the store, runs or fingerprints."""
    from pipeline.store.garbage import collect, find_garbage
    from pipeline.verbs.inventory import show_garbage

    opened = _existing(store)
    garbage = find_garbage(opened, days)
    if not dry_run:
        collect(opened, garbage)
    show_garbage(console, garbage, dry_run)


@app.command()
def verify(store: StoreUrl) -> None:
    """Read every file of a store and check it against what it must be; ends with exit code 1 when one is not that."""
    from pipeline.verbs.verify import show_verified

    if not show_verified(console, _existing(store)):
        raise typer.Exit(1)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there; else it is printed.")] = None,
) -> None:
    """Print the JSON schema of a recipe, by which editors complete and check; recipes of `init` name it."""
    from pipeline.recipe.json_schema import KEPT

    text = KEPT.read_text(encoding="utf-8")
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ZoetropeError(f"--out {out}: cannot be written: {error.strerror}") from error
    console.print(f"{out} is written. In a recipe:\n  # yaml-language-server: $schema={out.resolve()}", markup=False)


@app.command()
def doctor(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="Look at what this recipe needs, too.")
    ] = None,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each finding.")] = False,
    packages: Allow = None,
) -> None:
    """Look at this machine: what a run needs, what is missing, and the command that mends it. Exit code 1 if any is."""
    from pipeline.doctor.found import Looked
    from pipeline.verbs.doctor import doctor as look

    if not look(console, Looked(recipe, tuple(overrides or ())), as_json):
        raise typer.Exit(1)


def _close_abandoned(store: "Store", tracking_uri: str | None = None) -> None:
    """End the records of runs that were killed, and send what MLflow did not get because of that or was away for."""
    store.close_abandoned()
    if (spool := store.home / "spool").is_dir():
        from pipeline.tracking.address import resolve
        from pipeline.tracking.leftovers import send_leftovers

        send_leftovers(resolve(tracking_uri, store.url), spool)


EXAMPLES = {
    "init": "init photos/",
    "plan": "plan recipe.yaml train.duration=10ep",
    "run": "run recipes/quickstart.yaml",
    "preview": "preview recipe.yaml --out preview.png",
    "feed": "feed recipe.yaml feed.workers=4",
    "models": "models resnet50 tsm_resnet50",
    "attention": "attention runs/artifacts/export/.../model clip.mp4",
    "predict": "predict quickstart clips/ --top 3 --out answers.csv",
    "evaluate": "evaluate quickstart other-data.yaml",
    "report": "report quickstart --out quickstart.html",
    "stream": "stream recipes/moving-digits-online.yaml clip.mp4",
    "export": "export quickstart --to onnx",
    "ls": "ls runs",
    "gc": "gc runs --days 7",
    "verify": "verify runs",
    "schema": "schema --out recipe.schema.json",
    "doctor": "doctor recipe.yaml",
}
"""A command line of each verb, which its help ends with."""
for _command in app.registered_commands:
    _verb = _command.callback.__name__ if _command.callback else ""
    _command.epilog = f"Example: python -m pipeline {EXAMPLES[_verb]}"


def main() -> None:
    """Run `python -m pipeline`, or `zoetrope`. A command line that is not understood ends with exit code 2."""
    installed = Path(sys.argv[0]).stem == "zoetrope"
    if installed and "" not in sys.path:  # as `python -m` does: a package of one's own lies in the current folder
        sys.path.insert(0, "")
    app(prog_name="zoetrope" if installed else "python -m pipeline")
