"""Draws the diagrams: each YAML file here becomes the PNG that it names. Needs Pillow; run it by `make diagrams`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEY = "exasol-ci-setup source"  # of the text in a PNG that says from what it was drawn

# Twice the width at which they are shown, so that they are sharp on any screen.
WIDTH, MARGIN, GAP = 1600, 40, 60
TITLE, HEAD, BOX, ROW = 110, 70, 170, 230
INK, PAPER, LINE = "#1f2933", "#ffffff", "#52606d"
# Of a lane: what it is filled with, and what its boxes are drawn with.
COLOURS = {
    "GitHub": ("#eef2f6", "#5b7083"),
    "exasol-ci-setup": ("#e8f3ec", "#3c7a55"),
    "AWS": ("#fdf1e3", "#b5722a"),
}


@dataclass(frozen=True)
class Box:
    """A box on the page, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def middle(self) -> tuple[int, int]:
        """Its centre."""
        return (self.left + self.right) // 2, (self.top + self.bottom) // 2


def sources() -> list[Path]:
    """Return the files that describe diagrams."""
    return sorted(HERE.glob("*.yaml"))


def digest(source: Path) -> str:
    """Return what a PNG drawn from this source by this program carries."""
    return hashlib.sha256(source.read_bytes() + b"\0" + Path(__file__).read_bytes()).hexdigest()


def target(source: Path) -> Path:
    """Return the PNG that a source names."""
    return ROOT / yaml.safe_load(source.read_text(encoding="utf-8"))["output"]


def draw(source: Path) -> None:
    """Draw one diagram."""
    from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

    data: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    rows = 1 + max(box["row"] for box in data["boxes"])
    height = TITLE + HEAD + rows * ROW + MARGIN
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(picture)
    fonts = {size: ImageFont.load_default(size) for size in (27, 32, 36, 46)}

    lane_width = (WIDTH - 2 * MARGIN) // len(data["lanes"])
    pen.text((WIDTH // 2, TITLE // 2), data["title"], INK, fonts[46], anchor="mm", stroke_width=0.6)
    for number, name in enumerate(data["lanes"]):
        left = MARGIN + number * lane_width
        pen.rounded_rectangle((left + 6, TITLE - 10, left + lane_width - 6, height - 20), 18, COLOURS[name][0])
        pen.text((left + lane_width // 2, TITLE + HEAD // 2 - 4), name, COLOURS[name][1], fonts[36], anchor="mm", stroke_width=0.5)

    boxes = {box["id"]: _place(box, lane_width) for box in data["boxes"]}
    fills = [COLOURS[name][0] for name in data["lanes"]]
    for arrow in data["arrows"]:
        if isinstance(arrow, dict):
            _around(pen, boxes[arrow["from"]], boxes[arrow["to"]], fills)
        else:
            _arrow(pen, boxes[arrow[0]], boxes[arrow[1]], fills, dashed=len(arrow) > 2)
    for box in data["boxes"]:
        _box(pen, boxes[box["id"]], box, COLOURS[data["lanes"][box["lane"]]][1], fonts)

    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, digest(source))
    picture.quantize(64).save(target(source), pnginfo=info, optimize=True)


def _place(box: dict[str, Any], lane_width: int) -> Box:
    left = MARGIN + box["lane"] * lane_width + GAP // 2
    top = TITLE + HEAD + box["row"] * ROW + 10
    return Box(left, top, left + lane_width - GAP, top + BOX)


def _box(pen: Any, place: Box, box: dict[str, Any], edge: str, fonts: dict[int, Any]) -> None:
    kind = box.get("kind", "")
    outline = (place.left, place.top, place.right, place.bottom)
    if kind == "many":
        for shift in (16, 8):
            pen.rounded_rectangle(
                (place.left + shift, place.top + shift, place.right + shift, place.bottom + shift), 16, PAPER, edge, 3
            )
    pen.rounded_rectangle(outline, 16 if kind != "store" else 46, PAPER, edge, 3)
    x = place.middle[0]
    pen.text((x, place.top + 42), box["title"], edge, fonts[32], anchor="mm", stroke_width=0.5)
    for number, line in enumerate(box["text"].split("\n")):
        pen.text((x, place.top + 86 + number * 38), line, INK, fonts[27], anchor="mm")


def _arrow(pen: Any, start: Box, end: Box, fills: list[str], *, dashed: bool) -> None:
    """Draw an arrow between two boxes of one row or of one lane."""
    if start.top == end.top:
        right = start.left < end.left
        points = [(start.right if right else start.left, start.middle[1]), (end.left if right else end.right, end.middle[1])]
    else:
        points = [(start.middle[0], start.bottom), (end.middle[0], end.top)]
    _line(pen, points, fills, dashed=dashed)


def _around(pen: Any, start: Box, end: Box, fills: list[str]) -> None:
    """Draw an arrow to a box two lanes away, through the space above the row of the lower box."""
    lower = max(start.top, end.top)
    above = lower - (ROW - BOX) // 2
    towards = 90 if start.left < end.left else -90
    first = (start.middle[0] + towards, start.top)
    if end.top < lower:
        last = (end.middle[0] - towards, end.bottom)
    else:
        last = (end.middle[0] - towards, end.top)
    _line(pen, [first, (first[0], above), (last[0], above), last], fills)


def _line(pen: Any, points: list[tuple[int, int]], fills: list[str], *, dashed: bool = False) -> None:
    """Draw a line of straight parts with a head; where it crosses the middle of a lane, what is there already makes room."""
    lane_width = (WIDTH - 2 * MARGIN) // len(fills)
    for (x1, y1), (x2, y2) in zip(points, points[1:], strict=False):
        for number, fill in enumerate(fills):
            middle = MARGIN + number * lane_width + lane_width // 2
            if min(x1, x2) < middle - 20 and max(x1, x2) > middle + 20:
                pen.rectangle((middle - 10, y1 - 10, middle + 10, y1 + 10), fill)
        length = max(abs(x2 - x1), abs(y2 - y1))
        step_x, step_y = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
        for at in range(0, length, 22 if dashed else max(length, 1)):
            until = min(at + (12 if dashed else length), length)
            pen.line((x1 + step_x * at, y1 + step_y * at, x1 + step_x * until, y1 + step_y * until), LINE, 4)
    (x1, y1), (x2, y2) = points[-2:]
    back_x, back_y = (x2 < x1) - (x2 > x1), (y2 < y1) - (y2 > y1)
    side_x, side_y = back_y, back_x
    pen.polygon(
        [
            (x2, y2),
            (x2 + 20 * back_x + 10 * side_x, y2 + 20 * back_y + 10 * side_y),
            (x2 + 20 * back_x - 10 * side_x, y2 + 20 * back_y - 10 * side_y),
        ],
        LINE,
    )


if __name__ == "__main__":
    for each in sources():
        draw(each)
        print(target(each).relative_to(ROOT))
