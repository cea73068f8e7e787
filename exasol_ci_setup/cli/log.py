"""The log of a command: records of this program on stderr, by the level of --log-level."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.text import LOG_FORMAT

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session

_LEVELS: Final = {"normal": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


class _Log(logging.Handler):
    """Writes log records through `Output`, so that one thread writes all lines. Holds no lock."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record without acquiring the handler's lock."""
        is_accepted = bool(self.filter(record))
        if is_accepted:
            self.emit(record)
        return is_accepted

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self._session.output.say(self.format(record))


def set_level(session: Session, level: str) -> None:
    """Write records from this `level` on, which is a value of --log-level, to the output of the session."""
    handler = _Log(session)
    handler.setFormatter(logging.Formatter(LOG_FORMAT, "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], force=True)
    # Not botocore's loggers: they write the signatures and bodies of requests.
    logging.getLogger("exasol_ci_setup").setLevel(_LEVELS[level])
    # botocore logs a traceback if credentials cannot be renewed; the command reports that error itself.
    for name in ("botocore.credentials", "botocore.tokens"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
