"""A small artifact, published; and what of it lies in the store."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.store import Artifact, Store
from pipeline.store.objects import Objects
from tests.pipeline.store.s3_server import BUCKET

MANIFEST: dict[str, Any] = {"version": 1, "values": {}, "inputs": {}, "outside": None, "code": {}, "facts": {"n": 3}}
SHA_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def publish(store: Store, fingerprint: str = "f1", text: str = "abc", **options: Any) -> Artifact:
    """An artifact of one file, `a/x.txt`."""
    with store.work("shard", fingerprint) as work:
        (work.out / "a").mkdir(exist_ok=True)
        (work.out / "a/x.txt").write_text(text)
        (work.scratch / "part").write_text("p")
        return store.publish(work, MANIFEST, **options)


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is fetched or worked on goes to an empty cache from now on."""
    monkeypatch.setenv("ZOETROPE_CACHE", str(tmp_path / "other-cache"))


def keys(folder: str = "") -> list[str]:
    """What a bucket's store holds."""
    return sorted(Objects(f"s3://{BUCKET}").list(f"runs/{folder}".rstrip("/")))
