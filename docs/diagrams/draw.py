"""Draw the diagrams: each YAML file here becomes the PNG that it names. Needs Graphviz; `make diagrams` runs it."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from html import escape
from pathlib import Path
from typing import Any

import yaml

from exasol_ci_setup.pictures.graphviz import draw

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEY = b"exasol-ci-setup source"  # of the text in a PNG that has the digest of its source

# Inches.
WIDTH, LANE, BOX, ROW, HEAD, TITLE = 15.3, 5.1, (4.4, 1.7), 2.3, 1.0, 1.0
DPI = 100
INK, LINE = "#1f2933", "#52606d"
# Fill and line of a lane.
COLORS = {
    "GitHub": ("#eef2f6", "#5b7083"),
    "exasol-ci-setup": ("#e8f3ec", "#3c7a55"),
    "AWS": ("#fdf1e3", "#b5722a"),
}


def sources() -> list[Path]:
    """Return the files that describe diagrams."""
    return sorted(HERE.glob("*.yaml"))


def digest(source: Path) -> str:
    """Return the text of a PNG that this program drew from this source."""
    return hashlib.sha256(source.read_bytes() + b"\0" + Path(__file__).read_bytes()).hexdigest()


def target(source: Path) -> Path:
    """Return the PNG that a source names."""
    return ROOT / yaml.safe_load(source.read_text(encoding="utf-8"))["output"]


def png(source: Path) -> bytes:
    """Return a diagram as PNG, with the digest of its source."""
    drawn = draw(graph(yaml.safe_load(source.read_text(encoding="utf-8"))), "png", layout="neato", dpi=DPI)
    text = b"tEXt" + KEY + b"\0" + digest(source).encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    end = drawn.rindex(b"IEND") - 4
    return drawn[:end] + chunk + drawn[end:]


def graph(data: dict[str, Any]) -> str:
    """Return a diagram in the language DOT. Each lane is a column, and each box has a fixed position."""
    rows = 1 + max(box["row"] for box in data["boxes"])
    height = HEAD + rows * ROW
    lines = [
        "digraph {",
        '  graph [splines="line", outputorder="nodesfirst", bgcolor="white", pad="0.3"]',
        '  node [shape="box", fontname="Helvetica,Arial,DejaVu Sans,sans-serif", fixedsize="true"]',
        f'  edge [color="{LINE}", penwidth="2.5", arrowsize="1.2"]',
        _node("title", (WIDTH / 2, height + TITLE / 2), label=data["title"], shape="none", fontsize=32, fontcolor=INK),
    ]
    for number, name in enumerate(data["lanes"]):
        fill, line = COLORS[name]
        center = LANE / 2 + number * LANE
        lines += [
            _node(f"lane {number}", (center, height / 2), label="", style="rounded,filled", fillcolor=fill, color=fill)
            + f' "lane {number}" [width="{LANE - 0.12}", height="{height}"]',
            _node(f"head {number}", (center, height - 0.5), label=name, shape="plain", fontsize=26, fontcolor=line),
        ]
    places = {box["id"]: (LANE * (box["lane"] + 0.5), height - HEAD - ROW * (box["row"] + 0.5)) for box in data["boxes"]}
    for box in data["boxes"]:
        lines += _box(box, places[box["id"]], COLORS[data["lanes"][box["lane"]]][1])
    for number, arrow in enumerate(data["arrows"]):
        if isinstance(arrow, dict):
            lines += _around(number, arrow["from"], arrow["to"], places)
        else:
            style = ' [style="dashed"]' if len(arrow) > 2 else ""
            lines.append(f"  {_text(arrow[0])} -> {_text(arrow[1])}{style}")
    return "\n".join([*lines, "}"])


def _box(box: dict[str, Any], place: tuple[float, float], line: str) -> list[str]:
    kind = box.get("kind", "")
    style = {"width": BOX[0], "height": BOX[1], "style": "rounded,filled", "fillcolor": "white", "color": line, "penwidth": 2}
    shadows = [
        _node(f"{box['id']} {shift}", (place[0] + shift, place[1] - shift), label="", **style)
        for shift in ((0.16, 0.08) if kind == "many" else ())
    ]
    if kind == "store":
        style["shape"] = "cylinder"
    head = f'<font color="{line}" point-size="21"><b>{escape(box["title"])}</b></font><br/><font point-size="5"> </font>'
    label = "<" + "<br/>".join([head, *map(escape, box["text"].split("\n"))]) + ">"
    return [*shadows, _node(box["id"], place, fontsize=18, fontcolor=INK, **style) + f" {_text(box['id'])} [label={label}]"]


def _around(number: int, start: str, end: str, places: dict[str, tuple[float, float]]) -> list[str]:
    """Return an arrow to a box two lanes away, through the space above the row of the lower box."""
    above = min(places[start][1], places[end][1]) + ROW / 2
    right = 1 if places[start][0] < places[end][0] else -1
    corners = []
    for name, side in ((start, right), (end, -right)):
        x, y = places[name]
        edge = y + (BOX[1] / 2 if above > y else -BOX[1] / 2)
        corners += [(x + side * BOX[0] / 4, edge), (x + side * BOX[0] / 4, above)]
    ids = [_text(f"arrow {number} {corner}") for corner in range(4)]
    points = [corners[0], corners[1], corners[3], corners[2]]
    return [
        *(f'  {each} [shape="point", width="0.01", style="invis", pos="{x},{y}!"]' for each, (x, y) in zip(ids, points, strict=True)),
        f'  {ids[0]} -> {ids[1]} -> {ids[2]} [arrowhead="none"]',
        f"  {ids[2]} -> {ids[3]}",
    ]


def _node(name: str, place: tuple[float, float], **attributes: Any) -> str:
    shown = ", ".join(f"{key}={_text(str(value))}" for key, value in attributes.items())
    return f'  {_text(name)} [pos="{place[0]},{place[1]}!", {shown}]'


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    for each in sources():
        target(each).write_bytes(png(each))
        print(target(each).relative_to(ROOT))
