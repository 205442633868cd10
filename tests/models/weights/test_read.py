"""State dicts from files: wrappers, formats, and what is refused."""

import os
import pickle
import shlex
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from models.weights.read import read_state, unwrap
from pipeline.base.errors import ZoetropeError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def same(found: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["w.pth", "w.pyth", "w.pth.tar", "w"])
def test_torch_files_whatever_their_name(tmp_path: Path, name: str, legacy: bool) -> None:
    """The TSM release's files are of the format before torch 1.6."""
    torch.save({"epoch": 3, "state_dict": STATE}, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    assert same(read_state(tmp_path / name))
    assert same(read_state(str(tmp_path / name)))


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    found = read_state(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "wrapped",
    [
        STATE,
        {"state_dict": STATE},
        {"model_state": STATE, "epoch": 15, "cfg": "text"},
        {"model_state_dict": STATE, "optimizer": {"state": {}}},
        {"model": STATE},
        {"model": {"state_dict": STATE}},
    ],
)
def test_wrappers(wrapped: dict[str, Any]) -> None:
    assert same(unwrap(wrapped, "the file"))
    assert same(read_state(wrapped))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "holds no state dict"),
        ([1, 2], "holds no state dict"),
        (torch.ones(2), "holds no state dict"),
        ({"state_dict": {}}, "holds no state dict"),
        (
            {"weights": STATE},
            "weights is no tensor; a state dict may stand alone or under one of: state_dict, model_st",
        ),
        ({"a": torch.ones(1), "epoch": 3, 7: torch.ones(1)}, "epoch, 7 are no tensor"),
    ],
)
def test_no_state_dict(found: Any, says: str) -> None:
    with pytest.raises(ZoetropeError, match=says):
        unwrap(found, "the file")


@pytest.mark.parametrize("legacy", [False, True])
def test_objects_are_never_unpickled(tmp_path: Path, legacy: bool) -> None:
    touched, file = tmp_path / "touched", tmp_path / "bomb.pth"
    torch.save({"state_dict": STATE, "x": Bomb(touched)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ZoetropeError, match=r"bomb\.pth asks for a Python object to be unpickled .*save its state dict"
    ):
        read_state(file)
    file.write_bytes(pickle.dumps(Bomb(touched), protocol=2))
    with pytest.raises(ZoetropeError, match="asks for a Python object to be unpickled"):
        read_state(file)
    assert not touched.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("kept", [12, 0.5, 0.98])
def test_a_truncated_file_says_so(tmp_path: Path, kind: str, kept: float) -> None:
    file = tmp_path / "w"
    if kind == "safetensors":
        save_file(STATE, file)
    else:
        torch.save(STATE, file, _use_new_zipfile_serialization=kind == "zip")
    data = file.read_bytes()
    file.write_bytes(data[: int(kept if kept > 1 else len(data) * kept)])
    with pytest.raises(ZoetropeError, match="w is damaged or cut short, fetch it again"):
        read_state(file)


@pytest.mark.parametrize("data", [b"", b"PK", b"<!doctype html><p>404", b"\x00" * 64])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(data)
    with pytest.raises(ZoetropeError, match=r"w\.pth is (no weights file|damaged)"):
        read_state(file)


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ZoetropeError, match=r"there is no weights file .*none.pth; official ones have names such as"):
        read_state(tmp_path / "none.pth")
    with pytest.raises(ZoetropeError, match=r"cannot read weights from ftp://.*: give a path, an http\(s\) URL or"):
        read_state("ftp://example.org/w.pth")


# What asks for code, and the way out.


class Shell:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("exit 3",)


def refusal(file: Path) -> str:
    with pytest.raises(ZoetropeError) as caught:
        read_state(file)
    return str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_is_named(tmp_path: Path, legacy: bool) -> None:
    """Also that of modules which torch blocks before all others, and says so in other words."""
    file = tmp_path / "w.pth"
    for code, name in ((Shell(), "posix.system"), (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear")):
        torch.save({"state_dict": STATE, "x": code}, file, _use_new_zipfile_serialization=not legacy)
        assert f"(it asks for {name}, which is code), and is refused" in refusal(file)


def test_the_way_out_is_a_command_that_works(tmp_path: Path) -> None:
    """It runs in this process here, as starting another one takes seconds."""
    file = tmp_path / "it's.pth"
    model = torch.nn.Linear(3, 2)
    torch.save({"model": model, "ema": {"state_dict": STATE}, "epoch": 3, "code": Shell()}, file)
    python, dash_c, program = shlex.split(refusal(file).partition("save its state dict alone: ")[2])
    assert (python, dash_c) == ("python", "-c")
    exec(program, {})
    saved = f"{file}.tensors.pth"
    assert torch.equal(read_state(f"{saved}#model")["weight"], model.weight)
    assert same(read_state(f"{saved}#ema/state_dict"))


def test_formats_that_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save(STATE, file, pickle_protocol=4)
    with pytest.warns(UserWarning, match="Detected pickle protocol 4"):
        assert "was pickled by protocol 4 or later, which torch does not read safely" in refusal(file)
    file.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    assert "is a pickle that torch.save did not write" in refusal(file)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:'torch.load' received a zip file:UserWarning")
def test_torchscript_is_code(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "w.pt")
    assert "asks for a TorchScript program, which is code" in refusal(tmp_path / "w.pt")


# Sizes and headers that a file claims.


def deflated(state: dict[str, torch.Tensor], folder: Path) -> Path:
    torch.save(state, folder / "stored.pth")
    with zipfile.ZipFile(folder / "stored.pth") as old, zipfile.ZipFile(folder / "w.pth", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return folder / "w.pth"


def test_an_archive_may_be_compressed_but_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = deflated({"a": torch.zeros(1 << 20)}, tmp_path)
    size = file.stat().st_size
    assert size < 10_000
    assert read_state(file)["a"].shape == (1 << 20,)
    monkeypatch.setattr("models.weights.read.LEAST_UNPACKED_BYTES", 1 << 20)
    assert f"has {size} bytes and would unpack to 419" in refusal(file)
    assert "more than 20 times as many, which is refused" in refusal(file)
    assert same(read_state(deflated(STATE, tmp_path)))


@pytest.mark.parametrize(
    ("header", "claimed_bytes", "says"),
    [
        (b"{}", 1 << 63, "header too large"),
        (b"{}", 1 << 40, "header too large"),
        (b"{}", 1 << 20, "invalid header length"),
        (b'{"a":' * 500, None, "recursion limit exceeded"),
        (b'{"a":1}', None, "invalid type: integer `1`"),
        (b"{\xff}", None, "invalid UTF-8"),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}}', None, "overflow"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', None, "incomplete metadata"),
        (b'{"a":{"dtype":"X32","shape":[2],"data_offsets":[0,8]}}', None, "unknown variant `X32`"),
    ],
)
def test_hostile_headers(tmp_path: Path, header: bytes, claimed_bytes: int | None, says: str) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(struct.pack("<Q", claimed_bytes or len(header)) + header)
    assert "w.safetensors is damaged or cut short, fetch it again" in refusal(file)
    assert says in refusal(file)


# Places and entries.


def test_an_entry_and_a_folder(tmp_path: Path) -> None:
    torch.save({"state_dict": {"b": torch.ones(1)}, "state_dict_ema": STATE}, tmp_path / "w.pth")
    assert same(read_state(f"{tmp_path}/w.pth#state_dict_ema"))
    assert list(read_state(tmp_path / "w.pth")) == ["b"]
    save_file(STATE, tmp_path / "model.safetensors")
    assert set(read_state(tmp_path)) == set(STATE)


def test_what_the_hub_may_have_moved_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    asked = []

    def fetch(url: str, **options: Any) -> Path:
        asked.append((url.partition("/resolve/")[2], options.get("moving", False)))
        return tmp_path / "w.pth"

    monkeypatch.setattr("models.weights.read.fetch", fetch)
    commit = "0123456789abcdef" * 2 + "01234567"
    for source in ("hf://org/name/w.pth#a", f"hf://org/name@{commit}/w.pth", "https://a.org/x/resolve/w.pth"):
        read_state(source)
    assert asked == [("main/w.pth", True), (f"{commit}/w.pth", False), ("w.pth", False)]
