"""Layered graph layout: each box is in a layer to the right of all boxes that it refers to.

The steps are those of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981): assign layers
by the longest path, add a node where a line crosses a layer, and sort each layer by the average position of the neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Node: TypeAlias = "str | tuple[str, str, int]"
"""The name of a box; or a point where a line (from, to) crosses a layer (index)."""

_ITERATIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers from left to right, and the nodes of each line by its (from, to) names."""

    layers: tuple[tuple[Node, ...], ...]
    lines: Mapping[tuple[str, str], tuple[Node, ...]]


def arrange(edges: Mapping[str, Sequence[str]]) -> Layers:
    """Assign each name to a layer to the right of the names that it refers to, which are its `edges`.

    A reference that closes a cycle gets a line, but does not affect the layers.
    """
    depth = _depths(edges)
    layers: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in edges:
        layers[depth[name]].append(name)
    lines: dict[tuple[str, str], tuple[Node, ...]] = {}
    for name, used in edges.items():
        for each in used:
            if each not in depth or each == name:
                continue
            step = -1 if depth[name] > depth[each] else 1
            crossings: list[Node] = [(name, each, layer) for layer in range(depth[name] + step, depth[each], step)]
            for layer, node in zip(range(depth[name] + step, depth[each], step), crossings, strict=True):
                layers[layer].append(node)
            lines[name, each] = (name, *crossings, each)
    left: dict[Node, list[Node]] = {}
    right: dict[Node, list[Node]] = {}
    for line in lines.values():
        for one, other in pairwise(line):
            left.setdefault(one, []).append(other)
            right.setdefault(other, []).append(one)
    for iteration in range(_ITERATIONS):
        order = range(1, len(layers)) if iteration % 2 == 0 else range(len(layers) - 2, -1, -1)
        for at in order:
            _sort(layers, at, left if iteration % 2 == 0 else right)
    return Layers(tuple(tuple(layer) for layer in layers), lines)


def _depths(edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    # No recursion: a long chain would exceed Python's recursion limit.
    in_progress: dict[str, Iterator[str]] = {}
    for first in edges:
        if first not in depth:
            in_progress[first] = iter(edges[first])
        while in_progress:
            name, remaining = next(reversed(in_progress.items()))
            unvisited = next(
                (each for each in remaining if each in edges and each not in depth and each not in in_progress), None
            )
            if unvisited is not None:
                in_progress[unvisited] = iter(edges[unvisited])
                continue
            del in_progress[name]
            # An edge to a name that is still in progress closes a cycle.
            depth[name] = 1 + max((depth[each] for each in edges[name] if each in depth), default=-1)
    return depth


def _sort(layers: list[list[Node]], at: int, neighbors: Mapping[Node, Sequence[Node]]) -> None:
    """Sort a layer by the average position of the neighbors of its nodes."""
    # Lines have a node in every layer that they cross, so all neighbors are in adjacent layers.
    adjacent = layers[max(at - 1, 0) : at + 2]
    position = {node: index / max(len(layer), 1) for layer in adjacent for index, node in enumerate(layer)}

    def average_position(node: Node) -> float:
        near = [position[each] for each in neighbors.get(node, ())]
        return sum(near) / len(near) if near else position[node]

    layers[at].sort(key=average_position)
