"""Errors of containers on this machine, of their HTTP services, and of SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.core.errors.base import InputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence


class NoSuchImage(InputError):
    """The configuration of the container manager has no image `wanted`; it has the `available` images."""

    code = "no-such-image"

    def __init__(self, wanted: str, available: Sequence[str]) -> None:
        super().__init__(f"the configuration has no image {wanted!r}")
        self.wanted = wanted
        self.available = tuple(available)


class EngineError(SetupError):
    """A request to the Docker engine failed; `status` is its HTTP status, or 0 without an answer."""

    code = "engine-failed"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineUnavailable(EngineError):
    """The Docker engine does not run or cannot be used."""

    code = "engine-unavailable"


class DockerFailed(EngineError):
    """The command `docker` failed; `exit_code` is its exit code."""

    code = "docker-failed"

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ImageNotBuilt(EngineError):
    """An image could not be built or pulled; `output` has the last lines of the build."""

    code = "image-not-built"

    def __init__(self, message: str, *, status: int = 0, output: Sequence[str] = ()) -> None:
        super().__init__(message, status=status)
        self.output = tuple(output)


class PortTaken(EngineError):
    """A requested port of the host is in use."""

    code = "port-taken"


class ContainerNotReady(EngineError):
    """A started container ended or missed its wait condition; `output` has its last lines."""

    code = "container-not-ready"

    def __init__(self, message: str, *, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class ShuttingDown(SetupError):
    """The container manager is shutting down and starts no containers."""

    code = "shutting-down"


class AppError(SetupError):
    """A request that changes an app of the hosted API failed."""

    code = "app-failed"


class AppNotFound(AppError):
    """The app, or its image, does not exist."""

    code = "app-not-found"


class AppConflict(AppError):
    """The request conflicts with the state of the app, with another app, or with another site of nginx."""

    code = "app-conflict"


class AppFailed(AppError):
    """The new container of an app does not run or does not answer."""

    code = "app-does-not-answer"


class KeyRefused(SetupError):
    """The request to the hosted API has no key or a wrong key."""

    code = "key-refused"


class TooManyAttempts(KeyRefused):
    """A caller has sent too many wrong keys; it may try again after `seconds`."""

    code = "too-many-attempts"

    def __init__(self, message: str, *, hint: str = "", seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class StateError(SetupError):
    """The state directory of the hosted API cannot be read or written."""

    code = "state-failed"


class DiskFull(StateError):
    """The disk with the state directory of the hosted API is full."""

    code = "disk-full"


class NginxError(SetupError):
    """Nginx is not installed, does not run, or a command of nginx failed."""

    code = "nginx-failed"


class NginxRefused(NginxError):
    """Nginx rejected a new configuration; the previous one was restored."""

    code = "nginx-refused"


class CertificateError(SetupError):
    """A domain has no certificate, or nginx does not use it."""

    code = "certificate-failed"


class SSHError(SetupError):
    """A connection or a command over SSH failed."""

    code = "ssh-failed"


class SSHUnreachable(SSHError):
    """No SSH server answers at the address in time."""

    code = "ssh-unreachable"


class SSHRefused(SSHError):
    """The machine rejects the user or the key."""

    code = "ssh-refused"


class SSHKeyUnusable(SSHError):
    """The private key cannot be read, or its passphrase is missing or wrong."""

    code = "ssh-key-unusable"


class HostKeyChanged(SSHError):
    """The host key of the machine differs from the pinned one."""

    code = "host-key-changed"
