"""Host names that the HTTP services accept, so that pages of other sites cannot use the services."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import quote

if TYPE_CHECKING:
    from collections.abc import Collection

_LABEL: Final = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST: Final = re.compile(rf"(\[[0-9a-f:.]+\]|{_NAME.pattern})(?::[0-9]{{1,5}})?")


def host_name(text: str) -> str:
    """Return the host name of `--allow-host` in lower case. Raises InputError if it is not a host name."""
    name = text.lower()
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--allow-host {quote(text)} is not a host name: a name has no scheme, no port and no wildcard",
            hint="use a name, such as `--allow-host ci.example.com`",
        )
    return name


def is_accepted(host: str, names: Collection[str] | None) -> bool:
    """Return whether a service may answer a request with this header `Host`.

    A page of another site can reach a service on this machine by a name that resolves to it (DNS rebinding). Such a name is
    never an IP address, ``localhost``, or one of `names`. If `names` is None, every name is accepted.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found[1]
    if names is None or name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
