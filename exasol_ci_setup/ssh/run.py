"""One command on a connected machine: what it writes to both outputs, and how it ends."""

from __future__ import annotations

import re
import select
import time
from typing import TYPE_CHECKING, Final, TypedDict

from exasol_ci_setup.errors import SSHError, TimedOut

if TYPE_CHECKING:
    from paramiko import Channel, Transport

_PIECE: Final = 1 << 16
# Paramiko may miss to tell that one output has more while the other is emptied, as it does both without a lock.
_LONGEST_LOOK: Final = 0.25
_OPENING: Final = 30.0
_NAME: Final = re.compile(r"\s*([A-Za-z0-9_./-]{1,40})")


class CommandResult(TypedDict):
    r"""What became of a command.

    Bytes that are not UTF-8 are shown as ``\xNN``. `exit_status` is -1 if a signal ended the command.
    """

    command: str
    stdout: str
    stderr: str
    exit_status: int


def shown(command: str) -> str:
    """Return what may be told of a command: the name that it begins with, since the rest may hold a secret."""
    name = _NAME.match(command)
    return f"'{name[1] if name else ''}…'"


def run(transport: Transport, command: str, *, host: str, timeout: float | None) -> CommandResult:
    """Run `command` in the user's shell on the machine, with nothing on its stdin, and return when its outputs are closed.

    `host` is the machine in the words of errors. Raises TimedOut after `timeout` seconds (None: never), SSHError if the connection breaks.
    """
    from paramiko import SSHException

    deadline = None if timeout is None else time.monotonic() + timeout
    late = TimedOut(
        f"the command on {host} took longer than {timeout:g} s: {shown(command)}" if timeout is not None else "",
        hint="it may go on there: the connection was closed, which ends a program when it next writes",
    )
    try:
        with transport.open_session(timeout=_OPENING if timeout is None else min(timeout, _OPENING)) as channel:
            channel.exec_command(command)
            channel.shutdown_write()
            stdout, stderr = _outputs(channel, deadline, late)
            if not channel.status_event.wait(_left(deadline)):
                raise late
            status = channel.exit_status
    except (SSHException, EOFError, OSError) as error:
        if deadline is not None and time.monotonic() >= deadline:
            raise late from error
        raise _lost(host, command) from error
    # -1 stands for "the other side did not say", which is what a signal leaves, and a connection that is gone.
    if status == -1 and not transport.is_active():
        raise _lost(host, command)
    return CommandResult(command=command, stdout=_text(stdout), stderr=_text(stderr), exit_status=status)


def _outputs(channel: Channel, deadline: float | None, late: TimedOut) -> tuple[bytes, bytes]:
    """Read both outputs as they come, since a program that cannot write one of them stands still."""
    stdout, stderr = bytearray(), bytearray()
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        # Known before the rest is read, so that nothing comes in between.
        ended = channel.eof_received or channel.closed
        while channel.recv_ready():
            stdout += channel.recv(_PIECE)
        while channel.recv_stderr_ready():
            stderr += channel.recv_stderr(_PIECE)
        if ended:
            return bytes(stdout), bytes(stderr)
        left = _left(deadline)
        if left == 0:
            raise late
        poll.poll(1000 * min(_LONGEST_LOOK, _LONGEST_LOOK if left is None else left))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _lost(host: str, command: str) -> SSHError:
    return SSHError(
        f"the connection to {host} broke while a command ran: {shown(command)}",
        hint="the command may have run to its end, in part, or not at all",
    )


def _text(written: bytes) -> str:
    return written.decode("utf-8", errors="backslashreplace")
