"""An exported model's folder: the files in it, and whether they are as they were written.

safetensors compares nothing when it reads: a flipped bit in the weights is other weights, and other answers.
"""

import hashlib
from pathlib import Path

from pipeline.base.errors import ZoetropeError

FILES = ("model.safetensors", "recipe.yaml", "classes.json")
SUMS = "SHA256SUMS"
"""The digests of `FILES`, as `sha256sum` writes them; they go wherever the folder is copied."""


def write_sums(folder: Path) -> None:
    """Write down what the files are now."""
    (folder / SUMS).write_text(_sums(folder))


def check_whole(folder: Path) -> None:
    """Read the files wholly; ZoetropeError for one that is not as it was exported, or that cannot be read.

    A folder of an older version has no list of its own and is compared with the manifest of the artifact that it is in;
    a copy of such a folder cannot be compared.
    """
    if (folder / SUMS).is_file():
        listed = set((folder / SUMS).read_text(errors="replace").splitlines())
        for line, name in zip(_sums(folder).splitlines(), FILES, strict=True):
            if line not in listed:
                raise ZoetropeError(
                    f"{folder / name}: this file is damaged, its sha256 is not that in {SUMS}; "
                    "`python -m pipeline run RECIPE --rerun export` makes it again"
                )
        return
    from pipeline.store.artifact import MANIFEST, Artifact, parse_manifest

    path = folder.parent / MANIFEST
    if folder.name == "model" and path.is_file() and (manifest := parse_manifest(path.read_bytes())):
        for name in FILES:
            Artifact(folder.parent, manifest).whole(f"model/{name}")


def _sums(folder: Path) -> str:
    def digest(name: str) -> str:
        try:
            with (folder / name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ZoetropeError(f"{folder / name}: cannot be read: {error.strerror}") from error

    return "".join(f"{digest(name)}  {name}\n" for name in FILES)
