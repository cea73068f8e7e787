"""Progress of uploads and downloads: a bar in a terminal, otherwise a line for each quarter."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.cli.render import show
from exasol_ci_setup.cli.render.fitting import GAP
from exasol_ci_setup.cli.render.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from exasol_ci_setup.cli.output import Output

_PARTS: Final = 4
_BAR: Final = 30  # columns of the bar
_SHORTEST_BAR: Final = 10
_SHORTEST_TITLE: Final = 8


class TransferView(View):
    """Context manager that shows the progress of a transfer; `title` is for example ``uploading a.zip``.

    `clock` returns monotonic seconds.
    """

    def __init__(self, output: Output, title: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(output, clock=clock)
        self._title = title
        self._has_begun = False
        self._total = 0
        self._before = 0
        self._done = 0
        self._step = 0

    def progress(self, done: int = 0, total: int | None = None, /) -> None:
        """Show that `done` of `total` bytes are transferred; the first call shows the start, or where the transfer resumes."""
        if total is None:
            super().progress()
        elif not self._has_begun:
            self._begin(done, total)
        else:
            self._advance(done)

    def _begin(self, done: int, total: int) -> None:
        self._has_begun = True
        self._total, self._before, self._done = total, done, done
        self._step = self._reached()
        if self._terminal is None:
            resumed = f", resuming after {_amount(done)}" if done else ""
            self._say(show.clean(f"{self._title}: {_amount(total)}{resumed}"))

    def _advance(self, done: int) -> None:
        self._done = done
        before, self._step = self._step, self._reached()
        if self._terminal is None and self._step > before:
            self._say(show.clean(self._progress()))
        else:
            super().progress()

    def _reached(self) -> int:
        return self._done * _PARTS // self._total if self._total else _PARTS

    def _progress(self) -> str:
        return f"{self._title}: {self._percent()} of {_amount(self._total)}"

    def _percent(self) -> str:
        return f"{self._done * 100 // self._total if self._total else 100} %"

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if not self._has_begun:
            return Group()
        seconds = max(self._clock() - self._started, 0.001)
        title = Text(show.clean(self._title), style="bold")
        amount = f"{_amount(self._done)} of {_amount(self._total)}"
        rate = f"{_amount(int((self._done - self._before) / seconds))}/s"
        cells = [title, Text(self._percent()), Text(amount), Text(rate, style="dim")]
        width = self._terminal.width if self._terminal is not None else None
        rest = _BAR if width is None else width - sum(cell.cell_len + GAP for cell in cells)
        if rest < _SHORTEST_BAR:
            # A long title: it is shortened, and the bar is omitted.
            title.truncate(max(title.cell_len + rest + GAP, _SHORTEST_TITLE), overflow="ellipsis")
        bar = ProgressBar(total=max(self._total, 1), completed=self._done if self._total else 1, width=min(rest, _BAR))
        row: list[RenderableType] = [*cells[:1], *([bar] if rest >= _SHORTEST_BAR else []), *cells[1:]]
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
        for _ in row:
            table.add_column(no_wrap=True)
        table.add_row(*row)
        return table


def _amount(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
