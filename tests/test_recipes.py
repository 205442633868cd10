"""Every recipe in recipes/ can be planned once its placeholders are paths of data that is there."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.recipe import load
from pipeline.recipe.bodies import skeleton_of
from pipeline.recipe.sources import DrawnSource
from pipeline.verbs.planning import make_plan

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_can_be_planned_and_says_what_to_expect(path: Path, tmp_path: Path) -> None:
    header = path.read_text().partition("\nname: ")[0]
    assert str(path.relative_to(ROOT)) in header or "make quickstart" in header or "extends: quickstart.yaml" in header
    source, overrides = load(path).data.source, [f"store={tmp_path}/runs"]
    if not isinstance(source, DrawnSource):
        suffix = ".mp4" if load(path).task.modality == "video" else ".jpg"
        task: Any = load(path).task
        joints = skeleton_of(task.body).joints if task.answers == "keypoints" else ()
        places = "".join(f",{name}_x,{name}_y" for name in joints)
        lines = "".join(
            f"{i}{suffix},{0 if joints else i % 2},{i}.png,1,2,5,7{',3,4' * len(joints)}\n" for i in range(20)
        )
        (tmp_path / "table.csv").write_text(f"path,label,mask,xmin,ymin,xmax,ymax{places}\n{lines}")
        for i in range(20):
            (tmp_path / f"{i}{suffix}").touch()
        more = ', separator: "|"' if load(path).task.kind.endswith("multilabel") else ""
        more += ", classes: [a, b]" if load(path).task.answers == "mask" else ""
        table = f"{{kind: table, path: {tmp_path}/table.csv{more}}}"
        images = f"{{kind: images, path: {tmp_path}}}"
        overrides.append(f"data.source={images if load(path).task.answers == 'image' else table}")
        overrides += ["train.batch_size=8", "cluster.workers=1"]
    if load(path).loss.distill:
        overrides.append("loss.distill=null")  # whose teacher is another recipe's run
    if load(path).model.weights in {other.stem for other in RECIPES}:
        overrides.append("model.weights=null")  # another recipe's run, too
    planned, _ = make_plan(load(path, overrides))
    assert [step.stage.name for step in planned.to_run] == ["ingest", "shard", "train", "evaluate", "export"]
