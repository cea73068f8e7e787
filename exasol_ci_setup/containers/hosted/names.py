"""What a caller may send for the name of an app, a domain, an image and a variable, and the name that an image gives an app."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.containers.quotes import quote
from exasol_ci_setup.errors import InputError

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
    """Return `text` if it can name an app: it becomes the first label of a domain, so it is one itself.

    Raises InputError unless it is 1 to 63 small letters, digits and hyphens, with no hyphen at either end. Source:
    https://www.rfc-editor.org/rfc/rfc1123#section-2.1.
    """
    if not _NAME.fullmatch(text):
        raise InputError(
            f"name: {quote(text)} cannot name an app: use at most 63 small letters, digits and hyphens, with no hyphen at either end"
        )
    return text


def domain_name(text: str, what: str = "domain") -> str:
    """Return `text` in small letters if it is a fully-qualified domain; `what` is what the message calls it.

    Raises InputError unless it is two or more labels, 253 characters at most, and the last is not all digits as an address's is.
    Source: https://www.rfc-editor.org/rfc/rfc1123#section-2.1.
    """
    # Only letters of ASCII: others have small letters that are ASCII, too.
    domain = text.lower() if text.isascii() else text
    if not _DOMAIN.fullmatch(domain) or len(domain) > _DOMAIN_LENGTH or domain.rpartition(".")[2].isdigit():
        raise InputError(
            f"{what}: {quote(text)} is not a fully-qualified domain: use labels of letters, digits and hyphens with points between them,"
            " without protocol and port"
        )
    return domain


def image_reference(text: str) -> str:
    """Return `text` if it names an image as ``docker pull`` takes it. Raises InputError if not."""
    if len(text) > _IMAGE_LENGTH or not _IMAGE.fullmatch(text) or _ID.fullmatch(text):
        raise InputError(
            f"image: {quote(text)} does not name an image: use a name on Docker Hub, or REGISTRY/NAME, with :TAG or @DIGEST if wanted"
        )
    return text


def repository_and_tag(image: str) -> tuple[str, str]:
    """Split the name of an image into its repository and its tag or digest; without either the tag is ``latest``."""
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise InputError(f"image: {quote(image)} does not name an image")
    return found["repository"], (found["digest"] or "").removeprefix("@") or found["tag"] or "latest"


def default_name(image: str) -> str:
    """Return the name for an app of `image`: the last part of its path without tag and digest, made a valid name.

    Raises InputError if nothing is left of it.
    """
    found = _IMAGE.fullmatch(image_reference(image))
    last = (found["path"] if found else "").rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", last.lower())[:_NAME_LENGTH].strip("-")
    if not name:
        raise InputError(f"name: there is none in {quote(image)}: give one")
    return name


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an app's container: those that are `given`, over ``ENV=prod`` and ``PORT=8001``.

    Raises InputError for a name that is empty or holds ``=``, for text that no process can be given, and for a PORT that is none.
    """
    for name, value in given.items():
        if not name or "=" in name:
            raise InputError(f"env: {quote(name)} cannot name a variable")
        for text in (name, value):
            if "\0" in text or not _is_unicode(text):
                raise InputError(f"env: {quote(name)} holds a character that no variable can")
    variables = {"ENV": "prod", "PORT": "8001", **given}
    inner_port(variables)
    return variables


def inner_port(variables: Mapping[str, str]) -> int:
    """Return the port on which the app listens in its container. Raises InputError if PORT is not a port."""
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
