"""One command on a connected machine: its outputs and its exit status."""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs.runtime import CommandResult
from exasol_ci_setup.core.errors import SSHError, TimedOutError

if TYPE_CHECKING:
    from paramiko import Channel, Transport

_CHUNK_BYTES: Final = 1 << 16
# Paramiko updates the readiness of the two outputs without a lock, so an event can be lost.
_MAX_POLL_SECONDS: Final = 0.25
_OPEN_SECONDS: Final = 30.0
_NAME: Final = re.compile(r"\s*([A-Za-z0-9_./-]{1,40})")


def redact(command: str) -> str:
    """Return the name of the program in a command; the rest may contain a secret."""
    name = _NAME.match(command)
    return f"'{name[1] if name else ''}…'"


def run(transport: Transport, command: str, *, host: str, timeout: float | None) -> CommandResult:
    """Run `command` in the user's shell with an empty stdin, and return when its outputs are closed.

    `host` is the machine in error messages. Raises TimedOutError after `timeout` seconds (None: never), and SSHError if the connection
    breaks.
    """
    from paramiko import SSHException

    deadline = None if timeout is None else time.monotonic() + timeout
    timeout_error = TimedOutError(
        f"the command on {host} took longer than {timeout:g} s: {redact(command)}" if timeout is not None else "",
        hint="it may still run on the machine until it writes output: the connection was closed",
    )
    try:
        with transport.open_session(
            timeout=_OPEN_SECONDS if timeout is None else min(timeout, _OPEN_SECONDS)
        ) as channel:
            channel.exec_command(command)
            channel.shutdown_write()
            stdout, stderr = _read_outputs(channel, deadline, timeout_error)
            if not channel.status_event.wait(_remaining_seconds(deadline)):
                raise timeout_error
            status = channel.exit_status
    except (SSHException, EOFError, OSError) as error:
        if deadline is not None and time.monotonic() >= deadline:
            raise timeout_error from error
        raise _connection_lost(host, command) from error
    # -1 means that no status was sent: a signal ended the command, or the connection is lost.
    if status == -1 and not transport.is_active():
        raise _connection_lost(host, command)
    return CommandResult(command=command, stdout=_decode(stdout), stderr=_decode(stderr), exit_status=status)


def _read_outputs(channel: Channel, deadline: float | None, timeout_error: TimedOutError) -> tuple[bytes, bytes]:
    """Read both outputs concurrently: a program blocks if one of them is full."""
    stdout, stderr = bytearray(), bytearray()
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        # Checked before the reads below, so that no output arrives after the last read.
        ended = channel.eof_received or channel.closed
        while channel.recv_ready():
            stdout += channel.recv(_CHUNK_BYTES)
        while channel.recv_stderr_ready():
            stderr += channel.recv_stderr(_CHUNK_BYTES)
        if ended:
            return bytes(stdout), bytes(stderr)
        left = _remaining_seconds(deadline)
        if left == 0:
            raise timeout_error
        poll.poll(1000 * min(_MAX_POLL_SECONDS, _MAX_POLL_SECONDS if left is None else left))


def _remaining_seconds(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _connection_lost(host: str, command: str) -> SSHError:
    return SSHError(
        f"the connection to {host} broke while a command ran: {redact(command)}",
        hint="the command may have run completely, partly, or not at all",
    )


def _decode(output: bytes) -> str:
    return output.decode("utf-8", errors="backslashreplace")
