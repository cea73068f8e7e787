"""Validation of names of apps, domains, images and variables, and the default name of an app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(_LABEL)
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_DOMAIN_LENGTH: Final = 253
_NAME_LENGTH: Final = 63

# The grammar of https://github.com/distribution/reference/blob/main/reference.go.
_HOST: Final = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]+)?"
)
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?(?P<path>{_PART}(?:/{_PART})*))"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?P<digest>@sha256:[0-9a-f]{64})?"
)
_IMAGE_LENGTH: Final = 512
_ID: Final = re.compile(r"[0-9a-f]{64}")
_PORTS: Final = range(1, 65536)


def app_name(text: str) -> str:
    """Return `text` if it is a valid name of an app, which becomes the first label of a domain.

    Raises InputError unless it is 1 to 63 lowercase letters, digits and hyphens, without a hyphen at either end.
    Source: https://www.rfc-editor.org/rfc/rfc1123#section-2.1.
    """
    if not _NAME.fullmatch(text):
        raise InputError(
            f"name: {quote(text)} is not a valid app name: use at most 63 lowercase letters, digits and hyphens,"
            " without a hyphen at either end"
        )
    return text


def domain_name(text: str, what: str = "domain") -> str:
    """Return `text` in lower case if it is a fully-qualified domain; `what` is its name in messages.

    Raises InputError unless it has two or more labels and at most 253 characters, and its last label is not a number.
    Source: https://www.rfc-editor.org/rfc/rfc1123#section-2.1.
    """
    # Only ASCII: the lower case of some other letters is ASCII.
    domain = text.lower() if text.isascii() else text
    if not _DOMAIN.fullmatch(domain) or len(domain) > _DOMAIN_LENGTH or domain.rpartition(".")[2].isdigit():
        raise InputError(
            f"{what}: {quote(text)} is not a fully-qualified domain: use labels of letters, digits and hyphens, separated by points,"
            " without protocol and port"
        )
    return domain


def image_reference(text: str) -> str:
    """Return `text` if it is an image reference as for ``docker pull``. Raises InputError otherwise."""
    if len(text) > _IMAGE_LENGTH or not _IMAGE.fullmatch(text) or _ID.fullmatch(text):
        raise InputError(
            f"image: {quote(text)} is not an image reference: use a name on Docker Hub, or REGISTRY/NAME,"
            " optionally with :TAG or @DIGEST"
        )
    return text


def repository_and_tag(image: str) -> tuple[str, str]:
    """Split an image reference into its repository and its tag or digest; the default tag is ``latest``."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise InputError(f"image: {quote(image)} is not an image reference")
    return found["repository"], (found["digest"] or "").removeprefix("@") or found["tag"] or "latest"


def default_name(image: str) -> str:
    """Return the default name of an app of `image`: the last part of its path, with invalid characters replaced.

    Raises InputError if no valid character remains.
    """
    found = _IMAGE.fullmatch(image_reference(image))
    last = (found["path"] if found else "").rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", last.lower())[:_NAME_LENGTH].strip("-")
    if not name:
        raise InputError(f"name: no name can be derived from {quote(image)}: set a name")
    return name


def environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the container of an app: the defaults ``ENV=prod`` and ``PORT=8001``, and `overrides`.

    Raises InputError for an empty name, a name with ``=``, a character that a variable cannot contain, and an invalid PORT.
    """
    for name, value in overrides.items():
        if not name or "=" in name:
            raise InputError(f"env: {quote(name)} is not a valid name of a variable")
        for text in (name, value):
            if "\0" in text or not _is_unicode(text):
                raise InputError(f"env: {quote(name)} contains a character that is not allowed in variables")
    variables = {"ENV": "prod", "PORT": "8001", **overrides}
    inner_port(variables)
    return variables


def inner_port(variables: Mapping[str, str]) -> int:
    """Return the port that the app listens on in its container. Raises InputError if PORT is not a port."""
    port = variables["PORT"]
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) not in _PORTS:
        raise InputError(f"env: PORT {quote(port)} is not a port: use a number from 1 to 65535")
    return int(port)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
