"""Pictures of simple shapes, and their conversion to SVG and PNG."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any, Final, TypeAlias

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.origin import install_command

BACKGROUND: Final = "#ffffff"
INK: Final = "#1f2933"
QUIET: Final = "#7b8794"
# Width of an average letter relative to the font size, for the widest common fonts.
_LETTER_WIDTH: Final = 0.58
# PNG pixels per unit, for high-resolution screens.
_SCALE: Final = 2
_ARROW_LENGTH: Final = 7
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with its upper left corner at `x` and `y`, in pixels; `hint` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
    radius: float = 4
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; with `arrow`, it has an arrowhead at its end."""

    points: tuple[tuple[float, float], ...]
    color: str = QUIET
    width: float = 1
    arrow: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text. `x` is its start, middle or end, depending on `anchor`; `y` is its baseline."""

    x: float
    y: float
    text: str
    size: float = 13
    color: str = INK
    anchor: str = "start"
    bold: bool = False


Shape: TypeAlias = Box | Line | Text


@dataclass(frozen=True, slots=True)
class Picture:
    """Shapes on a white background, later ones on top; `title` describes the picture."""

    width: float
    height: float
    title: str
    shapes: tuple[Shape, ...]


def width_of(text: str, size: float = 13) -> float:
    """Return the approximate width of a text, in pixels."""
    return len(text) * size * _LETTER_WIDTH


def svg(picture: Picture) -> str:
    """Return the picture as an SVG document."""
    width, height = _number(picture.width), _number(picture.height)
    fonts = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{fonts}">',
        f"<title>{_xml_text(picture.title)}</title>",
        f'<rect width="{width}" height="{height}" fill="{BACKGROUND}"/>',
        *(_svg(shape) for shape in picture.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def png(picture: Picture) -> bytes:
    """Return the picture as a PNG of twice its size. Raises InputError if Pillow is missing."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise InputError(
            "cannot write a PNG: Pillow is missing",
            hint=f"`{install_command('pictures')}`, or write an SVG, which does not need Pillow",
        ) from error
    image = Image.new("RGB", (round(picture.width * _SCALE), round(picture.height * _SCALE)), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for shape in picture.shapes:
        if isinstance(shape, Box):
            corners = [each * _SCALE for each in (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)]
            outline = None if shape.stroke == "none" else shape.stroke
            fill = None if shape.fill == "none" else shape.fill
            radius = min(shape.radius, shape.width / 2, shape.height / 2) * _SCALE
            draw.rounded_rectangle(corners, radius=radius, fill=fill, outline=outline, width=_SCALE)
        elif isinstance(shape, Line):
            points = [(x * _SCALE, y * _SCALE) for x, y in shape.points]
            draw.line(points, fill=shape.color, width=max(round(shape.width * _SCALE), 1), joint="curve")
            if shape.arrow:
                draw.polygon([(x * _SCALE, y * _SCALE) for x, y in _head(shape)], fill=shape.color)
        else:
            font: Any = ImageFont.load_default(shape.size * _SCALE)
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
            stroke = 1 if shape.bold else 0
            position = (shape.x * _SCALE, shape.y * _SCALE)
            draw.text(position, shape.text, fill=shape.color, font=font, anchor=anchor, stroke_width=stroke)
    stream = BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _svg(shape: Shape) -> str:
    if isinstance(shape, Box):
        hint = f"<title>{_xml_text(shape.hint)}</title>" if shape.hint else ""
        geometry = " ".join(
            f'{name}="{_number(value)}"'
            for name, value in (
                ("x", shape.x),
                ("y", shape.y),
                ("width", shape.width),
                ("height", shape.height),
                ("rx", shape.radius),
            )
        )
        return f'<rect {geometry} fill="{shape.fill}" stroke="{shape.stroke}">{hint}</rect>'
    if isinstance(shape, Line):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
        line = f'<polyline points="{points}" fill="none" stroke="{shape.color}" stroke-width="{_number(shape.width)}"/>'
        if not shape.arrow:
            return line
        head = " ".join(f"{_number(x)},{_number(y)}" for x, y in _head(shape))
        return f'{line}<polygon points="{head}" fill="{shape.color}"/>'
    weight = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{_number(shape.size)}" fill="{shape.color}" '
        f'text-anchor="{shape.anchor}"{weight}>{_xml_text(shape.text)}</text>'
    )


def _xml_text(text: str) -> str:
    """Escape text for XML and replace characters that XML forbids: https://www.w3.org/TR/xml/#charsets."""
    return escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def _head(line: Line) -> list[tuple[float, float]]:
    """Return the corners of the arrowhead at the end of a line."""
    (x1, y1), (x2, y2) = line.points[-2:]
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 0.001)
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    back_x, back_y = x2 - dx * _ARROW_LENGTH, y2 - dy * _ARROW_LENGTH
    side = _ARROW_LENGTH / 2.2
    return [(x2, y2), (back_x - dy * side, back_y + dx * side), (back_x + dy * side, back_y - dx * side)]


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
