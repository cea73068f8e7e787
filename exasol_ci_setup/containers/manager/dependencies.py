"""The order that images need each other in, and the circles that there must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def circle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a chain of names that leads back to its beginning, such as (a, b, a), or nothing if there is none."""
    done: set[str] = set()
    for start in needs:
        # The way to the name that is looked at, and of each name on it those that are still to be followed.
        way: list[tuple[str, list[str]]] = [(start, list(needs[start]))] if start not in done else []
        while way:
            name, left = way[-1]
            if not left:
                done.add(name)
                way.pop()
                continue
            following = left.pop(0)
            on_the_way = [each for each, _ in way]
            if following in on_the_way:
                return (*on_the_way[on_the_way.index(following) :], following)
            if following not in done:
                way.append((following, list(needs.get(following, ()))))
    return ()
