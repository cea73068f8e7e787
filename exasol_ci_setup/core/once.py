"""Values that are created once, also if several threads request them at the same time."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K")
V = TypeVar("V")


class Once(Generic[K, V]):
    """Values by key. No lock is held during the creation of a value, which may take as long as a call of AWS."""

    def __init__(self) -> None:
        self._values: dict[K, Future[V]] = {}
        self._lock = Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key: from `make`, or from the first thread that requested it. If `make` raises, it is called again later."""
        while True:
            with self._lock:
                value = self._values.get(key)
                is_first = value is None
                if value is None:
                    value = self._values[key] = Future()
            if is_first:
                self._fill(key, value, make)
            if value.exception() is None or is_first:
                return value.result()

    def _fill(self, key: K, value: Future[V], make: Callable[[], V]) -> None:
        try:
            value.set_result(make())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that made it
            with self._lock:
                del self._values[key]
            value.set_exception(error)
