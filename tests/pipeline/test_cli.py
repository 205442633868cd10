"""The verbs as a user types them. Ray starts in one test only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.recipe import plain
from pipeline.training.model_folder import FILES
from tests.pipeline.stores import RECIPES, publish_until, quickstart

ROOT = RECIPES.parent
QUICKSTART = str(RECIPES / "quickstart.yaml")
HEAVY = ("torch", "ray", "mlflow", "albumentations", "webdataset", "sklearn", "cv2", "av", "decord", "pandas")


def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m pipeline <arguments>`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return int(ended.value.code or 0), out, err


class Terminal:
    """`typed` with its fixtures."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return typed(self.capsys, self.monkeypatch, *arguments)


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Terminal(capsys, monkeypatch)


def in_a_process(*arguments: str) -> tuple[str, list[str]]:
    """Output, and which heavy modules were imported on the way."""
    script = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"sys.argv = ['pipeline', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('heavy:', *(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    output, _, heavy = done.stdout.rpartition("heavy:")
    return output, heavy.split()


FOR_NO_HELP = {
    *HEAVY,
    "numpy",
    "PIL",
    "yaml",
    "matplotlib",
    "models",
    "pipeline.recipe",
    "pipeline.tasks",
    "tune.space",
}


def test_no_help_waits_for_what_a_run_needs() -> None:
    """Of each verb, of all together and of the search: whoever asks for help has an answer at once."""
    script = (
        "import sys\n"
        "import pipeline.cli, tune.cli\n"
        "for verb in [[], *([name] for name in pipeline.cli.EXAMPLES), None]:\n"
        "    main = tune.cli.main if verb is None else pipeline.cli.main\n"
        "    sys.argv = ['pipeline', *(verb or ()), '--help']\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code, verb\n"
        f"print('loaded:', *({FOR_NO_HELP!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    output, _, loaded = done.stdout.rpartition("loaded:")
    assert loaded.split() == []
    assert output.count("Usage: python -m pipeline") == 1 + len(cli.EXAMPLES)
    assert "Example: python -m tune recipes/" in output
    assert "Exit codes: 0 all is done, 1 an error" in output


@pytest.mark.parametrize("verb", cli.EXAMPLES)
def test_the_help_of_a_verb_ends_with_an_example(terminal: Terminal, verb: str) -> None:
    code, out, err = terminal(verb, "--help")
    assert (code, err) == (0, "")
    assert f"python -m pipeline {verb} " in " ".join(out.split())


def test_a_first_plan_does_without_torch(tmp_path: Path) -> None:
    """Also one that starts from a trained model of the same recipe: its file is hashed, and not loaded."""
    model = tmp_path / "trained"
    model.mkdir()
    for name in FILES:
        (model / name).write_text(yaml.safe_dump(plain(quickstart(tmp_path))))
    output, heavy = in_a_process("plan", QUICKSTART, f"store={tmp_path}", f"model.weights={model}")
    assert output.splitlines()[-1] == "5 stages to run"
    assert "torch" not in heavy
    assert "albumentations" in heavy  # transforms are checked


@pytest.mark.slow
def test_a_finished_run_starts_nothing(tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export")
    output, heavy = in_a_process("plan", QUICKSTART, f"store={tmp_path}")
    assert output.splitlines()[-1] == "0 stages to run"
    assert heavy == []
    output, heavy = in_a_process("run", QUICKSTART, f"store={tmp_path}")
    assert "0 stages to run\n\ntop-1 97.0% on the validation split\n" in output
    assert heavy == []
    assert len(list((tmp_path / "runs").iterdir())) == 1  # of what is there


def test_a_plan_for_scripts(terminal: Terminal, tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "train")
    code, out, err = terminal("plan", QUICKSTART, f"store={tmp_path}", "--rerun", "train", "--json")
    assert (code, err) == (0, "")
    steps = [json.loads(line) for line in out.splitlines()]
    assert [(step["stage"], step["action"]) for step in steps] == [
        *(("ingest", "reuse"), ("shard", "reuse"), ("train", "run"), ("evaluate", "run"), ("export", "run"))
    ]
    assert steps[2]["reasons"] == ["--rerun"]
    assert steps[3]["fingerprint"] is None  # of what the training will make


@pytest.mark.slow
def test_init_in_a_process_without_anything_else(tmp_path: Path) -> None:
    """Headers are read in a process of their own, and Ray is not started."""
    from pipeline.decode.image import encode_jpeg
    from tests.conftest import picture

    for i in range(20):
        path = tmp_path / "photos" / ("blue", "green")[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(picture(i % 2, i), 95))
    out = str(tmp_path / "mine.yaml")
    output, heavy = in_a_process("init", str(tmp_path / "photos"), "--out", out)
    assert "task     image-classification: a folder a class, 2 of them" in output
    assert output.endswith(f"  python -m pipeline run {out}\n")
    assert "mlflow" not in heavy
    output, _ = in_a_process("plan", out, f"store={tmp_path}/runs")
    assert output.splitlines()[-1] == "5 stages to run"


def test_plan_of_a_first_run(terminal: Terminal, tmp_path: Path) -> None:
    code, out, err = terminal("plan", QUICKSTART, f"store={tmp_path / 'store'}")
    assert (code, err) == (0, "")
    assert out.endswith("export    run    first run\n5 stages to run\n")
    assert not (tmp_path / "store").exists()


def test_more_gpus_than_there_are(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan may be that of another machine; the run is of this one, and Ray would let it wait for ever."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    arguments = (QUICKSTART, f"store={tmp_path / 'store'}", "cluster.workers=1", "cluster.gpus_per_worker=1")
    says = "cluster.gpus_per_worker: the training takes 1 x 1 GPU, and there are 0 on this machine."
    code, out, _ = terminal("plan", *arguments)
    assert code == 0
    assert f"5 stages to run\nWarning: {says}" in out
    code, out, err = terminal("run", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {says}")
    publish_until(quickstart(tmp_path / "store"), "train")  # nothing is trained any more
    assert "Warning" not in terminal("plan", *arguments)[1]


def test_rerun(terminal: Terminal, tmp_path: Path) -> None:
    publish_until(quickstart(tmp_path), "export")
    arguments = ("plan", QUICKSTART, f"store={tmp_path}", "--rerun", "evaluate")
    assert terminal(*arguments)[1].endswith("export    reuse  is there\n1 stage to run\n")
    assert terminal(*arguments, "--rerun", "export")[1].endswith("2 stages to run\n")
    assert terminal(*arguments, "--rerun", "exprot")[::2] == (
        1,
        "Error: unknown stage 'exprot'; did you mean 'export'?\n",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu", "r.yaml"], ["No such command 'rnu'"]),
        (["run"], ["RECIPE"]),
        (["train", "r.yaml"], ["Error: there is no verb 'train'; write python -m pipeline run r.yaml, which trains"]),
        (["run", "r.yaml", "--epochs", "10"], ["Error: there is no option --epochs: ", "; write train.duration=10ep"]),
        (["plan", "r.yaml", "--rerrun", "train"], ["--rerrun", "--rerun"]),
        (["plan", "r.yaml", "--rerun"], ["--rerun"]),
        ([], ["Usage: python -m pipeline"]),
    ],
)
def test_a_command_line_that_is_not_understood(terminal: Terminal, arguments: list[str], says: list[str]) -> None:
    code, out, err = terminal(*arguments)
    assert code == 2
    assert all(text in out + err for text in says)


@pytest.mark.parametrize(
    ("recipe", "overrides", "says"),
    [
        ("nothing.yaml", [], "nothing.yaml: there is no such file"),
        ("recipes", [], "recipes: is a folder, and a recipe is a file; in recipes there are "),
        (
            "my photos",
            [],
            "my photos: is a folder, and a recipe is a file; python -m pipeline init 'my photos' writes one",
        ),
        ("Makefile", [], "Makefile: "),
        (
            "recipes/quickstart.yaml",
            ["train.duraton=3ep"],
            "train.duraton: unknown key 'duraton'; did you mean 'duration'",
        ),
        ("recipes/quickstart.yaml", ["train.duration=3"], "train.duration: '3' is no duration; write epochs as 90ep"),
        ("recipes/quickstart.yaml", ["tracking.uri=file:///x"], "tracking.uri 'file:///x' is a folder"),
        ("recipes/quickstart.yaml", ["store=/dev/null"], "store /dev/null is a file, and must be a folder"),
        ("recipes/quickstart.yaml", ["data.source={kind: folder, path: nowhere}"], "nowhere does not exist."),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "run"])
def test_an_error_of_the_user_is_one_message(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verb: str,
    recipe: str,
    overrides: list[str],
    says: str,
) -> None:
    (tmp_path / "recipes").symlink_to(RECIPES)
    (tmp_path / "my photos").mkdir()
    (tmp_path / "Makefile").write_text("run:\n\tpython -m pipeline\n")
    monkeypatch.chdir(tmp_path)
    code, out, err = terminal(verb, recipe, *overrides)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert says in err
    assert not (tmp_path / "runs").exists()


def test_secrets_are_never_printed(terminal: Terminal, tmp_path: Path) -> None:
    uri = "https://me:s3cret@127.0.0.1:1"
    publish_until(quickstart(tmp_path), "export")
    for verb in ("plan", "run"):
        for overrides in ([f"tracking.uri={uri}"], [f"tracking={uri}"], [f"tracking.uri={uri}", "train.duration"]):
            _, out, err = terminal(verb, QUICKSTART, f"store={tmp_path}", *overrides)
            assert "s3cret" not in out + err


def test_ctrl_c(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.verbs.planning.make_plan", interrupted)
    assert terminal("run", QUICKSTART) == (130, "", "Stopped. The same command goes on from here.\n")


@pytest.mark.slow
def test_bad_files_stop_a_run_in_words_and_leave_nothing_finished(tmp_path: Path) -> None:
    """The whole way, through Ray, as a user would see it."""
    for name in ("train/cat/1", "train/cat/2", "train/dog/1", "val/cat/1", "val/dog/1"):
        path = tmp_path / "clips" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "train/cat/1" else b"a text that is called a video")
    overrides = [f"data.source={{kind: folder, path: {tmp_path / 'clips'}}}", "train.batch_size=2", "store=store"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", QUICKSTART, *overrides],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: 5 of 5 files cannot be used; data.max_bad = 0.01 allows 0:\n"
        "  train/cat/1.mp4: the file is empty (zero bytes)\n"
        "  train/cat/2.mp4: its content is no MP4, MOV, AVI, MKV, WebM, FLV, WMV, Ogg, GIF or MPEG video\n"
        "  train/dog/1.mp4: its content is no MP4, MOV, AVI, MKV, WebM, FLV, WMV, Ogg, GIF or MPEG video\n"
        "  val/cat/1.mp4: its content is no MP4, MOV, AVI, MKV, WebM, FLV, WMV, Ogg, GIF or MPEG video\n"
        "  val/dog/1.mp4: its content is no MP4, MOV, AVI, MKV, WebM, FLV, WMV, Ogg, GIF or MPEG video\n"
        "Mend or remove these files.\n"
    )
    assert "Traceback" not in done.stdout
    assert "ingest: failed" in done.stdout
    assert not (tmp_path / "store" / "artifacts").exists()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2Jx.jpg", r"\x1b[2Jx.jpg"),
        ("a\rb.jpg", r"a\rb.jpg"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}exe.jpg", r"\u202eexe.jpg"),
    ],
)
def test_a_file_name_is_shown_and_not_obeyed(terminal: Terminal, tmp_path: Path, name: str, shown: str) -> None:
    for folder in ("train/cat", "train/dog", "val/cat"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(b"no picture")
    recipe, source = str(RECIPES / "quickstart-images.yaml"), f"data.source={{kind: folder, path: {tmp_path}}}"
    code, _, err = terminal("preview", recipe, source, f"store={tmp_path}/runs", "train.batch_size=2")
    assert code == 1
    assert err.count("\n") == 1
    assert f"/{shown}: its content is no image that can be read" in err


def test_a_model_that_is_none_is_told_before_shards_are_made(terminal: Terminal, tmp_path: Path) -> None:
    code, _, err = terminal("evaluate", "nothing", QUICKSTART, f"store={tmp_path}")
    assert code == 1
    assert "nothing" in err
    assert not (tmp_path / "artifacts").exists()
