"""Tars from elsewhere, from the command line: trained on where they lie, and verified there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.decode.image import encode_jpeg

COLOURS = ((200, 60, 40), (40, 200, 60), (40, 60, 200))


def picture(number: int) -> bytes:
    noise = np.random.default_rng(number).integers(-40, 40, (20, 24, 3))
    return encode_jpeg(np.clip(np.array(COLOURS[number % 3]) + noise, 0, 255).astype(np.uint8), 95)


@pytest.mark.slow
def test_a_run_on_tars_of_webdataset(make_project: Callable[..., Any], tmp_path: Path) -> None:
    import webdataset

    with webdataset.ShardWriter(f"{tmp_path}/train-%06d.tar", maxcount=12, verbose=0) as writer:
        for i in range(40):
            writer.write({"__key__": f"{i:05d}", "jpg": picture(i), "cls": i % 3})
    source = {"kind": "webdataset", "urls": f"{tmp_path}/train-{{000000..000003}}.tar"}
    project = make_project("image", **{"data.source": source, "train.duration": "1ep"})
    assert "top-1" in project.run()
    assert not list((project.store / "artifacts" / "shard").rglob("*.tar"))
    assert (project.facts("shard")["train"], project.facts("shard")["val"]) != (0, 0)
    planned = project.plan()
    assert planned.count("reuse") == 5, planned

    assert CliRunner().invoke(app, ["verify", str(project.store)]).exit_code == 0
    tar = tmp_path / "train-000001.tar"
    content = bytearray(tar.read_bytes())
    content[700] ^= 1
    tar.write_bytes(content)
    said = CliRunner().invoke(app, ["verify", str(project.store)])
    assert (said.exit_code, f"{tar}: is damaged" in said.output) == (1, True), said.output
    assert "RECIPE --rerun ingest`" in said.output
