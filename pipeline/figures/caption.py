"""A drawing as a picture of its own: its words stand above it."""

import io

from PIL import Image, ImageDraw

from pipeline.figures.drawing import Drawing
from pipeline.figures.figures import film_strip
from pipeline.figures.fonts import drawable, drawing_font

LEAST_PX = 240
"""Smaller pictures are enlarged to that width, pixel by pixel, so that words have room."""
QUALITY = 92


def captioned(drawing: Drawing) -> bytes:
    """Encode a drawing as JPEG, its words above it."""
    picture = Image.fromarray(film_strip(drawing.pixels))
    factor = -(-LEAST_PX // picture.width)
    if factor > 1:
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    words = drawable(drawing.words)
    font = drawing_font(words, max(14, picture.width // 30))
    while words and font.getlength(words) > picture.width:
        words = words.removesuffix("...")[:-1] + "..." if len(words) > 4 else ""
    height = sum(font.getmetrics()) + 6
    sheet = Image.new("RGB", (picture.width, picture.height + height), "white")
    sheet.paste(picture, (0, height))
    ImageDraw.Draw(sheet).text((4, 3), words, fill="black", font=font)
    file = io.BytesIO()
    sheet.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
