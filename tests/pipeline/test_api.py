"""What `import pipeline` offers, and the command that an installation brings."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.api import _dotted
from pipeline.base.errors import ZoetropeError
from tests.conftest import ROOT
from tests.pipeline.stores import RECIPES, publish_until, quickstart


def test_importing_it_is_light() -> None:
    code = "import sys, pipeline; print(sorted(name for name in sys.modules if name.startswith('pipeline')))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert made.stdout.strip() == "['pipeline']"
    assert {"run", "plan", "load_model"} == set(pipeline.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'rnu'"):
        pipeline.rnu  # noqa: B018


def test_a_plan(tmp_path: Path) -> None:
    planned = pipeline.plan(RECIPES / "quickstart.yaml", store=tmp_path, train={"duration": "1ep"})
    assert planned.to_run == ("ingest", "shard", "train", "evaluate", "export")
    assert planned.steps[0].reasons == ("first run",)
    recipe = quickstart(tmp_path)
    publish_until(recipe, "export")
    assert pipeline.plan(RECIPES / "quickstart.yaml", store=tmp_path).to_run == ()
    changes: dict[str, Any] = {"optimizer.lr": 0.5}
    again = pipeline.plan(RECIPES / "quickstart.yaml", store=str(tmp_path), **changes)
    assert again.to_run == ("train", "evaluate", "export")
    assert "optimizer.lr changed 0.1 -> 0.5" in again.steps[2].reasons[0]
    assert pipeline.plan(RECIPES / "quickstart.yaml", rerun=["export"], store=tmp_path).to_run == ("export",)


def test_a_finished_run_is_found(tmp_path: Path) -> None:
    store = publish_until(quickstart(tmp_path), "export")
    ran = pipeline.run(RECIPES / "quickstart.yaml", store=tmp_path)
    assert ran.metrics == {"loss": 0.0623, "top1": 0.9701, "top5": 1.0}
    assert ran.folders["train"] == str(tmp_path / "artifacts" / "train" / Path(ran.folders["train"]).name)
    assert (ran.model, ran.store) == (store.artifacts("export")[0]["fingerprint"], str(tmp_path))


def test_errors_are_those_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"optimizer.lrr: unknown key 'lrr'; did you mean 'lr'"):
        pipeline.plan(RECIPES / "quickstart.yaml", store=tmp_path, optimizer={"lrr": 1})
    with pytest.raises(ZoetropeError, match="there is no run in"):
        pipeline.load_model("first", store=str(tmp_path))


def test_changes_become_dotted_keys() -> None:
    changes = {"train": {"duration": "1ep", "sampling": {"kind": "all"}}, "seed": 3, "store": Path("/s")}
    assert list(_dotted(changes)) == [
        ("train.duration", "1ep"),
        ("train.sampling", {"kind": "all"}),
        ("seed", 3),
        ("store", "/s"),
    ]


def test_the_command_of_an_installation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert list(scripts) == ["zoetrope"]
    main = EntryPoint("zoetrope", scripts["zoetrope"], "console_scripts").load()
    monkeypatch.setattr(sys, "argv", ["/usr/bin/zoetrope", "plan", "--help"])
    monkeypatch.setattr(sys, "path", sys.path[:])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "Usage: zoetrope plan" in capsys.readouterr().out
    assert "" in sys.path
