"""Split the container's output into the build's output, with redacted secrets, and exit statuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN: Final = b"***"
_SHORTEST_SECRET: Final = 4  # characters; redacting shorter ones, such as "x", would make the output unreadable
_LONGEST_STATUS: Final = 4  # digits and the line break of an exit status


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret replaced by ``***``; a short secret only if it is the whole text."""
    for secret in sorted(secrets, key=len, reverse=True):
        if text == secret and secret:
            return HIDDEN.decode()
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN.decode())
    return text


class Splitter:
    """Splits a stream of bytes, in chunks of any size, into output and exit statuses.

    `marker` begins the agent's lines and must not occur in the output. Output is passed on immediately, also in the middle of a
    line. Only bytes that may begin a marker or a secret are held back.
    """

    def __init__(self, marker: str, secrets: Iterable[str] = ()) -> None:
        self._marker = marker.encode()
        needles = sorted(
            (secret.encode(errors="surrogateescape") for secret in secrets if len(secret) >= _SHORTEST_SECRET),
            key=lambda each: (-len(each), each),
        )
        self._needles = [self._marker, *needles]
        choices = [re.escape(self._marker) + rb"(?P<status>\d{1,3})\n", *map(re.escape, needles)]
        self._pattern = re.compile(b"|".join(choices))
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes | int]:
        """Yield the output and the exit statuses that `data` completes."""
        self._rest += data
        yield from self._split(keep=True)

    def end(self) -> Iterator[bytes | int]:
        """Yield the bytes held back, at the end of the stream."""
        yield from self._split(keep=False)

    def _split(self, *, keep: bool) -> Iterator[bytes | int]:
        text, at = self._rest, 0
        end = len(text) - (self._held_back_length(text) if keep else 0)
        for found in self._pattern.finditer(text):
            if found.start() >= end:
                break
            if found.start() > at:
                yield text[at : found.start()]
            at = found.end()
            status = found["status"]
            yield HIDDEN if status is None else int(status)
        end = max(at, end)
        self._rest = text[end:]
        if end > at:
            yield text[at:end]

    def _held_back_length(self, text: bytes) -> int:
        """Return the number of bytes at the end that may begin a marker or a secret."""
        begun = text.rfind(self._marker)
        if begun >= 0 and 0 <= len(text) - begun - len(self._marker) < _LONGEST_STATUS and b"\n" not in text[begun:]:
            return len(text) - begun
        longest = max(len(needle) for needle in self._needles) - 1
        for size in range(min(longest, len(text)), 0, -1):
            tail = text[-size:]
            if any(len(needle) > size and needle.startswith(tail) for needle in self._needles):
                return size
        return 0
