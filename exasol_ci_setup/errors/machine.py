"""The errors of what runs on a machine: containers, the services for them, and SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exasol_ci_setup.errors.base import InputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence


class NoSuchImage(InputError):
    """The container manager was asked for `wanted`, which is not among the `available` images of its configuration."""

    code = "no-such-image"

    def __init__(self, wanted: str, available: Sequence[str]) -> None:
        super().__init__(f"there is no image {wanted!r} in the configuration")
        self.wanted = wanted
        self.available = tuple(available)


class EngineError(SetupError):
    """The Docker engine on this machine did not do what it should; `status` is its HTTP status, or 0 if it gave none."""

    code = "engine-failed"

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineUnavailable(EngineError):
    """There is no Docker engine on this machine, or it cannot be used."""

    code = "engine-unavailable"


class DockerFailed(EngineError):
    """The `docker` command ended in an error; `exit_code` is docker's own."""

    code = "docker-failed"

    def __init__(self, message: str, *, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class ImageNotBuilt(EngineError):
    """An image could not be built, or what it is built from could not be had; `output` has the last that the build said."""

    code = "image-not-built"

    def __init__(self, message: str, *, status: int = 0, output: Sequence[str] = ()) -> None:
        super().__init__(message, status=status)
        self.output = tuple(output)


class PortTaken(EngineError):
    """A port of the host that was asked for is somebody else's."""

    code = "port-taken"


class ContainerNotReady(EngineError):
    """A container was started, but it ended, or what was waited for did not come; `output` has the last that it said."""

    code = "container-not-ready"

    def __init__(self, message: str, *, output: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = tuple(output)


class ShuttingDown(SetupError):
    """The container manager is stopping its containers, and starts nothing any more."""

    code = "shutting-down"


class AppError(SetupError):
    """An app of the hosted API could not be changed as it was asked for."""

    code = "app-failed"


class AppNotFound(AppError):
    """There is no app of that name."""

    code = "app-not-found"


class AppConflict(AppError):
    """The app's state, or something else that is there, is in the way."""

    code = "app-conflict"


class AppFailed(AppError):
    """The container that an app was to get does not run, or does not answer."""

    code = "app-does-not-answer"


class KeyRefused(SetupError):
    """A caller of the hosted API has sent no key, or a wrong one."""

    code = "key-refused"


class TooManyAttempts(KeyRefused):
    """A caller has sent wrong keys too often; `seconds` is how long it is not listened to."""

    code = "too-many-attempts"

    def __init__(self, message: str, *, hint: str = "", seconds: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class StateError(SetupError):
    """The directory with the state of the hosted API cannot be read or written."""

    code = "state-failed"


class DiskFull(StateError):
    """The directory with the state of the hosted API cannot be written because its disk is full."""

    code = "disk-full"


class NginxError(SetupError):
    """Nginx is not there, does not run, or does not do what it is told."""

    code = "nginx-failed"


class NginxRefused(NginxError):
    """Nginx does not take a configuration that was made for it; the one before is in place again."""

    code = "nginx-refused"


class CertificateError(SetupError):
    """A domain has no certificate, or nginx does not show it."""

    code = "certificate-failed"


class SSHError(SetupError):
    """A machine could not be used over SSH."""

    code = "ssh-failed"


class SSHUnreachable(SSHError):
    """Nothing that speaks SSH answers there, or not in time."""

    code = "ssh-unreachable"


class SSHRefused(SSHError):
    """The machine does not let this user in with this key."""

    code = "ssh-refused"


class SSHKeyUnusable(SSHError):
    """The user's key cannot be read, or its passphrase is missing or wrong."""

    code = "ssh-key-unusable"


class HostKeyChanged(SSHError):
    """The machine shows another key than at the first connection."""

    code = "host-key-changed"
