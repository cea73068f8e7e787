"""Access control in the sandbox: whether ministack checks signatures and policies as AWS does, or lets everybody do everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def extend(ministack: Any) -> None:
    """Let requests count as encrypted: they do not leave this machine, and policies that ask for TLS would refuse them all."""
    pin: Callable[[str, bool], None] = ministack.pin_request_origin

    def as_encrypted(source_ip: str, _secure_transport: bool) -> None:
        pin(source_ip, True)

    ministack.pin_request_origin = as_encrypted


def control(ministack: Any, *, on: bool) -> None:
    """Check access from now on, or let everybody do everything.

    Identity, resource, session and trust policies count then, and permissions boundaries; the account's own key is its root, which may do all.
    """
    ministack.AUTH = on
