"""A client of the hosted API of a remote host."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request

from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppError,
    AppNotFoundError,
    InputError,
    KeyRefusedError,
    OperationInterruptedError,
    TooManyAttemptsError,
)
from exasol_ci_setup.core.http import LOOPBACK, send, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_OK: Final = 200
_MAX_BODY_BYTES: Final = 64 * 1024
_MAX_LINE_BYTES: Final = 64 * 1024
_READING: Final = frozenset({"/", "/get", "/logs", "/releases"})
_ERRORS: Final[Mapping[int, type[AppError | KeyRefusedError]]] = {
    403: KeyRefusedError,
    404: AppNotFoundError,
    409: AppConflictError,
    429: TooManyAttemptsError,
}


@dataclass(frozen=True)
class App:
    """A container of the host; `details` has what its host reports besides."""

    name: str
    image: str
    domains: tuple[str, ...]
    is_running: bool
    details: Mapping[str, Any]

    @property
    def tls_domains(self) -> list[str] | None:
        """The domains with a certificate; None if the host requests no certificates."""
        found = self.details.get("tls")
        return found if isinstance(found, list) else None


@dataclass(frozen=True)
class Release:
    """A deployment of an app: `changes` names the image, options and variables that differ from the release before."""

    number: int
    at: datetime
    image: str
    changes: tuple[str, ...]
    is_current: bool


def parse_url(text: str, *, allow_http: bool = False) -> str:
    """Return the address of a hosted API as ``https://HOST[:PORT]``; the default scheme is https.

    With plain http, everyone on the way could read the key. It is accepted for this machine, and with `allow_http`. Raises InputError.
    """
    written = text if _SCHEME.match(text) else f"https://{text}"
    try:
        parts = urlsplit(written)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"--url {text!r} is not an address: {error}") from None
    is_plain = parts.path in {"", "/"} and not parts.query and not parts.fragment and not parts.username
    if parts.scheme not in {"https", "http"} or not host or not is_plain or re.search(r"[^!-~]", written):
        raise InputError(
            f"--url {text!r} is not an address of a hosted API", hint="use one such as https://example.com"
        )
    if parts.scheme == "http" and host not in LOOPBACK and not allow_http:
        raise InputError(
            f"--url {text!r} has no TLS: everyone on the way could read the key",
            hint=f"use --url https://{parts.netloc}, or add --allow-http",
        )
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{'' if port is None else f':{port}'}"


class Client:
    """Requests to the hosted API at `url` with its deploy key. Without a key, only `apps` is possible.

    All methods raise KeyRefusedError, AppNotFoundError, AppConflictError, and AppError for other failures. `seconds` is the time limit of a
    request.
    """

    def __init__(self, url: str, key: str | None, *, seconds: float) -> None:
        self.url = url
        self._key = key
        self._seconds = seconds

    def apps(self) -> list[App]:
        """Return the containers of the host, by name."""
        found = self._object(self._request("/", None))
        try:
            return [
                App(
                    name,
                    each["image"],
                    tuple(each["domains"]),
                    each["running"],
                    {key: value for key, value in each.items() if key not in {"image", "domains", "running"}},
                )
                for name, each in sorted(found.items())
            ]
        except (TypeError, KeyError):
            raise AppError(f"{self.url} is no hosted API: its list of containers is unknown") from None

    def describe(self, name: str) -> dict[str, Any]:
        """Return what the host reports about an app: its status, domains, limits and names of variables."""
        return {key: value for key, value in self._succeed("/get", name=name).items() if key != "success"}

    def releases(self, name: str) -> list[Release]:
        """Return the last releases of an app, the newest first."""
        found = self._succeed("/releases", name=name)
        try:
            return [
                Release(
                    each["number"],
                    datetime.fromisoformat(each["at"]),
                    each["image"],
                    tuple(each["changes"]),
                    is_current=position == 0,
                )
                for position, each in enumerate(found["releases"])
            ]
        except (TypeError, KeyError, ValueError):
            raise AppError(f"{self.url} is no hosted API: its list of releases is unknown") from None

    def deploy(self, image: str, **options: Any) -> str:
        """Deploy an app, or replace it, and return its domain. `options` are other fields of ``/new``; None values are omitted."""
        return self._deployed("/new", image=image, **options)

    def redeploy(self, name: str, **options: Any) -> str:
        """Pull the image of an app again, or change it, and return its domain. `options` are other fields of ``/redeploy``."""
        return self._deployed("/redeploy", name=name, **options)

    def roll_back(self, name: str) -> str:
        """Deploy the image and the variables before the last deployment, and return the domain."""
        return self._deployed("/rollback", name=name)

    def logs(self, name: str, lines: int) -> str:
        """Return the last lines of the log of an app."""
        return str(self._succeed("/logs", name=name, lines=lines).get("logs", ""))

    def follow_logs(self, name: str, lines: int) -> Iterator[str]:
        """Yield the last lines of the log of an app, and new ones, until its container ends. Longer lines than 64 KiB are divided.

        Raises AppError if the host closes the connection earlier.
        """
        request = self._build("/logs", {"name": name, "lines": lines, "follow": True})
        is_open = False
        try:
            with stream(request, idle_seconds=None) as (status, body):
                if status != _OK:
                    raise self._error(status, body.read(_MAX_BODY_BYTES), "/logs")
                is_open = True
                rest = b""
                # Lines of the response would end without an error if the last chunk is missing.
                while part := body.read1(_MAX_BODY_BYTES):
                    *lines_read, rest = (rest + part).split(b"\n")
                    yield from (_decode(line) for line in lines_read)
                    if len(rest) >= _MAX_LINE_BYTES:
                        # An app may never end a line, such as one that draws a progress bar.
                        yield _decode(rest)
                        rest = b""
                if rest:
                    yield _decode(rest)
        except (URLError, HTTPException, OSError) as error:
            if is_open:
                raise AppError(
                    f"{self.url} has closed the log of {name}",
                    hint=f"`exasol-ci-setup hosted logs {name} --follow --url {self.url}` continues",
                ) from error
            raise self._unreachable(error) from error

    def act(self, path: str, **body: Any) -> None:
        """Send another request, such as ``/stop``; None values are omitted."""
        self._succeed(path, **body)

    def check_key(self) -> None:
        """Raise KeyRefusedError if the key is wrong, and AppError if the host cannot be reached or is no hosted API."""
        try:
            self.logs("a", 1)
        except (AppNotFoundError, AppConflictError):
            # The service checks the key first, then the app.
            return

    def _deployed(self, path: str, **body: Any) -> str:
        text = self._request(path, body).decode(errors="replace")
        # An app without a domain has its name here.
        found = re.fullmatch(r"Running on ([A-Za-z0-9.-]+)!\s*", text)
        if found is None:
            raise self._unknown_answer(path)
        return found[1]

    def _succeed(self, path: str, **body: Any) -> dict[str, Any]:
        """Return the object of a success."""
        found = self._object(self._request(path, body))
        if found.get("success") is not True:
            raise self._unknown_answer(path)
        return found

    def _unknown_answer(self, path: str) -> AppError:
        return AppError(f"{self.url} is no hosted API: its answer to {path} is unknown")

    def _build(self, path: str, body: Mapping[str, Any] | None) -> Request:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/plain"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        given = None if body is None else {name: value for name, value in body.items() if value is not None}
        data = None if given is None else json.dumps(given).encode()
        return Request(f"{self.url}{path}", data, headers)  # noqa: S310 - `parse_url` checks the scheme

    def _request(self, path: str, body: Mapping[str, Any] | None) -> bytes:
        """Return the body of a success."""
        try:
            status, answer = send(self._build(path, body), self._seconds, idle_seconds=self._seconds)
        except KeyboardInterrupt:
            if path in _READING:
                raise
            raise OperationInterruptedError(
                f"interrupted; {self.url} may still complete the request",
                hint=f"`exasol-ci-setup hosted list --url {self.url}` lists the apps",
            ) from None
        except TimeoutError:
            raise AppError(
                f"{self.url} has not answered within {self._seconds:g} s; the request may still be in progress",
                hint="wait longer with --wait, such as `--wait 30m`",
            ) from None
        except (URLError, HTTPException, OSError) as error:
            raise self._unreachable(error) from error
        if status != _OK:
            raise self._error(status, answer, path)
        return answer

    def _object(self, answer: bytes) -> dict[str, Any]:
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AppError(f"{self.url} is no hosted API: its answer is not a JSON object")
        return found

    def _error(self, status: int, answer: bytes, path: str) -> AppError | KeyRefusedError:
        try:
            reason = json.loads(answer)["reason"]
        except (ValueError, TypeError, KeyError):
            # Such as a page of nginx, which then has no answer of the service.
            return AppError(f"{self.url} answered with status {status}, without a reason of the hosted API")
        kind = _ERRORS.get(status, AppError)
        hint = ""
        if kind is KeyRefusedError:
            hint = f"add --key-file PATH, or store the key of the host: `exasol-ci-setup hosted login --url {self.url}`"
        elif kind is AppNotFoundError and path != "/new":
            # For a new app, the image is missing.
            hint = f"`exasol-ci-setup hosted list --url {self.url}` lists the apps and their domains"
        return kind(f"{self.url}: {str(reason).rstrip('.')}", hint=hint)

    def _unreachable(self, error: BaseException) -> AppError:
        cause = getattr(error, "reason", error)
        return AppError(f"{self.url} cannot be reached: {getattr(cause, 'strerror', None) or cause}")


def _decode(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")
