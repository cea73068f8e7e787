"""GitHub's REST API as far as it is needed here: upload URLs, draft releases for a test, and a branch's files."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from exasol_ci_setup.errors import InputError, SetupError
from exasol_ci_setup.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

API_URL: Final = "https://api.github.com"
TOKEN_VARIABLE: Final = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable

# Owners: https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication,
# with an underscore for managed users. Repositories: what GitHub's own form for a new one takes.
_OWNER: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}"
_REPOSITORY: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,100}"
_PATH: Final = re.compile(
    rf"/repos/({_OWNER})/({_REPOSITORY})/releases/([1-9][0-9]{{0,17}})/assets(\{{\?name,label\}})?"
)
_TIMEOUT: Final = 30.0
_REDIRECTS: Final = frozenset({301, 302, 307, 308})
_MOST_REDIRECTS: Final = 3
_RIGHTS: Final = (
    "the token must be allowed to write the repository's contents; GitHub also limits how often it may be asked"
)
_READING_RIGHTS: Final = (
    "the token must be allowed to read the repository's contents; GitHub also limits how often it may be asked"
)
_MEANINGS: Final[dict[int, tuple[type[SetupError], str]]] = {
    HTTPStatus.UNAUTHORIZED: (SetupError, f"is the token in {TOKEN_VARIABLE} still valid?"),
    HTTPStatus.FORBIDDEN: (SetupError, _RIGHTS),
    HTTPStatus.TOO_MANY_REQUESTS: (SetupError, _RIGHTS),
    HTTPStatus.NOT_FOUND: (
        InputError,
        "is the repository's name right, and may the token see it? GitHub hides what a token may not see",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: (InputError, "is there such a branch, and may the token write to the repository?"),
}
# As above, for what only reads.
_READING: Final[dict[int, tuple[type[SetupError], str]]] = {
    HTTPStatus.UNAUTHORIZED: (SetupError, "is the token still valid?"),
    HTTPStatus.FORBIDDEN: (SetupError, _READING_RIGHTS),
    HTTPStatus.TOO_MANY_REQUESTS: (SetupError, _READING_RIGHTS),
    HTTPStatus.NOT_FOUND: (
        InputError,
        "are the names of repository and branch right, and may the token see them? Without one GitHub hides what is private",
    ),
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Token:
    """A GitHub token, which does not show itself: `value` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Token(****)"

    @property
    def value(self) -> str:
        """The token in plain text."""
        return self._value


@dataclass(frozen=True, slots=True)
class UploadUrl:
    """Where the assets of a release are uploaded to."""

    owner: str
    repository: str
    release_id: int


@dataclass(frozen=True, slots=True)
class Release:
    """A release as GitHub made it; `url` is its page, for people."""

    id: int
    url: str


def token_from_environment(environment: Mapping[str, str] | None = None) -> Token:
    """Return the token in the environment variable GITHUB_TOKEN. Raises InputError, which never shows it."""
    value = (os.environ if environment is None else environment).get(TOKEN_VARIABLE, "").strip()
    if not value:
        raise InputError(
            f"there is no GitHub token: the environment variable {TOKEN_VARIABLE} is not set",
            hint=f"export {TOKEN_VARIABLE}, with a token that may write the repository's releases",
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", value):
        # It would not fit in a header, and the error about that would show it.
        raise InputError(
            f"the environment variable {TOKEN_VARIABLE} holds no token: a token has no blanks or control characters"
        )
    return Token(value)


def optional_token_from_environment(environment: Mapping[str, str] | None = None) -> Token | None:
    """Return the token as `token_from_environment` does, or None if the variable is not set or empty."""
    values = os.environ if environment is None else environment
    return token_from_environment(values) if values.get(TOKEN_VARIABLE, "").strip() else None


def api_url_from_environment(environment: Mapping[str, str] | None = None) -> str:
    """Return the address of the API: GITHUB_API_URL, which GitHub Enterprise needs, or github.com's.

    Raises InputError unless it is an https URL; http is taken for an address on this machine only, as the token is sent there.
    """
    url = (os.environ if environment is None else environment).get("GITHUB_API_URL", "").strip() or API_URL
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        fits = (
            secure and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
        )
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            "GITHUB_API_URL is not the address of a GitHub API",
            hint=f"it reads {API_URL}, or https://HOST/api/v3 for GitHub Enterprise Server",
        )
    return url.rstrip("/")


def parse_upload_url(text: str, *, api_url: str = API_URL) -> UploadUrl:
    """Return what an upload URL is of; GitHub gives it as ``upload_url`` of a release, with or without ``{?name,label}``.

    Beside github.com's the one that goes with `api_url` is taken. Raises InputError.
    """
    for base in _upload_bases(api_url):
        found = _PATH.fullmatch(text[len(base) :]) if text.startswith(base) else None
        if found:
            return UploadUrl(found[1], found[2], int(found[3]))
    raise InputError(
        f"--upload-url {text!r} is not the upload URL of a release",
        hint="it reads https://uploads.github.com/repos/OWNER/REPO/releases/ID/assets{?name,label}",
    )


def require_repository(name: str) -> str:
    """Return `name` if it reads OWNER/REPO. Raises InputError."""
    if not re.fullmatch(f"{_OWNER}/{_REPOSITORY}", name):
        raise InputError(
            f"--repo-name {name!r} is not the name of a repository",
            hint="it reads OWNER/REPO, such as exasol/script-languages",
        )
    return name


def _upload_bases(api_url: str) -> list[str]:
    """Return what upload URLs start with.

    https://docs.github.com/en/enterprise-server/rest/releases/assets: HOST/api/uploads for Enterprise Server, and
    uploads.SUBDOMAIN.ghe.com beside api.SUBDOMAIN.ghe.com.
    """
    parts = urlsplit(api_url)
    own = f"{parts.scheme}://{parts.netloc}/api/uploads"
    if (parts.hostname or "").startswith("api."):
        own = f"{parts.scheme}://uploads.{parts.netloc.removeprefix('api.')}"
    return list(dict.fromkeys(("https://uploads.github.com", own)))


@dataclass(frozen=True)
class Api:
    """GitHub's API at `url`, used with `token`, which is sent to that address and no other; what is public can be read without."""

    url: str
    token: Token | None = field(repr=False)

    def create_test_release(self, repository: str, *, branch: str, title: str) -> Release:
        """Create a draft, marked as a prerelease, called `title` on `branch`; nobody without write access sees a draft.

        Raises InputError if GitHub knows no such repository or refuses the values, and SetupError for the rest.
        """
        body = {
            # GitHub asks for a name, and makes the tag only when the draft is published.
            "tag_name": f"test-release-{secrets.token_hex(4)}",
            "target_commitish": branch,
            "name": title,
            "body": "Test release, made by exasol-ci-setup",
            "draft": True,
            "prerelease": True,
        }
        answer = self._call("POST", f"/repos/{quote(repository)}/releases", f"create a release in {repository}", body)
        release_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(release_id, int):
            raise SetupError(f"GitHub did not create a release in {repository}: its answer has no id of one")
        return Release(release_id, str(answer.get("html_url", "")))

    def delete_release(self, repository: str, release_id: int) -> None:
        """Delete a release. Raises as `create_test_release`."""
        what = f"delete release {release_id} of {repository}"
        self._call("DELETE", f"/repos/{quote(repository)}/releases/{release_id}", what)

    def branch_commit(self, repository: str, branch: str) -> str:
        """Return the commit that a branch is at.

        Raises InputError if GitHub knows no such repository or branch, and SetupError for the rest.
        """
        what = f"tell the commit of branch {branch} of {repository}"
        answer = self._call("GET", f"/repos/{quote(repository)}/git/ref/heads/{quote(branch)}", what, meanings=_READING)
        target = answer.get("object") if isinstance(answer, dict) else None
        commit = target.get("sha") if isinstance(target, dict) else None
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            raise SetupError(f"GitHub did not {what}: its answer has no commit")
        return commit

    def download(self, repository: str, commit: str, into: IO[bytes]) -> None:
        """Write the files of a commit into a file, as a gzipped tar with one folder at its top. Raises as `branch_commit`."""
        what = f"send {repository} at commit {commit}"
        self._call("GET", f"/repos/{quote(repository)}/tarball/{commit}", what, meanings=_READING, into=into)

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        meanings: Mapping[int, tuple[type[SetupError], str]] = _MEANINGS,
        into: IO[bytes] | None = None,
    ) -> Any:
        url = self.url + path
        for _ in range(_MOST_REDIRECTS + 1):
            status, location, text = self._send(method, url, body, what, into)
            if status not in _REDIRECTS:
                return _answer(status, text, what, meanings)
            url = self._next(url, location, what, elsewhere=into is not None)
        raise SetupError(f"GitHub did not {what}: it redirects more than {_MOST_REDIRECTS} times")

    def _next(self, url: str, location: str, what: str, *, elsewhere: bool) -> str:
        """Return where a redirect leads, with the same method and body, as GitHub asks for.

        Archives are sent from `elsewhere`, under an address that says itself who may have them.
        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects.
        """
        target = urljoin(url, location)
        if elsewhere:
            allowed = {"https", "http"} if urlsplit(self.url).hostname in _LOOPBACK else {"https"}
            if urlsplit(target).scheme not in allowed:
                raise SetupError(f"GitHub did not {what}: it redirects to an address that is not https")
        elif _origin(target) != _origin(self.url):
            raise SetupError(
                f"GitHub did not {what}: it redirects to another host, {urlsplit(target).hostname}, where the token is not sent",
                hint="has the repository moved? Check --repo-name and GITHUB_API_URL",
            )
        return target

    def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None, what: str, into: IO[bytes] | None
    ) -> tuple[int, str, bytes]:
        token = self.token if _origin(url) == _origin(self.url) else None
        request = Request(  # noqa: S310 - the scheme was checked
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                **({"Authorization": f"Bearer {token.value}"} if token else {}),
                "User-Agent": f"exasol-ci-setup/{__version__}",
                "X-GitHub-Api-Version": "2022-11-28",
                **({} if body is None else {"Content-Type": "application/json"}),
            },
        )
        try:
            with _opener(url).open(request, timeout=_TIMEOUT) as response:
                if into is None:
                    return response.status, "", response.read()
                shutil.copyfileobj(response, into)
                return response.status, "", b""
        except HTTPError as error:
            with error:
                return error.code, error.headers.get("Location", ""), error.read()
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise SetupError(
                f"GitHub did not {what}: it could not be reached at {urlsplit(url).hostname} ({reason})",
                hint="check the network, a proxy, and GITHUB_API_URL",
            ) from error


class _NoRedirects(HTTPRedirectHandler):
    """Leaves redirects to us: the library would send the token wherever they lead."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def _opener(url: str) -> OpenerDirector:
    """Return what opens `url` and follows no redirects; no proxy leads to this machine itself."""
    return build_opener(_NoRedirects, *([ProxyHandler({})] if urlsplit(url).hostname in _LOOPBACK else []))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _answer(status: int, text: bytes, what: str, meanings: Mapping[int, tuple[type[SetupError], str]]) -> Any:
    """Return what GitHub answered, or raise what it means."""
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {}
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    said = _said(answer) if isinstance(answer, dict) else ""
    kind, hint = meanings.get(status, (SetupError, ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        hint = "https://www.githubstatus.com tells of troubles on GitHub's side"
    raise kind(f"GitHub did not {what}: {said or 'it gave no reason'} (HTTP {status})", hint=hint)


def _said(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors")
    details = [
        str(error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if key in error))
        if isinstance(error, dict)
        else str(error)
        for error in (errors if isinstance(errors, list) else [])
    ]
    return ": ".join(part for part in (str(answer.get("message", "")), ", ".join(details)) if part)
