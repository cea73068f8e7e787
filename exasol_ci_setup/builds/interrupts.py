"""Ctrl-C while something is made or removed on AWS: it waits for the answer, so that nothing is left behind unnamed."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from typing_extensions import Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Held:
    """Holds back, while it is open as a context manager, the first signal that would break in; the second one does.

    `pressed` says whether one was held back, which its owner has to see to, as `deliver` does. Signals without a handler
    of Python's keep their effect, and so do all of them outside the main thread, which is where handlers run.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if callable(before):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def deliver(self) -> None:
        """Raise KeyboardInterrupt if a signal was held back."""
        if self.pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            self._before[number](number, frame)
        self.pressed = True
