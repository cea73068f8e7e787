"""An AWS endpoint on this machine, for a first run without an account and for tests.

What is exported here needs the standard library only; the endpoint itself (`sandbox.server` and what it imports) needs the
extra ``sandbox`` and runs in a process of its own, or in a thread of a test session.
"""

from __future__ import annotations

from exasol_ci_setup.sandbox.daemon import End, Endpoint, ensure, environment, find, misleading_variables, reset, stop

__all__ = ["End", "Endpoint", "ensure", "environment", "find", "misleading_variables", "reset", "stop"]
