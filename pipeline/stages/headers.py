"""What ingest reads of each file: its header, and of a mask the values. A Ray task a part of the files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.bands import RGB, Bands
from pipeline.base.errors import ZoetropeError
from pipeline.decode.limits import BadSample
from pipeline.feed.apart import each_apart
from pipeline.sources import path_or_url
from pipeline.sources.listing import Candidate, Masks
from pipeline.sources.rows import BadRow, Row
from pipeline.sources.things import names_in, settled

if TYPE_CHECKING:
    from pipeline.decode.probe import Kind, Probe
    from pipeline.decode.values import Values


def probe_chunk(
    modality: "Kind",
    timeout_s: float,
    part: Sequence[Candidate],
    meaning: Mapping[str, Masks] = {},
    bands: Bands = RGB,
) -> tuple[list[Row], list[BadRow]]:
    """Rows of the readable files, and quarantine rows of the others, one that takes longer than `timeout_s` too.

    meaning: what the masks mean, by the name of the source
    bands: what the pictures are
    """
    good: list[Row] = []
    bad: list[BadRow] = []
    limit_s = timeout_s + path_or_url.away_s(path for one in part for path in (one.path, *one.members.values()))
    values = {name: of.values for name, of in meaning.items()}
    headers = each_apart(header_of, [(one, modality, values.get(one.source or ""), bands) for one in part], limit_s)
    for one, header in zip(part, headers, strict=True):
        if isinstance(header, ZoetropeError) and not isinstance(header, BadSample):
            raise header
        try:
            if isinstance(header, BadSample):
                raise header
            good.append(_row(one, header))
        except BadSample as error:
            bad.append({"source": one.key, "stage": "ingest", "reason": error.reason})
    return good, bad


def _row(one: Candidate, header: "Probe") -> Row:
    """Return the row of a sample. BadSample where its objects are of another picture."""
    row: Row = {
        "path": one.path,
        "key": one.key,
        "classes": one.labels,
        "split": one.split,
        "width": header.width,
        "height": header.height,
        "frames": header.frames,
        "fps": header.fps,
        "duration_s": header.duration_s,
        "bytes": header.bytes,
    }
    if one.start_s is not None or one.end_s is not None:
        row["start_s"], row["end_s"] = one.start_s, one.end_s
    if one.source is not None:
        row["source"] = one.source
    if one.frames:
        row["frame_folder"] = asdict(one.frames)
    if one.members:
        row["members"] = dict(one.members)
    if one.objects is not None:
        found = settled(one.objects, header.width, header.height)
        row["objects"], row["classes"] = found.objects, names_in(found.objects)
        row["settled"] = (found.dropped, found.fits, found.reading)
    if one.outlines is not None:
        row["outlines"] = dict(one.outlines)
    if header.values:
        row["values"] = dict(header.values)
    return row


def header_of(candidate: Candidate, modality: "Kind", values: "Values | None" = None, bands: Bands = RGB) -> "Probe":
    """Read what the header says of a sample, and look at those of its companions. BadSample when it cannot be one.

    values: what those of its mask mean; then it is decoded, and they are counted
    """
    from pipeline.decode.limits import MAX_IMAGE_BYTES
    from pipeline.decode.members import MEMBERS, naming

    header = _own_header(candidate, modality, bands)
    for name, path in candidate.members.items():
        member = MEMBERS[name]
        with naming(name), path_or_url.opened(path) as file:
            member.probe(file, header.width, header.height, values)
            if values is not None and member.count is not None:
                file.seek(0)
                header = replace(header, values=member.count(file.read(MAX_IMAGE_BYTES), values))
    if candidate.outlines is not None and values is not None:
        header = replace(header, values=_drawn_values(candidate.outlines, header, values))
    return header


def _drawn_values(outlines: Mapping[str, Any], header: "Probe", values: "Values") -> Mapping[int, int]:
    """Count the pixels of each value of the mask that is drawn of annotations."""
    from pipeline.decode.masks import count_mask
    from pipeline.decode.outlines import draw_mask

    if (said := tuple(outlines["size"])) != (header.width, header.height):
        raise BadSample(
            f"its annotations are of {said[0]} x {said[1]} pixels, and it has {header.width} x {header.height} as it "
            "is shown"
        )
    return count_mask(draw_mask(outlines["objects"], header.width, header.height), values)


def _own_header(candidate: Candidate, modality: "Kind", bands: Bands) -> "Probe":
    from pipeline.decode.cut import probe_segment
    from pipeline.decode.frames import probe_frames
    from pipeline.decode.probe import check_suffix, probe_file

    segment = (candidate.start_s, candidate.end_s)
    if candidate.frames:
        made = probe_frames(Path(candidate.path), candidate.frames.pattern, candidate.frames.fps)
        return made if segment == (None, None) else probe_segment(made, *segment)
    check_suffix(path_or_url.suffix(candidate.path), modality, bands)
    with path_or_url.opened(candidate.path) as file:
        if segment == (None, None):
            return probe_file(file, modality, bands=bands)
        return probe_segment(probe_file(file, modality, whole=False), *segment)
