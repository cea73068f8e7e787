"""SSH connections with pinned host keys, direct or through jump hosts, with retries while a machine boots."""

from __future__ import annotations

import errno
import logging
import re
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError, SSHError, SSHRefusedError, SSHUnreachableError, TimedOutError
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.ssh import keys
from exasol_ci_setup.ssh.known_hosts import HostKey, KnownHosts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paramiko import Channel, PKey, Transport

    from exasol_ci_setup.core.clock import Clock

BOOT_TIMEOUT_SECONDS: Final = 300.0
"""How long a machine that was just started may take to answer; Ubuntu on EC2 takes about one minute."""

_ATTEMPT_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 2.0
# TCP_USER_TIMEOUT: the connection fails after so many milliseconds without an acknowledgment of sent data.
_UNACKNOWLEDGED_MILLISECONDS: Final = 60_000
_KEEPALIVE_SECONDS: Final = 15
_HIGHEST_PORT: Final = 65_535

# While a machine boots, its address is unreachable, its port is closed, or it closes new connections.
_TRANSIENT_ERRORS: Final = frozenset(
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
# The message of pam_nologin until the machine has booted.
_BOOTING: Final = "booting up"

_JUMP: Final = re.compile(
    r"(?:(?P<user>[^@\s,]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^@\s,:\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class Host:
    """The address and user of a connection.

    `name` identifies the machine in the known hosts, because another machine may get the same address.
    """

    address: str
    user: str
    port: int = 22
    name: str = ""

    @property
    def known_hosts_name(self) -> str:
        """The name in the file of known hosts; the default is the address in the form of OpenSSH."""
        return self.name or (self.address if self.port == 22 else f"[{self.address}]:{self.port}")  # noqa: PLR2004 - the port of SSH

    def __str__(self) -> str:
        text = f"{self.user}@{self.address}"
        return text if self.port == 22 else f"{text}:{self.port}"  # noqa: PLR2004 - the port of SSH


def parse_jumps(text: str, user: str) -> list[Host]:
    """Parse jump hosts in the form of `ssh -J`: ``[USER@]HOST[:PORT],…``; `user` is the default user.

    Raises InputError.
    """
    found = []
    for part in text.split(","):
        match = _JUMP.fullmatch(part.strip())
        port = int(match["port"] or 22) if match else 0
        if match is None or not 0 < port <= _HIGHEST_PORT:
            raise InputError(
                f"{part!r} is not a jump host", hint="use `[USER@]HOST[:PORT]`; separate several with commas"
            )
        found.append(Host(match["v6"] or match["host"], match["user"] or user, port))
    return found


class _NotReadyError(Exception):
    """An attempt failed with an error that also occurs while a machine boots."""

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
    boot_timeout: float = BOOT_TIMEOUT_SECONDS,
) -> Transport:
    """Connect to the last machine of `route` through the others; `stack` closes the connections.

    If a machine does not answer, retry for up to `boot_timeout` seconds. Then raise SSHUnreachableError, or TimedOutError if the machine
    accepted a connection but sent nothing. Raises SSHRefusedError, HostKeyChangedError, SSHKeyUnusableError and SSHError without a retry.
    """
    _require_paramiko()
    key = _find_key(key_file, stack)
    began = clock.now()
    while True:
        left = began + boot_timeout - clock.now()
        with ExitStack() as opened:
            try:
                transport = _attempt(route, key, key_file, known_hosts, opened, min(_ATTEMPT_SECONDS, max(left, 1.0)))
            except _NotReadyError as error:
                failed = error
            else:
                stack.push(opened.pop_all())
                return transport
        left = began + boot_timeout - clock.now()
        if left <= 0:
            kind = TimedOutError if failed.is_silent else SSHUnreachableError
            raise kind(
                f"{failed.host} did not answer for {boot_timeout:g} s: {failed.why}",
                hint="check that the machine runs, and that its security group allows this address and port",
            ) from failed
        clock.sleep(min(_PAUSE_SECONDS, left))


def _require_paramiko() -> None:
    try:
        import paramiko  # noqa: F401 - checks that it is installed
    except ImportError as error:
        raise SSHError(
            f"commands on instances need Paramiko, which is not installed: {error}",
            hint=f"`{install_command('ssh')}`",
        ) from error


def _find_key(path: Path, stack: ExitStack) -> PKey:
    from paramiko import Agent, SSHException

    try:
        agent = Agent()
    except (SSHException, OSError):
        # An agent that does not answer is ignored. Without a socket, Paramiko returns an empty agent.
        return keys.load(path)
    stack.callback(agent.close)
    return keys.find(path, agent)


def _attempt(
    route: Sequence[Host], key: PKey, key_file: Path, known_hosts: KnownHosts, opened: ExitStack, seconds: float
) -> Transport:
    transport: Transport | None = None
    for host in route:
        transport = _open_transport(host, transport, opened, seconds)
        _exchange_keys(transport, host, known_hosts, seconds)
        _authenticate(transport, host, key, key_file)
    if transport is None:
        raise ValueError("no machine to connect to")
    return transport


def _open_transport(host: Host, through: Transport | None, opened: ExitStack, seconds: float) -> Transport:
    """Return a transport to `host` that has not sent any data."""
    from paramiko import Transport

    # Paramiko logs each failed attempt with a traceback, so its log is off unless debug logging is on.
    log = logging.getLogger(f"{__name__}.paramiko")
    log.setLevel(logging.NOTSET if log.parent and log.parent.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
    line = _connect_directly(host, seconds) if through is None else _connect_through(through, host, seconds)
    opened.callback(line.close)
    transport = Transport(line)
    opened.callback(transport.close)
    transport.set_log_channel(log.name)
    return transport


def _connect_directly(host: Host, seconds: float) -> socket.socket:
    try:
        line = socket.create_connection((host.address, host.port), timeout=seconds)
    except TimeoutError as error:
        raise _NotReadyError(host, f"no connection within {seconds:g} s", is_silent=True) from error
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise _NotReadyError(host, str(error.strerror)) from error
        raise SSHUnreachableError(f"host name {host.address!r} cannot be resolved: {error.strerror}") from error
    except OSError as error:
        if error.errno not in _TRANSIENT_ERRORS:
            raise SSHUnreachableError(f"{host} cannot be reached: {error.strerror or error}") from error
        raise _NotReadyError(host, error.strerror or str(error)) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS)
    return line


def _connect_through(jump: Transport, host: Host, seconds: float) -> Channel:
    from paramiko import ChannelException, SSHException

    try:
        return jump.open_channel("direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=seconds)
    except ChannelException as error:
        if error.code == _CONNECT_FAILED:
            raise _NotReadyError(host, f"the jump host cannot connect: {error.text}") from error
        raise SSHError(
            f"the jump host does not connect to {host}: {error.text}",
            hint="check `AllowTcpForwarding` in the sshd_config of the jump host",
        ) from error
    except (SSHException, EOFError, OSError) as error:
        raise _NotReadyError(host, f"the jump host does not answer: {error}", is_silent=True) from error


def _exchange_keys(transport: Transport, host: Host, known_hosts: KnownHosts, seconds: float) -> None:
    """Exchange keys, and verify the host key of the machine."""
    from paramiko import SSHException
    from paramiko.ssh_exception import IncompatiblePeer

    known = known_hosts.find_key(host.known_hosts_name)
    if known is not None:
        # A machine has several host keys. It uses the type that the client requests first.
        options = transport.get_security_options()
        wanted = [kind for kind in options.key_types if kind in _signature_algorithms(known.kind)]
        options.key_types = (*wanted, *(kind for kind in options.key_types if kind not in wanted))
    # Longer than the timeout of start_client, so that only that timeout applies.
    transport.banner_timeout = 2 * seconds
    try:
        transport.start_client(timeout=seconds)
        if not transport.initial_kex_done:
            raise _NotReadyError(host, f"no data within {seconds:g} s", is_silent=True)
        host_key = transport.get_remote_server_key()
    except IncompatiblePeer as error:
        raise SSHError(f"{host} and this machine have no common SSH algorithm: {error}") from error
    except (SSHException, EOFError, OSError) as error:
        raise _NotReadyError(host, f"the SSH handshake failed: {error}") from error
    known_hosts.verify_or_pin(host.known_hosts_name, HostKey(host_key.get_name(), host_key.asbytes()))
    transport.set_keepalive(_KEEPALIVE_SECONDS)


def _signature_algorithms(kind: str) -> tuple[str, ...]:
    """Return the signature algorithms of a key of type `kind`; those of an RSA key have other names."""
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)


def _authenticate(transport: Transport, host: Host, key: PKey, key_file: Path) -> None:
    from paramiko import AuthenticationException, SSHException

    try:
        further = transport.auth_publickey(host.user, key)
    except (SSHException, EOFError, OSError) as error:
        banner = transport.get_banner() or b""
        is_gone = not transport.is_active() or not isinstance(error, AuthenticationException)
        if is_gone or _BOOTING in banner.decode("utf-8", errors="replace"):
            raise _NotReadyError(host, f"the machine closed the connection: {error}") from error
        raise SSHRefusedError(
            f"{host.address} rejects user {host.user!r} with the key {str(key_file)!r}",
            hint="check both: the user of Ubuntu images is `ubuntu`, and an instance accepts only the key that it was created with",
        ) from error
    if further:
        raise SSHRefusedError(f"{host.address} needs more than a key from user {host.user!r}: {', '.join(further)}")
