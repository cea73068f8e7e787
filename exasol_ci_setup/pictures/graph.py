"""Diagram of the resources of templates and their references."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.pictures.canvas import INK, QUIET, Box, Line, Picture, Shape, Text, width_of
from exasol_ci_setup.pictures.layers import arrange
from exasol_ci_setup.template.intrinsics import as_mapping
from exasol_ci_setup.template.references import references

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exasol_ci_setup.pictures.layers import Node

_HEIGHT: Final = 44
_GAP_X: Final = 76
# Length of the horizontal segments at both ends of a line.
_STRAIGHT: Final = 16
_GAP_Y: Final = 18
# Height that a line needs where it crosses a layer.
_LINE_HEIGHT: Final = 6.0
_PADDING: Final = 18
_HEAD: Final = 30
_MARGIN: Final = 24
# Fill and stroke by AWS service.
_COLORS: Final = {
    "IAM": ("#fdecea", "#b3423a"),
    "S3": ("#e8f3ec", "#3c7a55"),
    "ECR": ("#e8f3ec", "#3c7a55"),
    "Logs": ("#f4eefb", "#7a5ba6"),
    "CodeBuild": ("#e9f0fb", "#38639d"),
    "ECS": ("#fdf1e3", "#b5722a"),
    "EC2": ("#fdf1e3", "#b5722a"),
}
_DEFAULT_COLORS: Final = ("#f1f4f7", "#52606d")


@dataclass(frozen=True, slots=True)
class GraphPart:
    """A stack in a diagram: its parsed template, and the names of the stacks whose outputs it uses."""

    name: str
    template: Mapping[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class _Layout:
    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)


def picture(parts: Sequence[GraphPart], *, title: str) -> Picture:
    """Return a diagram of the resources and references of each part; several parts have a frame each."""
    framed = len(parts) > 1
    contents = {part.name: _resources(part, framed=framed) for part in parts}
    whole = _arrange_boxes(
        {part.name: part.needs for part in parts},
        {name: (each.width, each.height) for name, each in contents.items()},
        INK,
    )
    shapes = list(whole.shapes)
    for name, (x, y) in whole.places.items():
        shapes += [_move(shape, x, y) for shape in contents[name].shapes]
    moved = [_move(shape, _MARGIN, _MARGIN) for shape in shapes]
    return Picture(whole.width + 2 * _MARGIN, whole.height + 2 * _MARGIN, title, tuple(moved))


def _resources(part: GraphPart, *, framed: bool) -> _Layout:
    declared = as_mapping(part.template.get("Resources"))
    types = {name: str(as_mapping(each).get("Type", "")) for name, each in declared.items()}
    sizes = {
        name: (max(width_of(name), width_of(_short(kind), 11)) + 2 * 12, float(_HEIGHT)) for name, kind in types.items()
    }
    placed = _arrange_boxes(references(part.template), sizes, QUIET)
    for name, (x, y) in placed.places.items():
        fill, stroke = _COLORS.get(_service(types[name]), _DEFAULT_COLORS)
        width = sizes[name][0]
        placed.shapes += [
            Box(x, y, width, _HEIGHT, fill, stroke, hint=f"{name}: {types[name]}"),
            Text(x + width / 2, y + 19, name, 13, INK, "middle", bold=True),
            Text(x + width / 2, y + 35, _short(types[name]), 11, stroke, "middle"),
        ]
    if not framed:
        return placed
    width = max(placed.width, width_of(part.name, 14))
    frame = Box(
        0, 0, width + 2 * _PADDING, placed.height + 2 * _PADDING + _HEAD, "#fbfcfd", "#cbd2d9", radius=8, hint=part.name
    )
    head = Text(_PADDING, _PADDING + 8, part.name, 14, INK, bold=True)
    inner = [_move(shape, _PADDING, _PADDING + _HEAD) for shape in placed.shapes]
    return _Layout(frame.width, frame.height, [frame, head, *inner])


def _arrange_boxes(edges: Mapping[str, Sequence[str]], sizes: Mapping[str, tuple[float, float]], color: str) -> _Layout:
    """Return the upper left corner of each box, and the lines between them."""
    layers = arrange(edges)

    def size(node: Node) -> tuple[float, float]:
        return sizes[node] if isinstance(node, str) else (0.0, _LINE_HEIGHT)

    columns = [max((size(node)[0] for node in layer), default=0.0) for layer in layers.layers]
    heights = [sum(size(node)[1] + _GAP_Y for node in layer) - _GAP_Y for layer in layers.layers]
    placed = _Layout(sum(columns) + _GAP_X * max(len(columns) - 1, 0), max(heights, default=0.0))
    # X coordinates from left to right: column, box, box, column. Lines are diagonal only between columns.
    sides: dict[Node, list[tuple[float, float]]] = {}
    x = 0.0
    for layer, column, height in zip(layers.layers, columns, heights, strict=True):
        y = (placed.height - height) / 2
        for node in layer:
            width, own = size(node)
            left = x + (column - width) / 2
            middle = y + own / 2
            ends = (x - _STRAIGHT, left, left + width, x + column + _STRAIGHT)
            sides[node] = [(end, middle) for end in ends]
            if isinstance(node, str):
                placed.places[node] = (left, y)
            y += own + _GAP_Y
        x += column + _GAP_X
    for line in layers.lines.values():
        points = sides[line[0]][1::-1]
        for node in line[1:-1]:
            points += [sides[node][3], sides[node][0]]
        points += sides[line[-1]][:1:-1]
        placed.shapes.append(Line(tuple(points), color, 1.2, arrow=True))
    return placed


def _move(shape: Shape, dx: float, dy: float) -> Shape:
    if isinstance(shape, Line):
        return Line(tuple((x + dx, y + dy) for x, y in shape.points), shape.color, shape.width, shape.arrow)
    if isinstance(shape, Box):
        return Box(
            shape.x + dx, shape.y + dy, shape.width, shape.height, shape.fill, shape.stroke, shape.radius, shape.hint
        )
    return Text(shape.x + dx, shape.y + dy, shape.text, shape.size, shape.color, shape.anchor, shape.bold)


def _short(kind: str) -> str:
    return kind.removeprefix("AWS::")


def _service(kind: str) -> str:
    return _short(kind).split("::", 1)[0]
