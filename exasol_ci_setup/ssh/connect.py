"""A connection to a machine, straight or through others: tried again while the machine boots, with the host keys that are pinned."""

from __future__ import annotations

import errno
import logging
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.errors import InputError, SSHError, SSHRefused, SSHUnreachable, TimedOut
from exasol_ci_setup.origin import install_command
from exasol_ci_setup.ssh import keys
from exasol_ci_setup.ssh.known_hosts import HostKey, KnownHosts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paramiko import Channel, PKey, Transport

    from exasol_ci_setup.clock import Clock

PATIENCE: Final = 300.0
"""Seconds in which a machine that was just started has to answer; Ubuntu on EC2 takes about one minute."""

_ATTEMPT: Final = 10.0
_PAUSE: Final = 2.0
# A machine that is gone without a word is given up after so many milliseconds with data that it did not confirm.
_UNCONFIRMED: Final = 60_000
_KEEPALIVE: Final = 15
_HIGHEST_PORT: Final = 65_535

# A machine that boots has no such address yet, does not listen yet, or ends what it began to answer.
_PASSING: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
    }
)
# SSH_OPEN_CONNECT_FAILED: https://www.rfc-editor.org/rfc/rfc4254#section-5.1.
_CONNECT_FAILED: Final = 2
# pam_nologin says so until the machine is up.
_BOOTING: Final = "booting up"

_JUMP: Final = re.compile(
    r"(?:(?P<user>[^@\s,]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^@\s,:\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class Host:
    """Where to connect and as whom. `name` is what its key is pinned under: another machine at the same address has another one."""

    address: str
    user: str
    port: int = 22
    name: str = ""

    @property
    def pinned_as(self) -> str:
        """The name in the file of known hosts, by default the address as OpenSSH writes it there."""
        return self.name or (self.address if self.port == 22 else f"[{self.address}]:{self.port}")  # noqa: PLR2004 - SSH's own

    def __str__(self) -> str:
        shown = f"{self.user}@{self.address}"
        return shown if self.port == 22 else f"{shown}:{self.port}"  # noqa: PLR2004 - SSH's own


def jumps(text: str, user: str) -> list[Host]:
    """Return the machines of ``[USER@]HOST[:PORT],…``, as `ssh -J` takes them; `user` is that of those without one.

    Raises InputError.
    """
    found = []
    for part in text.split(","):
        match = _JUMP.fullmatch(part.strip())
        port = int(match["port"] or 22) if match else 0
        if match is None or not 0 < port <= _HIGHEST_PORT:
            raise InputError(f"{part!r} is no jump host", hint="use [USER@]HOST[:PORT], several with commas in between")
        found.append(Host(match["v6"] or match["host"], match["user"] or user, port))
    return found


class _NotYet(Exception):
    """An attempt failed in a way in which one fails while a machine boots."""

    def __init__(self, host: Host, why: str, *, is_silent: bool = False) -> None:
        super().__init__(why)
        self.host = host
        self.why = why
        self.is_silent = is_silent


def connect(
    route: Sequence[Host],
    *,
    key_file: Path,
    known_hosts: KnownHosts,
    clock: Clock,
    stack: ExitStack,
    patience: float = PATIENCE,
) -> Transport:
    """Connect to the last machine of `route` through those before it; `stack` closes what was opened.

    An attempt that fails because a machine does not answer is repeated until `patience` seconds have passed: then SSHUnreachable is
    raised, or TimedOut if the machine was silent. Raises SSHRefused, HostKeyChanged, SSHKeyUnusable and SSHError at once.
    """
    _require_paramiko()
    key = _key(key_file, stack)
    began = clock.now()
    while True:
        left = began + patience - clock.now()
        with ExitStack() as opened:
            try:
                transport = _attempt(route, key, key_file, known_hosts, opened, min(_ATTEMPT, max(left, 1.0)))
            except _NotYet as error:
                failed = error
            else:
                stack.push(opened.pop_all())
                return transport
        left = began + patience - clock.now()
        if left <= 0:
            kind = TimedOut if failed.is_silent else SSHUnreachable
            raise kind(
                f"{failed.host} did not answer for {patience:g} s: {failed.why}",
                hint="is the machine running, and does a security group let this address in on that port?",
            ) from failed
        clock.sleep(min(_PAUSE, left))


def _require_paramiko() -> None:
    try:
        import paramiko  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise SSHError(
            f"commands on instances need Paramiko, which is not installed: {error}",
            hint=f"`{install_command('ssh')}`",
        ) from error


def _key(path: Path, stack: ExitStack) -> PKey:
    from paramiko import Agent, SSHException

    try:
        agent = Agent()
    except (SSHException, OSError):
        # One that does not answer is as good as none. Without a socket this makes an agent that holds nothing.
        return keys.load(path)
    stack.callback(agent.close)
    return keys.find(path, agent)


def _attempt(
    route: Sequence[Host], key: PKey, key_file: Path, known_hosts: KnownHosts, opened: ExitStack, seconds: float
) -> Transport:
    transport: Transport | None = None
    for host in route:
        transport = _opened(host, transport, opened, seconds)
        _greet(transport, host, known_hosts, seconds)
        _log_in(transport, host, key, key_file)
    if transport is None:
        raise ValueError("no machine to connect to")
    return transport


def _opened(host: Host, through: Transport | None, opened: ExitStack, seconds: float) -> Transport:
    """Return the transport to `host`, before a word is said."""
    from paramiko import Transport

    # In its own words Paramiko logs every attempt that fails, with a traceback.
    log = logging.getLogger(f"{__name__}.paramiko")
    log.setLevel(logging.NOTSET if log.parent and log.parent.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
    line = _straight(host, seconds) if through is None else _through(through, host, seconds)
    opened.callback(line.close)
    transport = Transport(line)
    opened.callback(transport.close)
    transport.set_log_channel(log.name)
    return transport


def _straight(host: Host, seconds: float) -> socket.socket:
    try:
        line = socket.create_connection((host.address, host.port), timeout=seconds)
    except TimeoutError as error:
        raise _NotYet(host, f"no connection within {seconds:g} s", is_silent=True) from error
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _NotYet(host, str(error.strerror)) from error
        raise SSHUnreachable(f"there is no machine {host.address!r}: {error.strerror}") from error
    except OSError as error:
        if error.errno not in _PASSING:
            raise SSHUnreachable(f"{host} cannot be reached: {error.strerror or error}") from error
        raise _NotYet(host, error.strerror or str(error)) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNCONFIRMED)
    return line


def _through(jump: Transport, host: Host, seconds: float) -> Channel:
    from paramiko import ChannelException, SSHException

    try:
        return jump.open_channel("direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=seconds)
    except ChannelException as error:
        if error.code == _CONNECT_FAILED:
            raise _NotYet(host, f"the jump host says: {error.text}") from error
        raise SSHError(
            f"the jump host does not connect to {host}: {error.text}", hint="AllowTcpForwarding of its sshd rules that"
        ) from error
    except (SSHException, EOFError, OSError) as error:
        raise _NotYet(host, f"the jump host does not answer: {error}", is_silent=True) from error


def _greet(transport: Transport, host: Host, known_hosts: KnownHosts, seconds: float) -> None:
    """Agree on keys, and see that it is the machine that was seen before."""
    from paramiko import SSHException
    from paramiko.ssh_exception import IncompatiblePeer

    known = known_hosts.pinned(host.pinned_as)
    if known is not None:
        # A machine has several keys, and shows that of the type that is asked for first.
        options = transport.get_security_options()
        wanted = [kind for kind in options.key_types if kind in _signatures(known.kind)]
        options.key_types = (*wanted, *(kind for kind in options.key_types if kind not in wanted))
    # Longer than the whole may take, so that one limit decides.
    transport.banner_timeout = 2 * seconds
    try:
        transport.start_client(timeout=seconds)
        if not transport.initial_kex_done:
            raise _NotYet(host, f"it said nothing for {seconds:g} s", is_silent=True)
        shown = transport.get_remote_server_key()
    except IncompatiblePeer as error:
        raise SSHError(f"{host} and this machine have no way of encryption in common: {error}") from error
    except (SSHException, EOFError, OSError) as error:
        raise _NotYet(host, f"it does not speak SSH: {error}") from error
    known_hosts.require(host.pinned_as, HostKey(shown.get_name(), shown.asbytes()))
    transport.set_keepalive(_KEEPALIVE)


def _signatures(kind: str) -> tuple[str, ...]:
    """Return the algorithms by which a key of type `kind` signs: an RSA key is asked for by these names."""
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _log_in(transport: Transport, host: Host, key: PKey, key_file: Path) -> None:
    from paramiko import AuthenticationException, SSHException

    try:
        further = transport.auth_publickey(host.user, key)
    except (SSHException, EOFError, OSError) as error:
        banner = transport.get_banner() or b""
        is_gone = not transport.is_active() or not isinstance(error, AuthenticationException)
        if is_gone or _BOOTING in banner.decode("utf-8", errors="replace"):
            raise _NotYet(host, f"it ended the connection: {error}") from error
        raise SSHRefused(
            f"{host.address} does not let {host.user!r} in with the key {str(key_file)!r}",
            hint="a machine does not tell which of the two it does not know; the user of Ubuntu's images is ubuntu, "
            "and only the key that an instance was made with is known there",
        ) from error
    if further:
        raise SSHRefused(f"{host.address} wants more of {host.user!r} than a key: {', '.join(further)}")
