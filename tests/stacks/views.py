"""A view that remembers what it was shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from exasol_ci_setup.stacks.model import Event


class Shown:
    """Remembers events, notes and ticks."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notes: list[str] = []
        self.ticks: list[float] = []
        self.pressed: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def event(self, event: Event) -> None:
        self.events.append(event)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def tick(self, now: float) -> None:
        self.ticks.append(now)

    @property
    def lines(self) -> list[str]:
        """Status and logical id of each event, those of a resource's beginning only once."""
        lines = [f"{event.status} {event.logical_id}" for event in self.events]
        return [line for at, line in enumerate(lines) if at == 0 or lines[at - 1] != line]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]
