import hashlib
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.base.errors import ZoetropeError
from pipeline.training import checkpoint
from tests.pipeline.training.test_loop import assert_same

BAD = {"train": {3: "the video cannot be opened"}, "val": {}}
RECIPE = {"name": "x", "train": {"duration": "2ep"}}


def trained(seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**seed)
    for _ in range(3):
        scaler.scale(model(torch.randn(5, 3)).square().sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer, "scaler": scaler}


def test_round_trip(tmp_path: Path) -> None:
    first, second = trained(1), trained(2)
    checkpoint.State.of(first, 7, {"val/top1": 0.5}, BAD, RECIPE).save(tmp_path)
    assert checkpoint.restore(tmp_path, second) == (7, {"val/top1": 0.5}, BAD)
    weights = second["model"].state_dict()
    assert all(torch.equal(weights[name], value) for name, value in first["model"].state_dict().items())
    momenta = [[state["momentum_buffer"] for state in parts["optimizer"].state.values()] for parts in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*momenta, strict=True))
    assert second["scaler"].get_scale() == first["scaler"].get_scale() == 2.0
    assert checkpoint.read(tmp_path)["recipe"] == RECIPE


def test_a_copy_stays_as_it_was_while_training_goes_on(tmp_path: Path) -> None:
    parts, bad = trained(1), {split: dict(found) for split, found in BAD.items()}
    state = checkpoint.State.of(parts, 7, {"val/top1": 0.5}, bad, RECIPE)
    state.save(tmp_path / "then")
    copied = state.copy()
    parts["model"](torch.randn(5, 3)).square().sum().backward()
    parts["optimizer"].step()
    bad["train"][4] = "it was cut off"
    copied.save(tmp_path / "later")
    state.save(tmp_path / "shared")
    then, later, shared = (checkpoint.read(tmp_path / name) for name in ("then", "later", "shared"))
    assert_same(later, then)
    assert later["bad"] == BAD
    assert not torch.equal(shared["model"]["0.weight"], then["model"]["0.weight"])
    assert shared["bad"] != BAD
    checkpoint.restore(tmp_path / "later", trained(2))
    again = state.copy(copied)
    again.save(tmp_path / "again")
    assert_same(checkpoint.read(tmp_path / "again"), shared)
    assert again.values["model"]["0.weight"] is copied.values["model"]["0.weight"]


@pytest.mark.parametrize(
    ("value", "over"),
    [
        ({"a": torch.ones(2)}, {"a": torch.zeros(3)}),
        ({"a": torch.ones(2)}, {"a": torch.zeros(2, dtype=torch.int64)}),
        ({"a": torch.ones(2), "b": [torch.ones(1), 3]}, {"a": None}),
        ({"a": [torch.ones(2)]}, {"a": [torch.zeros(2), torch.zeros(2)]}),
        ({"a": (torch.ones(2), torch.ones(1))}, {"a": (torch.zeros(2),)}),
        ({"a": [torch.ones(2)]}, {"a": {"b": 1}}),
    ],
)
def test_a_copy_over_another_one_is_as_a_new_one(value: dict[str, Any], over: dict[str, Any]) -> None:
    assert_same(checkpoint.State(value).copy(checkpoint.State(over)).values, value)


def test_a_schedule_that_follows_measurements_begins_anew_where_the_checkpoint_has_none(tmp_path: Path) -> None:
    class Scale:
        value = 1.0

        def state_dict(self) -> dict[str, float]:
            return {"value": self.value}

        def load_state_dict(self, state: dict[str, float]) -> None:
            self.value = state["value"]

    followed, fresh = Scale(), Scale()
    followed.value = 0.1
    checkpoint.State.of(trained(1), 7, {}, BAD, RECIPE).save(tmp_path / "plain")
    checkpoint.State.of({**trained(1), checkpoint.SCHEDULE: followed}, 7, {}, BAD, RECIPE).save(tmp_path / "followed")
    for folder, value in (("plain", 1.0), ("followed", 0.1)):
        checkpoint.restore(tmp_path / folder, {**trained(2), checkpoint.SCHEDULE: fresh})
        assert fresh.value == value


def test_final_weights_are_the_best_else_the_average_else_the_last() -> None:
    last, averaged, best = (torch.tensor(float(i)) for i in range(3))
    state: dict[str, Any] = {"model": {"w": last}}
    assert checkpoint.final_weights(state) == {"w": last}
    state["ema"] = {"n_averaged": torch.tensor(3), "module.w": averaged}
    assert checkpoint.final_weights(state) == {"w": averaged}
    state["early_stopping"] = {"weights": {}}  # of a training that keeps the last
    assert checkpoint.final_weights(state) == {"w": averaged}
    state["early_stopping"] = {"weights": {"w": best}}
    assert checkpoint.final_weights(state) == {"w": best}


def flip(path: Path, at: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_the_digest_is_one_that_sha256sum_reads(tmp_path: Path) -> None:
    checkpoint.State.of(trained(1), 7, {}, BAD, RECIPE).save(tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["checkpoint.pt", "checkpoint.pt.sha256"]
    found = hashlib.sha256((tmp_path / "made" / checkpoint.FILE).read_bytes()).hexdigest()
    assert (tmp_path / "made" / checkpoint.DIGEST).read_text() == f"{found}  checkpoint.pt\n"
    assert checkpoint.damage(tmp_path / "made") is None


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path) -> None:
    """In headers, pickle, weights, optimizer, padding and directory of the zip, and in the digest."""
    checkpoint.State.of(trained(1), 7, {}, BAD, RECIPE).save(tmp_path)
    path, digest = tmp_path / checkpoint.FILE, tmp_path / checkpoint.DIGEST
    size = path.stat().st_size
    assert size > 5000
    for file, places in ((path, range(0, size, 43)), (digest, range(digest.stat().st_size))):
        for at in places:
            flip(file, at, at % 8)
            assert checkpoint.damage(tmp_path) == "its sha256 is not that in checkpoint.pt.sha256", at
            flip(file, at, at % 8)
    assert checkpoint.damage(tmp_path) is None


def test_a_checkpoint_of_an_older_version_has_no_digest(tmp_path: Path) -> None:
    parts = trained(1)
    checkpoint.State.of(parts, 7, {}, BAD, RECIPE).save(tmp_path)
    (tmp_path / checkpoint.DIGEST).unlink()
    assert checkpoint.restore(tmp_path, trained(2)) == (7, {}, BAD)
    path = tmp_path / checkpoint.FILE
    flip(path, path.read_bytes().index(parts["model"][0].weight.detach().numpy().tobytes()))
    torch.load(path, weights_only=True)  # who loads it is told nothing
    with pytest.raises(
        ZoetropeError, match=r"checkpoint\.pt: cannot .* \(the CRC of its member archive/data/0 differs\)"
    ):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "sha256"),
        (lambda path: os.truncate(path, 0), "sha256"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_half_a_file_an_empty_one_and_none(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    checkpoint.State.of(trained(1), 7, {}, {}, RECIPE).save(tmp_path)
    damage(tmp_path / checkpoint.FILE)
    assert says in str(checkpoint.damage(tmp_path))


def test_a_full_disk_says_so_and_what_was_there_stays(tmp_path: Path) -> None:
    """A file may grow to 3,000 bytes only: the kernel refuses the rest, as it does on a full disk."""
    checkpoint.State.of(trained(1), 7, {}, {}, RECIPE).save(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.State.of(trained(2), 8, {}, {}, RECIPE).save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoint.read(tmp_path)["step"] == 7


def test_a_torn_file_is_said(tmp_path: Path) -> None:
    checkpoint.State.of(trained(1), 7, {}, {}, RECIPE).save(tmp_path)
    path = tmp_path / checkpoint.FILE
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ZoetropeError, match=r"checkpoint\.pt: cannot be read as a checkpoint .*--rerun train"):
        checkpoint.read(tmp_path)
    path.unlink()
    with pytest.raises(ZoetropeError, match="No such file"):
        checkpoint.read(tmp_path)


@pytest.mark.parametrize("content", [{"schema": 99, "step": 1}, {}, [1, 2]])
def test_another_schema_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / checkpoint.FILE)
    assert checkpoint.damage(tmp_path) is None
    with pytest.raises(ZoetropeError, match=r"is a checkpoint of schema (99|None), this version reads 2"):
        checkpoint.read(tmp_path)


class Evil:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    torch.save({"schema": 2, "step": Evil(tmp_path / "evil")}, tmp_path / checkpoint.FILE)
    with pytest.raises(ZoetropeError, match="cannot be read as a checkpoint"):
        checkpoint.read(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_weights_of_a_checkpoint(tmp_path: Path) -> None:
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    checkpoint.State.of({"model": model}, 1, {}, {}, {}).save(tmp_path)
    checkpoint.save_weights(checkpoint.read(tmp_path)["model"], tmp_path / "model.safetensors")
    weights = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
