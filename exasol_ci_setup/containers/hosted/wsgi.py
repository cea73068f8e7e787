"""The application for gunicorn and other servers: ``gunicorn --worker-class asgi exasol_ci_setup.containers.hosted.wsgi:app``.

One process serves a state directory. Further workers of gunicorn wait here, and replace the first one when it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.hosted.locks import DirectoryLock
from exasol_ci_setup.containers.hosted.settings import Settings, deploy_key
from exasol_ci_setup.core.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT)


@contextlib.contextmanager
def _end_on_signals() -> Iterator[None]:
    """End the process on signals. The handlers of gunicorn run only in its event loop, which has not started."""
    before = {number: signal.signal(number, lambda *_: sys.exit(0)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
            # As gunicorn's event loop sets it.
            signal.siginterrupt(number, False)


try:
    _settings, _key = Settings(), deploy_key(os.environ)
    with _end_on_signals():
        _lock = DirectoryLock(_settings.state, wait=True)
    # Not before: a waiting process needs little memory.
    from exasol_ci_setup.containers.hosted.app import create_app

    app = create_app(_settings, _key)
    app.state.directory_lock = _lock
except SetupError as error:
    sys.exit(f"error: {error}" + (f"\n\nhint: {error.hint}" if error.hint else ""))
