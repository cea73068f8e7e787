"""The used parts of GitHub's REST API: upload URLs, draft releases for a test, a branch's files, and an organization's repositories."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from itertools import count
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request

from exasol_ci_setup.core.clock import Clock, SystemClock
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, SetupError
from exasol_ci_setup.core.http import LOOPBACK, send
from exasol_ci_setup.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping


API_URL: Final = "https://api.github.com"
TOKEN_VARIABLE: Final = "GITHUB_TOKEN"  # noqa: S105 - the name of a variable

# Owners: https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication,
# with an underscore for managed users. Repositories: the rules of GitHub's form for a new one.
_OWNER: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}"
_REPOSITORY: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,100}"
_PATH: Final = re.compile(
    rf"/repos/({_OWNER})/({_REPOSITORY})/releases/([1-9][0-9]{{0,17}})/assets(\{{\?name,label\}})?"
)
# Seconds for each step of a connection, and for a whole response, which may arrive byte by byte.
_WHOLE: Final = 60.0
# The factor for an archive, compared with other responses.
_ARCHIVE: Final = 10
# The largest page of a list.
_PAGE: Final = 100
# Seconds between polls for a release whose creation GitHub did not confirm.
_UNTIL_MADE: Final = (1, 2)
_MEANINGS: Final[dict[int, tuple[type[SetupError], str]]] = {
    **dict.fromkeys(
        (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT),
        (
            SetupError,
            "the token is not sent to the address of the redirect: check the repository's name and GITHUB_API_URL",
        ),
    ),
    HTTPStatus.UNAUTHORIZED: (SetupError, "check whether the token is still valid"),
    **dict.fromkeys(
        (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS),
        (
            SetupError,
            "the token needs permission to {access} the repository's contents; GitHub also limits the rate of requests",
        ),
    ),
    HTTPStatus.NOT_FOUND: (
        InputError,
        "check the names of repository and branch, and the token's access: without it GitHub hides private repositories",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        InputError,
        "check that the branch exists and that the token may {access} the repository's contents",
    ),
}
"""The kind of error and the hint for a status of GitHub. ``{access}`` is ``read`` or ``write``."""


class Token:
    """A GitHub token whose `repr` hides it: `value` is the only access to it."""

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
    """The upload address of a release's assets."""

    owner: str
    repository: str
    release_id: int


@dataclass(frozen=True, slots=True)
class Release:
    """A release that GitHub created; `url` is its web page."""

    id: int
    url: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of an organization; `url` is its web page."""

    name: str
    url: str
    archived: bool
    fork: bool
    topics: tuple[str, ...]


def token_from_environment(environment: Mapping[str, str] | None = None) -> Token:
    """Return the token in the environment variable GITHUB_TOKEN. Raises InputError, which never shows it."""
    value = (os.environ if environment is None else environment).get(TOKEN_VARIABLE, "").strip()
    if not value:
        raise InputError(
            f"GitHub token missing: the environment variable {TOKEN_VARIABLE} is not set",
            hint=f"export {TOKEN_VARIABLE} with a token that can write the repository's releases",
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", value):
        # It would be invalid in a header, and the error would show it.
        raise InputError(
            f"the environment variable {TOKEN_VARIABLE} is not a token: it contains blanks or control characters"
        )
    return Token(value)


def optional_token_from_environment(environment: Mapping[str, str] | None = None) -> Token | None:
    """Return the token as `token_from_environment` does, or None if the variable is not set or empty."""
    values = os.environ if environment is None else environment
    return token_from_environment(values) if values.get(TOKEN_VARIABLE, "").strip() else None


def api_url_from_environment(environment: Mapping[str, str] | None = None) -> str:
    """Return the address of the API: GITHUB_API_URL, which GitHub Enterprise needs, or github.com's.

    Raises InputError unless it is an https URL; http is accepted for local addresses only, because the token is sent there.
    """
    url = (os.environ if environment is None else environment).get("GITHUB_API_URL", "").strip() or API_URL
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        plain = re.fullmatch(r"[\x21-\x7e]+", url) and not (parts.query or parts.fragment or "@" in parts.netloc)
        valid = secure and parts.hostname and parts.port != 0 and plain
    except ValueError:
        valid = False
    if not valid:
        raise InputError(
            "GITHUB_API_URL is not the address of a GitHub API",
            hint=f"use {API_URL}, or https://HOST/api/v3 for GitHub Enterprise Server",
        )
    return url.rstrip("/")


def parse_upload_url(text: str, *, api_url: str = API_URL) -> UploadUrl:
    """Return the parts of an upload URL; GitHub returns it as ``upload_url`` of a release, with or without ``{?name,label}``.

    Valid are that of github.com and that of `api_url`. Raises InputError.
    """
    for base in _upload_bases(api_url):
        found = _PATH.fullmatch(text[len(base) :]) if text.startswith(base) else None
        if found:
            return UploadUrl(found[1], found[2], int(found[3]))
    raise InputError(
        f"--upload-url {text!r} is not the upload URL of a release",
        hint="use the form https://uploads.github.com/repos/OWNER/REPO/releases/ID/assets{?name,label}",
    )


def require_repository(name: str) -> str:
    """Return `name` if its form is OWNER/REPO. Raises InputError."""
    if not re.fullmatch(f"{_OWNER}/{_REPOSITORY}", name):
        raise InputError(
            f"--repo-name {name!r} is not the name of a repository",
            hint="use the form OWNER/REPO, such as exasol/script-languages",
        )
    return name


def require_owner(name: str) -> str:
    """Return `name` if it can be that of an organization. Raises InputError."""
    if not re.fullmatch(_OWNER, name):
        raise InputError(
            f"--organization {name!r} is not the name of an organization of GitHub",
            hint="use its name only, such as exasol",
        )
    return name


def _upload_bases(api_url: str) -> list[str]:
    """Return the valid starts of upload URLs.

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
    """GitHub's API at `url`. The `token` is sent to that address only; public data can be read without one.

    A response that is not complete after `seconds` is a timeout.
    """

    url: str
    token: Token | None = field(repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    seconds: float = _WHOLE

    def create_test_release(self, repository: str, *, branch: str, title: str) -> Release:
        """Create a draft prerelease named `title` on `branch`; drafts are visible only with write access.

        Raises InputError if GitHub does not find the repository or rejects the values, OperationInterruptedError on Ctrl-C, and SetupError
        otherwise. If GitHub did not confirm the creation, the draft is deleted again, or its tag is in the hint.
        """
        tag = f"test-release-{secrets.token_hex(8)}"
        body = {
            # GitHub requires a name, and creates the tag only when the draft is published.
            "tag_name": tag,
            "target_commitish": branch,
            "name": title,
            "body": "Test release, made by exasol-ci-setup",
            "draft": True,
            "prerelease": True,
        }
        try:
            answer = self._call(
                "POST", f"/repos/{quote(repository)}/releases", f"create a release in {repository}", body
            )
            return _release(answer, repository)
        except _DoubtfulResultError as error:
            error.hint = "\n".join(filter(None, (self._undo(repository, tag, title), error.hint)))
            raise
        except KeyboardInterrupt:
            raise OperationInterruptedError(
                f"interrupted while a release in {repository} was being created",
                hint=self._undo(repository, tag, title),
            ) from None

    def _undo(self, repository: str, tag: str, title: str) -> str:
        """Delete the draft with that tag, and return a text: that it is deleted, or where it may be."""
        path = f"/repos/{quote(repository)}/releases"
        try:
            for pause in (*_UNTIL_MADE, None):
                # Drafts are listed first, with write access.
                listed = self._call("GET", f"{path}?per_page=100", f"list the releases of {repository}")
                for release in listed if isinstance(listed, list) else []:
                    if isinstance(release, dict) and release.get("tag_name") == tag:
                        self.delete_release(repository, int(release["id"]))
                        return "the created draft was deleted again"
                if pause:
                    self.clock.sleep(pause)
        except (SetupError, KeyboardInterrupt, LookupError, TypeError, ValueError):
            pass
        return f"the draft release {title!r}, with the tag {tag}, may exist: check the releases of {repository}"

    def delete_release(self, repository: str, release_id: int) -> None:
        """Delete a release. Raises as `create_test_release`."""
        what = f"delete release {release_id} of {repository}"
        self._call("DELETE", f"/repos/{quote(repository)}/releases/{release_id}", what)

    def branch_commit(self, repository: str, branch: str) -> str:
        """Return the latest commit of a branch.

        Raises InputError if GitHub does not find the repository or branch, and SetupError otherwise.
        """
        what = f"return the commit of branch {branch} of {repository}"
        answer = self._call("GET", f"/repos/{quote(repository)}/git/ref/heads/{quote(branch)}", what)
        target = answer.get("object") if isinstance(answer, dict) else None
        commit = target.get("sha") if isinstance(target, dict) else None
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
            raise SetupError(f"GitHub did not {what}: its response has no commit")
        return commit

    def repositories(self, organization: str) -> list[Repository]:
        """Return the repositories of an organization: without a token, and for other users, the public ones.

        Raises InputError if GitHub does not find the organization, and SetupError otherwise.
        Source: https://docs.github.com/en/rest/repos/repos#list-organization-repositories.
        """
        what = f"list the repositories of {organization}"
        found: list[Repository] = []
        for page in count(1):
            try:
                listed = self._call("GET", f"/orgs/{organization}/repos?per_page={_PAGE}&page={page}", what)
            except InputError as error:
                error.hint = "check the name of the organization; the account of a person is not one"
                raise
            if not isinstance(listed, list):
                raise SetupError(f"GitHub did not {what}: its response is not a list")
            found += [_repository(each, what) for each in listed]
            if len(listed) < _PAGE:
                break
        return found

    def download(self, repository: str, commit: str, into: IO[bytes]) -> None:
        """Write the files of a commit into a file, as a gzipped tar with one top-level folder. Raises as `branch_commit`."""
        what = f"send {repository} at commit {commit}"
        self._call("GET", f"/repos/{quote(repository)}/tarball/{commit}", what, into=into)

    def _call(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        into: IO[bytes] | None = None,
    ) -> Any:
        """Return the response of GitHub as parsed JSON, or write its body to `into`. Raises as `create_test_release`."""
        request = Request(  # noqa: S310 - the scheme was checked
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                **({"Authorization": f"Bearer {self.token.value}"} if self.token else {}),
                "User-Agent": f"exasol-ci-setup/{__version__}",
                "X-GitHub-Api-Version": "2022-11-28",
                **({} if body is None else {"Content-Type": "application/json"}),
            },
        )
        # An archive may be large, but the wait is still limited. GitHub redirects to another host for it:
        # https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects.
        seconds = self.seconds if into is None else self.seconds * _ARCHIVE
        try:
            status, text = send(request, seconds, into, other_hosts=into is not None)
        except (URLError, OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise _DoubtfulResultError(
                f"GitHub did not {what}: it could not be reached at {urlsplit(self.url).hostname} ({reason})",
                hint="check the network, a proxy, and GITHUB_API_URL",
            ) from error
        return _answer(status, text, what, access="read" if method == "GET" else "write")


class _DoubtfulResultError(SetupError):
    """GitHub did not confirm whether it has executed the request."""

    code = SetupError.code


def _answer(status: int, text: bytes, what: str, *, access: str) -> Any:
    """Return the response of GitHub, or raise its error."""
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {}
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    said = _said(answer) if isinstance(answer, dict) else ""
    kind, hint = _MEANINGS.get(status, (SetupError, ""))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _DoubtfulResultError
        hint = "see https://www.githubstatus.com for outages of GitHub"
    raise kind(f"GitHub did not {what}: {said or 'it gave no reason'} (HTTP {status})", hint=hint.format(access=access))


def _release(answer: Any, repository: str) -> Release:
    release_id = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(release_id, int):
        raise _DoubtfulResultError(f"GitHub did not create a release in {repository}: its response has no ID")
    return Release(release_id, str(answer.get("html_url", "")))


def _repository(answer: Any, what: str) -> Repository:
    try:
        topics = tuple(map(str, answer.get("topics", ())))
        return Repository(
            str(answer["name"]), str(answer["html_url"]), bool(answer["archived"]), bool(answer["fork"]), topics
        )
    except (AttributeError, KeyError, TypeError):
        raise SetupError(f"GitHub did not {what}: a repository in its response has no name, address or state") from None


def _said(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors")
    details = [
        str(error.get("message") or " ".join(str(error[key]) for key in ("field", "code") if key in error))
        if isinstance(error, dict)
        else str(error)
        for error in (errors if isinstance(errors, list) else [])
    ]
    return ": ".join(part for part in (str(answer.get("message", "")), ", ".join(details)) if part)
