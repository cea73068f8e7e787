"""Turn ministack's checks of signatures and policies on or off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def extend(ministack: Any) -> None:
    """Make ministack treat all requests as encrypted. Policies that require TLS would reject these local requests."""
    pin: Callable[[str, bool], None] = ministack.pin_request_origin

    def as_encrypted(source_ip: str, _secure_transport: bool) -> None:
        pin(source_ip, True)

    ministack.pin_request_origin = as_encrypted


def control(ministack: Any, *, on: bool) -> None:
    """Turn access control on or off. If it is off, all requests are allowed.

    If it is on, identity, resource, session and trust policies and permissions boundaries apply. The key of the account is its root user, which
    has all permissions.
    """
    ministack.AUTH = on
