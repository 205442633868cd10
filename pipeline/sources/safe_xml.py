"""XML of strangers, without what makes it dangerous: no document type, so no entities, and no more than a cap."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from pipeline.decode.limits import BadSample

MAX_BYTES = 256 << 20
MAX_DEPTH = 100


def parse_xml(content: bytes, cap_bytes: int = MAX_BYTES) -> Element:
    """Parse an XML file. BadSample for what is none, is too large or too deep, or has a document type (DTD).

    A document type may define entities of entities, which take gigabytes, or entities that are other files.
    """
    if len(content) > cap_bytes:
        raise BadSample(f"its XML has {len(content):,} bytes, more than the {cap_bytes:,} allowed")
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise BadSample(f"its XML is nested more than {MAX_DEPTH} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*what: object) -> None:
        raise BadSample("its XML has a document type (<!DOCTYPE ...>), which no annotation needs; remove it")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except expat.ExpatError as error:
        raise BadSample(f"it is no XML: {error}") from None
    except (ValueError, LookupError):  # an encoding that nobody knows
        raise BadSample("it is no XML: its encoding is not known") from None
