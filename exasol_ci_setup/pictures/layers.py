"""Where the boxes of a graph go: in layers from left to right, each thing to the right of all that it refers to.

The steps are those of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981): layers by the
longest path, a place in each layer that a longer line passes, and in each layer an order by the middle of the neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Node: TypeAlias = "str | tuple[str, str, int]"
"""A thing by its name; or where a line from one thing to another passes a layer."""

_SWEEPS: Final = 12


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers from left to right, and for each line, by what refers and what it refers to, the nodes that it touches on its way."""

    layers: tuple[tuple[Node, ...], ...]
    lines: Mapping[tuple[str, str], tuple[Node, ...]]


def arrange(edges: Mapping[str, Sequence[str]]) -> Layers:
    """Return where each name stands: `edges` holds what it refers to, which stands in an earlier layer.

    What refers to itself in a circle is drawn all the same: the reference that closes the circle has a line, and does not decide on layers.
    """
    depth = _depths(edges)
    found: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in edges:
        found[depth[name]].append(name)
    lines: dict[tuple[str, str], tuple[Node, ...]] = {}
    for name, used in edges.items():
        for each in used:
            if each not in depth or each == name:
                continue
            step = -1 if depth[name] > depth[each] else 1
            passed: list[Node] = [(name, each, layer) for layer in range(depth[name] + step, depth[each], step)]
            for layer, node in zip(range(depth[name] + step, depth[each], step), passed, strict=True):
                found[layer].append(node)
            lines[name, each] = (name, *passed, each)
    left: dict[Node, list[Node]] = {}
    right: dict[Node, list[Node]] = {}
    for line in lines.values():
        for one, other in pairwise(line):
            left.setdefault(one, []).append(other)
            right.setdefault(other, []).append(one)
    for sweep in range(_SWEEPS):
        order = range(1, len(found)) if sweep % 2 == 0 else range(len(found) - 2, -1, -1)
        for at in order:
            _sort(found, at, left if sweep % 2 == 0 else right)
    return Layers(tuple(tuple(layer) for layer in found), lines)


def _depths(edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    # By hand and not by recursion, which would end at Python's limit for a long chain.
    underway: dict[str, Iterator[str]] = {}
    for first in edges:
        if first not in depth:
            underway[first] = iter(edges[first])
        while underway:
            name, left = next(reversed(underway.items()))
            following = next(
                (each for each in left if each in edges and each not in depth and each not in underway), None
            )
            if following is not None:
                underway[following] = iter(edges[following])
                continue
            del underway[name]
            # What is still under way closes a circle.
            depth[name] = 1 + max((depth[each] for each in edges[name] if each in depth), default=-1)
    return depth


def _sort(found: list[list[Node]], at: int, neighbours: Mapping[Node, Sequence[Node]]) -> None:
    """Order a layer by the middle of what its members are connected with."""
    # Each line has a node in every layer that it passes, so neighbours are in the layers beside this one.
    beside = found[max(at - 1, 0) : at + 2]
    place = {node: index / max(len(layer), 1) for layer in beside for index, node in enumerate(layer)}

    def middle(node: Node) -> float:
        near = [place[each] for each in neighbours.get(node, ())]
        return sum(near) / len(near) if near else place[node]

    found[at].sort(key=middle)
