"""A user's own package, outside of this tree: checked, refused, fingerprinted, and used by name in a whole run."""

import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import models
from augment.transforms import check as check_transforms
from augment.transforms import compose
from pipeline.base.errors import ZoetropeError
from pipeline.base.plugins import VARIABLE, allow, allowed, packages
from pipeline.cli import app
from pipeline.decode.image import encode_jpeg
from pipeline.graph.plan import with_code
from pipeline.recipe import RecipeError, check, load, plain
from pipeline.sources import digest
from pipeline.stages.ingest import look
from pipeline.tasks import task_of
from pipeline.training.model import build_model
from pipeline.verbs.planning import make_plan
from tests.conftest import COLOURS, ROOT, Project, RecipeMaker, picture, tiny_values
from tests.test_jobs import Head
from tune.search_folder import fingerprint as search_fingerprint

PAGE = (ROOT / "docs" / "own-package.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"```python (my_package/\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
NET = "my_package.nets:MyNet"
DARKEN = "my_package.transforms:Darken"
NUMBERED = "my_package.sources:Numbered"
FOCAL = "my_package.tasks:FocalTask"


def write_package(folder: Path) -> None:
    """The package of docs/own-package.md."""
    for name, code in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package, from which it can be imported."""
    folder = tmp_path_factory.mktemp("own")
    write_package(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _nothing_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def values(**changes: Any) -> dict[str, Any]:
    train = [{DARKEN: {"most": 0.9, "p": 1.0}}, {"RandomCrop": {"height": 16, "width": 16}}]
    return tiny_values("image", **{"model": {"kind": NET, "width": 4}, "augment.train": train, **changes})


def problems(**changes: Any) -> str:
    """What a recipe is refused with."""
    with pytest.raises(RecipeError) as refused:
        check(values(**changes), "a test's recipe")
    return str(refused.value)


def test_nothing_is_imported_that_is_not_allowed() -> None:
    said = problems()
    assert f"model.kind: {NET} is code of the package my_package, which may not run" in said
    assert f"augment.train[0].{DARKEN}: {DARKEN} is code of the package my_package" in said
    assert "add --allow my_package" in said
    assert "set ZOETROPE_ALLOW=my_package" in said
    assert "my_package.nets" not in sys.modules


def test_a_name_that_is_allowed_allows_no_other() -> None:
    allow(["other", "my"])
    assert "is code of the package my_package" in problems()
    with pytest.raises(ZoetropeError, match=r"--allow my_package.nets: is no name of a package"):
        allow(["my_package.nets"])
    assert allowed() == ("other", "my")


def test_the_model_and_its_options() -> None:
    allow(["my_package"])
    recipe = check(values(), "a test's recipe")
    assert plain(recipe)["model"] == {"weights": None, "init": "own", "width": 4, "kind": NET}
    assert models.build(NET, 5, width=4)(torch.rand(2, 3, 9, 9)).shape == (2, 5)
    assert check(plain(recipe), "again") == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.wdth": 3}, "model.wdth: unknown key 'wdth'; did you mean 'width'?"),
        ({"model.width": "wide"}, "model.width: input should be a valid integer"),
        ({"model": {"kind": "my_package.nets:MyNt"}}, "unknown class of my_package.nets 'MyNt'; did you mean 'MyNet'?"),
        ({"model": {"kind": "my_package.nest:MyNet"}}, "importing my_package.nest failed: ModuleNotFoundError"),
        ({"model": {"kind": DARKEN}}, f"model.kind: {DARKEN} is neither a torch.nn.Module nor"),
        ({"task.kind": "video-classification"}, f"model.kind: {NET} takes images, but task.kind is video-classif"),
        ({"data.source": {"kind": NET}}, f"data.source.kind: {NET} is no subclass of pipeline.recipe.sources.OwnSou"),
        ({"data.source": {"kind": NUMBERED, "pth": "x"}}, "data.source.pth: unknown key 'pth'; did you mean 'path'?"),
        ({"data.source": {"kind": NUMBERED}}, "data.source.path: is missing"),
        ({"task": {"kind": NUMBERED}}, f"task.kind: {NUMBERED} is no subclass of pipeline.recipe.tasks.TaskSection"),
        ({"task": {"kind": FOCAL, "gamma": -1}}, "task.gamma: input should be greater than or equal to 0"),
        ({"task": {"kind": FOCAL}, "model": {"kind": "tsn_resnet18"}}, f"takes videos, but task.kind is {FOCAL}"),
        ({"augment.train": [{NET: {}}], "seed": -1}, f"[0].{NET}: must be a subclass of albumentations'"),
        ({"augment.train": [{DARKEN: {"mots": 1}}], "seed": -1}, "unknown parameter 'mots'; did you mean 'most'?"),
        ({"augment.train": [{DARKEN: {"most": "x"}}], "seed": -1}, f"{DARKEN}.most: Input should be a valid number"),
    ],
)
def test_what_is_wrong_is_told(changes: Any, said: str) -> None:
    allow(["my_package"])
    assert said in problems(**changes)


OPTIONS = """
from torch import nn
from models.options.base import ModelOptions

class Options(ModelOptions):
    eats = "image"
    head: nn.Module | None = None
"""


def test_options_of_a_type_that_no_recipe_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_options.py").write_text(OPTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    allow(["own_options"])
    said = problems(model={"kind": "own_options:Options"})
    assert "own_options:Options: its fields cannot be checked (Unable to generate pydantic-core schema" in said


NETS = """
from torch import nn

class NoClasses(nn.Module):
    def __init__(self, width=3): ...

class Taken(nn.Module):
    def __init__(self, num_classes, weights=None): ...

class Shadows(nn.Module):
    def __init__(self, num_classes, build=None): ...

class Eats(nn.Module):
    eats = "words"
    def __init__(self, num_classes): ...

class Default(nn.Module):
    def __init__(self, num_classes, norm=nn.BatchNorm2d): ...

class Type(nn.Module):
    def __init__(self, num_classes, head: nn.Module | None = None): ...

class Hint(nn.Module):
    def __init__(self, num_classes, head: "Missing" = None): ...

def function(): ...
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NoClasses", "takes the keyword parameter num_classes, which NoClasses lacks"),
        ("Taken", "every model has the option weights already"),
        ("Shadows", "cannot set a parameter called build"),
        ("Eats", "`eats` must be one of image, video"),
        ("Default", "Give them types and defaults that a recipe can hold"),
        ("Type", "Give them types that a recipe can hold"),
        ("Hint", "cannot be checked (name 'Missing' is not defined)"),
        ("function", "is neither a torch.nn.Module nor"),
    ],
)
def test_a_class_that_is_no_model_of_a_recipe(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"nets_{name}.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    allow([f"nets_{name}"])
    assert said in problems(**{"model": {"kind": f"nets_{name}:{name}"}})


def test_limits_and_lists_of_a_plain_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotated as pydantic's fields are, and in annotations that are strings."""
    code = """
from __future__ import annotations
from typing import Annotated
from annotated_types import Ge
from torch import nn

class Net(nn.Module):
    eats = "video"
    def __init__(self, num_classes: int, *, depths: tuple[int, ...] = (1, 2), width: Annotated[int, Ge(4)], **more):
        super().__init__()
        self.depths = depths
"""
    (tmp_path / "limited_net.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    allow(["limited_net"])
    videos = {"task.kind": "video-classification"}
    said = problems(**videos, model={"kind": "limited_net:Net", "width": 3})
    assert "model.width: input should be greater than or equal to 4, not 3" in said
    assert "model.width: is missing" in problems(**videos, model={"kind": "limited_net:Net"})
    assert models.build("limited_net:Net", 2, width=4, depths=[3]).depths == (3,)
    with pytest.raises(ZoetropeError, match="unknown option of limited_net:Net 'more'"):
        models.build("limited_net:Net", 2, width=4, more=1)


def test_options_in_a_class_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of docs/extend.md, whose `kind` is then the name."""
    page = (ROOT / "docs" / "extend.md").read_text()
    (code,) = re.findall(r"```python model\n(.*?)```", page, re.DOTALL)
    (tmp_path / "tiny_model.py").write_text(code.replace('    kind: Literal["tiny"]\n', ""))
    monkeypatch.syspath_prepend(tmp_path)
    allow(["tiny_model"])
    recipe = check(values(model={"kind": "tiny_model:TinyOptions", "width": 4}), "a test's recipe")
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301  sent on the line itself
    assert build_model(recipe, 5)(torch.rand(2, 3, 9, 9)).shape == (2, 5)
    assert "model.width: input should be greater than 0" in problems(
        model={"kind": "tiny_model:TinyOptions", "width": 0}
    )


def test_own_weights_fit_the_own_model(tmp_path: Path) -> None:
    allow(["my_package"])
    trained = models.build(NET, 3).state_dict()
    save_file(trained, tmp_path / "model.safetensors")
    again = models.build(NET, 3, weights=str(tmp_path / "model.safetensors")).state_dict()
    assert all(torch.equal(again[key], value) for key, value in trained.items())


def test_a_package_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_net.py").write_text("import missing_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    allow(["broken_net", "nowhere"])
    said = problems(model={"kind": "broken_net:Net"})
    assert "importing broken_net failed: ModuleNotFoundError: No module named 'missing_thing'" in said
    assert "PYTHONPATH" not in said
    assert "it is looked for in the current folder" in problems(model={"kind": "nowhere.nets:Net"})


def test_what_is_allowed_goes_with_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(["my_package"])
    recipe = check(values(), "a test's recipe")
    whole, model = pickle.dumps(recipe), pickle.dumps(recipe.model)
    for sent, expected in ((whole, recipe), (model, recipe.model)):
        monkeypatch.setenv(VARIABLE, "")
        assert pickle.loads(sent) == expected  # noqa: S301  sent a line above
        assert allowed() == ("my_package",)


def test_the_transform_is_keyed() -> None:
    allow(["my_package"])
    spec: Any = [{DARKEN: {"most": 0.9, "p": 1.0}}]
    pixels = np.full((4, 4, 3), 200, np.uint8)
    dark = compose(spec)(pixels, "key")
    assert (dark < 200).all()
    assert np.array_equal(dark, compose(spec)(pixels, "key"))
    assert not np.array_equal(dark, compose(spec)(pixels, "another key"))


def test_a_transform_without_a_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are checked by the types of the signature."""
    code = """
import albumentations as A

class Dim(A.ImageOnlyTransform):
    def __init__(self, to: float = 0.5, by: tuple[int, int] = (1, 2), p: float = 0.5):
        super().__init__(p=p)
        self.to = to

    def apply(self, img, **params):
        return (img * self.to).astype(img.dtype)
"""
    (tmp_path / "dim_plain.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    allow(["dim_plain"])
    right: Any = [{"dim_plain:Dim": {"to": 0.25, "by": [3, 4], "p": 1}}]
    assert compose(right)(np.full((2, 2, 3), 200, np.uint8), "key").max() == 50
    assert check_transforms([{"dim_plain:Dim": {"to": "half", "by": [1]}}], "augment.train") == [
        "augment.train[0].dim_plain:Dim.by: Field required (not [1])",
        "augment.train[0].dim_plain:Dim.to: Input should be a valid number, unable to parse string as a number "
        "(not 'half')",
    ]


def test_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the whole package, whichever of its files a class is in, without comments."""
    digests: list[dict[str, Any]] = []
    for change in ("", "# a comment\n", "changed = 1\n"):
        copy = tmp_path / str(len(digests))
        write_package(copy)
        (copy / "my_package" / "helpers.py").write_text(change)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(copy)
            patch.setenv(VARIABLE, "my_package")
            digests.append(with_code({"task.kind": "image", "model": {"kind": NET}, "augment.eval": [{DARKEN: {}}]}))
    assert digests[0] == digests[1] != digests[2]
    assert re.fullmatch(NET + ", code [0-9a-f]{16}", digests[0]["model"]["kind"])
    assert re.fullmatch(DARKEN + ", code [0-9a-f]{16}", next(iter(digests[0]["augment.eval"][0])))
    assert digests[0]["task.kind"] == "image"


def test_a_search_of_other_code_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(["my_package"])
    tune = {"metric": "val/top1", "mode": "max", "samples": 2, "space": {"model.width": "choice(4, 8)"}}
    recipe, marks = check(values(tune=tune), "a test's recipe"), list[str]()
    for code in ("", "changed = 1\n"):
        copy = tmp_path / str(len(marks))
        write_package(copy)
        (copy / "my_package" / "helpers.py").write_text(code)
        monkeypatch.setattr("pipeline.graph.plan.place", lambda package, copy=copy: copy / package)
        marks.append(search_fingerprint(recipe))
    assert marks[0] != marks[1]


def test_the_packages_of_a_recipe() -> None:
    allow(["my_package", "other"])
    assert packages(values()) == ["my_package"]
    assert packages(tiny_values("image")) == []
    assert packages({"data": {"classes": {"rename": {"a:b": "c"}}}}) == []


def photos(folder: Path) -> Path:
    """30 JPEGs called <class>-<number>.jpg, of the three classes of `COLOURS`, whose colours they are of."""
    folder.mkdir()
    for number in range(30):
        label = number % 3
        path = folder / f"{list(COLOURS)[label]}-{number:02}.jpg"
        path.write_bytes(encode_jpeg(picture(label, number), 95))
    return folder


def test_the_source(tmp_path: Path) -> None:
    allow(["my_package"])
    one = {"kind": NUMBERED, "path": str(photos(tmp_path / "photos"))}
    recipe = check(values(**{"data.source": one}), "a test's recipe")
    assert plain(recipe)["data"]["source"] == one
    assert pickle.loads(pickle.dumps(recipe.data.source)) == recipe.data.source  # noqa: S301  sent on the line itself
    listing = look(recipe)
    assert (len(listing.candidates), listing.classes()) == (30, ["blue", "green", "red"])
    before = digest(one)
    (tmp_path / "photos" / "blue-00.jpg").write_bytes(b"")
    assert digest(one) != before
    mixed = {"kind": "mixture", "of": {"one": one, "other": one}}
    assert len(look(check(values(**{"data.source": mixed}), "a test's recipe")).candidates) == 60
    assert digest(mixed)


def test_the_task(make_recipe: RecipeMaker) -> None:
    """Of a sample whose class has probability 1/4, ln 4 * (1 - 1/4)^2."""
    allow(["my_package"])
    recipe = make_recipe("image", task={"kind": FOCAL})
    assert plain(recipe)["task"] == {"kind": FOCAL, "gamma": 2.0}
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301  sent on the line itself
    task: Any = task_of(recipe, ("a", "b"))
    fields = {"label": torch.tensor([0])}
    (loss,) = task.losses(None, torch.tensor([[0.0, math.log(3)]]), fields, torch.ones(1), None).values()
    assert loss.item() == pytest.approx(math.log(4) * 0.75**2)
    assert (recipe.task.modality, task.headline.metric) == ("image", "top1")


def test_a_section_without_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from pipeline.recipe.tasks import TaskSection\nclass Empty(TaskSection):\n    pass\n"
    (tmp_path / "empty_task.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    allow(["empty_task"])
    assert "its class attribute `task` must be a subclass of" in problems(task={"kind": "empty_task:Empty"})


class Own(Project):
    """A project whose package lies beside its recipe, in the folder that commands are typed in."""

    def __init__(self, folder: Path) -> None:
        changes = {
            "task": {"kind": FOCAL, "gamma": 1.5},
            "data.source": {"kind": NUMBERED, "path": "photos"},
            "model": {"kind": NET, "width": 4},
            "augment.train": [{DARKEN: {"most": 0.3}}, {"RandomCrop": {"height": 16, "width": 16}}],
            "feed.workers": 1,
        }
        super().__init__(folder, "image", **changes)
        self.typed_in = folder
        write_package(folder)
        photos(folder / "photos")


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """An `Own` in a folder of its own."""
    return Own(tmp_path)


ALLOWED = ("--allow", "my_package")


@pytest.mark.slow
def test_plan_and_preview_by_the_command_line(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own.folder)

    def command(*arguments: str, code: int = 0) -> str:
        answered = CliRunner().invoke(app, arguments)
        assert answered.exit_code == code, answered.output
        return " ".join(answered.output.split())

    refused = command("plan", "recipe.yaml", code=1)
    for where in ("task.kind", "data.source.kind", "model.kind", f"augment.train[0].{DARKEN}"):
        assert f"{where}: my_package" in refused
    assert "5 stages to run" in command("plan", "recipe.yaml", *ALLOWED)
    monkeypatch.setenv(VARIABLE, "")
    assert "preview.png shows some samples" in command("preview", "recipe.yaml", *ALLOWED)
    assert (own.folder / "preview.png").stat().st_size > 1000
    monkeypatch.setenv(VARIABLE, "")
    assert NET in command("models", NET, *ALLOWED)
    assert "is no name of a package" in command("models", "--allow", "my.package", code=1)


def test_stages_count_the_code_that_they_read(own: Own) -> None:
    allow(["my_package"])
    planned, _ = make_plan(load(own.recipe))
    values = {step.stage.name: json.dumps(step.values) for step in planned.steps}
    counted = {
        stage: {name for name in (NET, DARKEN, NUMBERED, FOCAL) if f"{name}, code " in text}
        for stage, text in values.items()
    }
    assert counted == {
        "ingest": {NUMBERED, FOCAL},
        "shard": {FOCAL},
        "train": {NET, DARKEN, FOCAL},
        "evaluate": {NET, DARKEN, FOCAL},
        "export": {NET, FOCAL},
    }


PREDICT = """
import json, sys
from pathlib import Path
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
table = model.predict(pandas.DataFrame({"content": [Path(sys.argv[2]).read_bytes()]}))
print(json.dumps([table.to_dict("records"), sys.modules["my_package.nets"].__file__]))
"""


@pytest.fixture
def head(own: Own) -> Iterator[Head]:
    """A Ray head to which jobs are submitted from the project's folder; Zoetrope itself is installed there."""
    folder = Path(tempfile.mkdtemp())  # pytest's own makes the path of a Unix socket too long
    head = Head(folder)
    head.typed_in = own.folder
    yield head
    head.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_whole_run(own: Own, head: Head) -> None:
    """In a job of `ray job submit`; planned again here; and in a process that loads what was exported."""
    places = (f"data.source.path={own.folder / 'photos'}", f"store={own.store}")
    job = ("python", "-m", "pipeline", "run", "recipe.yaml", *places, *ALLOWED)
    installed = ("--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": str(ROOT)}}))
    code, shown = head.submit(*job, options=installed)
    assert code == 0, shown
    assert "Traceback" not in shown
    assert re.search(r"^export: made in ", shown, re.MULTILINE), shown
    assert re.search(r"python -m pipeline run .* train.duration=4ep --allow=my_package$", shown, re.MULTILINE)
    assert own.facts("ingest")["samples"] == 30
    assert own.run(*ALLOWED, verb="plan").count(" reuse ") == 5  # the same code has the same digest here
    (run,) = own.mlflow_runs()
    assert (run.info.status, run.data.params["model.kind"]) == ("FINISHED", NET)
    weights = load_file(own.artifact("export") / "model" / "model.safetensors")
    assert weights["head.weight"].shape == (3, 4)

    nets = own.folder / "my_package" / "nets.py"
    nets.write_text(nets.read_text().replace("nn.ReLU()", "nn.GELU()"))
    planned = " ".join(own.run(*ALLOWED, verb="plan").split())
    assert planned.count(" run ") >= 5
    assert re.search(f"model.kind changed {NET}, code [0-9a-f]{{16}} -> {NET}, code [0-9a-f]{{16}}", planned)

    exported = own.artifact("export") / "mlflow-model"
    command = [sys.executable, "-c", PREDICT, str(exported), str(own.folder / "photos" / "red-02.jpg")]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", VARIABLE)}
    environment["HOME"] = str(own.folder / "home")

    def predict(**changes: str) -> subprocess.CompletedProcess[str]:
        more = environment | changes
        return subprocess.run(command, capture_output=True, text=True, cwd=exported, env=more, timeout=600)

    refused = predict()
    assert refused.returncode != 0
    assert "set ZOETROPE_ALLOW=my_package" in refused.stderr
    answered = predict(**{VARIABLE: "my_package"})
    assert answered.returncode == 0, answered.stderr
    [[row], code] = json.loads(answered.stdout.splitlines()[-1])
    assert row["label"] in ("blue", "green", "red")
    assert Path(code).is_relative_to(exported)  # its own copy
