"""What a file is by its extension: taken, passed over, or what to do about it."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from pipeline.base.bands import RGB, Bands
from pipeline.decode.limits import ARRAY_EXTENSIONS, CONVERT, IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from pipeline.recipe.section import Modality

EXTENSIONS: Final[Mapping[Modality, frozenset[str]]] = {"image": IMAGE_EXTENSIONS, "video": VIDEO_EXTENSIONS}


def extensions_of(modality: Modality, bands: Bands = RGB) -> frozenset[str]:
    """Return the extensions of a task's samples; `.npy` is one of pictures that are stored as arrays."""
    arrays = modality == "image" and not bands.as_files
    return EXTENSIONS[modality] | (ARRAY_EXTENSIONS if arrays else frozenset())


PAPERS = frozenset(
    {
        ".txt",
        ".md",
        ".rst",
        ".pdf",
        ".html",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".toml",
        ".log",
    }
    | {".py", ".ipynb", ".sh", ".mat", ".pkl"}
)
"""What lies beside samples and is none, so that a folder of these alone is no class."""
MOST_KINDS = 20


def kind(suffix: str) -> str:
    """Return how files of an extension are counted; without signs that do not print."""
    return "".join(c if c.isprintable() else "?" for c in suffix) or "without an extension"


def refusal(suffix: str, modality: Modality) -> str | None:
    """Tell why files of an extension are no samples of a task, and what to do; None where they may be."""
    if suffix in EXTENSIONS[modality]:
        return None
    for other, extensions in EXTENSIONS.items():
        if suffix in extensions:
            return f"{suffix} is an extension of {other}s, and task.kind asks for {modality}s"
    wanted = ", ".join(sorted(EXTENSIONS[modality]))
    return CONVERT.get(suffix, f"its extension {suffix!r} is not one of {wanted}")


def counted(others: Mapping[str, int]) -> str:
    """Count how many of which kind, the most frequent first: "3 x .txt, 1 x .heic"."""
    most = Counter(others).most_common(MOST_KINDS)
    more = len(others) - len(most)
    left = f", and {sum(others.values()) - sum(count for _, count in most):,} of {more:,} more kinds" if more else ""
    return ", ".join(f"{count:,} x {what}" for what, count in most) + left
