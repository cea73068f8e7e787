"""Run a local AWS endpoint, for a first run without an account and for tests.

This module needs the standard library only. The endpoint itself (`sandbox.server` and its imports) needs the extra ``sandbox``. It
runs in a separate process, or in a thread of a test session.
"""

from __future__ import annotations

from exasol_ci_setup.sandbox.daemon import (
    Endpoint,
    StopResult,
    ensure,
    environment,
    find,
    misleading_variables,
    reset,
    stop,
)

__all__ = ["Endpoint", "StopResult", "ensure", "environment", "find", "misleading_variables", "reset", "stop"]
