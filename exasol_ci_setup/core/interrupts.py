"""Ctrl-C during a change on AWS or a Docker engine: wait for the answer, so that every created resource is known."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from typing_extensions import Self

_MAX_DELAY_SECONDS: Final = 4.0  # seconds
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DeferredSignals:
    """Defer the first signal while the context is open; the second one interrupts.

    The first signal also interrupts after a few seconds without an answer.

    `pressed` is true if a signal was deferred. The owner then has to raise it, as `deliver` does. Signals without a Python handler keep their
    effect; so do all signals outside of the main thread, which runs the handlers.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._is_open = False
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Self:
        self._is_open = True
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
        self._is_open = False
        for number, before in self._before.items():
            signal.signal(number, before)

    def deliver(self) -> None:
        """Raise KeyboardInterrupt if a signal was deferred."""
        if self.pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            self._before[number](number, frame)
        self.pressed = True
        # Not a Thread: the signal may arrive while one is being started, which holds a lock.
        _thread.start_new_thread(self._press_again, (number,))

    def _press_again(self, number: int) -> None:
        time.sleep(_MAX_DELAY_SECONDS)
        if self._is_open:
            os.kill(os.getpid(), number)
