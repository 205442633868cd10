"""The caps that docs/security.md lists are those of the code."""

import re
from pathlib import Path

from augment import policy
from models.weights import fetch
from pipeline.base import plain_yaml
from pipeline.decode import limits, objects
from pipeline.recipe.load import MAX_FILE_BYTES, MAX_FILES
from pipeline.shards import tars
from pipeline.sources import adopted, annotated, path_or_url, pictures, safe_xml, tables

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()

CAPS = {
    "image, bytes": limits.MAX_IMAGE_BYTES,
    "image, pixels": limits.MAX_IMAGE_PIXELS,
    "video, bytes": limits.MAX_VIDEO_BYTES,
    "video, pixels of a frame": limits.MAX_VIDEO_PIXELS,
    "video, frames": limits.MAX_VIDEO_FRAMES,
    "video, seconds": limits.MAX_VIDEO_DURATION_S,
    "memory to read and store a sample, bytes": limits.MAX_SAMPLE_MEMORY_BYTES,
    "table, bytes": tables.MAX_TABLE_BYTES,
    "table, rows": tables.MAX_ROWS,
    "annotation file, bytes": annotated.MAX_ANNOTATION_BYTES,
    "annotations of one image, bytes": pictures.MAX_ANNOTATION_BYTES,
    "XML file, bytes": safe_xml.MAX_BYTES,
    "objects of one image": objects.MAX_OBJECTS,
    "tar that is used where it lies, bytes": adopted.MAX_TAR_BYTES,
    "tar, members": tars.MAX_MEMBERS,
    "weights from the web, bytes": fetch.MAX_BYTES,
    "recipe, bytes": MAX_FILE_BYTES,
    "recipe, values": plain_yaml.MAX_VALUES,
    "recipe, depth": plain_yaml.MAX_DEPTH,
    "recipes in a chain of `extends`": MAX_FILES,
    "policy file, bytes": policy._MAX_BYTES,
}


def test_the_caps_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert {what: int(most.replace(",", "")) for what, most, _ in rows} == CAPS
    assert all((ROOT / where).is_file() for *_, where in rows)


def test_the_protocols_are_those_of_the_code() -> None:
    assert all(f"`{protocol}`" in PAGE for protocol in path_or_url.PROTOCOLS)
