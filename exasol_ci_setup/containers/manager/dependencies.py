"""Detection of cycles between images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a cycle as a chain of names, such as (a, b, a), or an empty tuple if no cycle exists."""
    done: set[str] = set()
    for start in needs:
        # Each entry is a name on the current path, with its neighbors that are not visited yet.
        path: list[tuple[str, list[str]]] = [(start, list(needs[start]))] if start not in done else []
        while path:
            name, left = path[-1]
            if not left:
                done.add(name)
                path.pop()
                continue
            next_name = left.pop(0)
            names_on_path = [each for each, _ in path]
            if next_name in names_on_path:
                return (*names_on_path[names_on_path.index(next_name) :], next_name)
            if next_name not in done:
                path.append((next_name, list(needs.get(next_name, ()))))
    return ()
