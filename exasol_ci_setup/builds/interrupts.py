"""Ctrl-C while something is made or removed on AWS: it waits for the answer, so that nothing is left behind unnamed."""

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

_PATIENCE: Final = 4.0  # seconds
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DeferredSignals:
    """Holds back, while it is open as a context manager, the first signal that would interrupt the call; the second one does.

    After a few seconds without an answer the first one interrupts it too.

    `pressed` says whether one was held back, which its owner has to see to, as `deliver` does. Signals without a handler
    of Python's keep their effect, and so do all of them outside the main thread, which is where handlers run.
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
        """Raise KeyboardInterrupt if a signal was held back."""
        if self.pressed:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            self._before[number](number, frame)
        self.pressed = True
        # Not a Thread: the signal may have come while one is being started, which holds a lock.
        _thread.start_new_thread(self._press_again, (number,))

    def _press_again(self, number: int) -> None:
        time.sleep(_PATIENCE)
        if self._is_open:
            os.kill(os.getpid(), number)
