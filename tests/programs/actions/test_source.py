"""Responses of GitHub to a request for the files of a branch."""

from __future__ import annotations

import io
from urllib.error import URLError
from urllib.request import OpenerDirector, Request

import pytest

from exasol_ci_setup.aws.session import connect
from exasol_ci_setup.builds.github import Api, Token
from exasol_ci_setup.constructs import Asset, GitHubRepo, Scope
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import InputError, SetupError
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from tests.hub import running

COMMIT = "a" * 40
TARBALL = f"GET /repos/o/r/tarball/{COMMIT}"


@pytest.fixture
def hub():
    with running() as server:
        yield server


@pytest.mark.parametrize("token", [None, Token("ghp_secret")])
def test_branch_has_commit_of_github(hub, token):
    hub.replies["GET /repos/o/r/git/ref/heads/feature/%C3%A4%23"] = (200, {}, {"object": {"sha": COMMIT}})

    assert Api(hub.url, token).branch_commit("o/r", "feature/ä#") == COMMIT
    assert hub.asked[0][2].get("Authorization") == (f"Bearer {token.value}" if token else None)


@pytest.mark.parametrize("answer", [[], {}, {"object": None}, {"object": {"sha": "../x"}}, [{"ref": "refs/heads/a"}]])
def test_response_without_commit_fails(hub, answer):
    hub.replies["GET /repos/o/r/git/ref/heads/main"] = (200, {}, answer)

    with pytest.raises(SetupError, match="commit of branch main of o/r: its response has no commit"):
        Api(hub.url, None).branch_commit("o/r", "main")


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, SetupError, "token is still valid"),
        (403, SetupError, "needs permission to read"),
        (404, InputError, "GitHub hides private repositories"),
        (429, SetupError, "limits the rate"),
        (502, SetupError, "githubstatus.com"),
    ],
)
def test_each_refusal_has_hint(hub, status, kind, hint):
    hub.replies[TARBALL] = (status, {}, {"message": "no"})

    with pytest.raises(kind, match=rf"send o/r at commit {COMMIT}: no \(HTTP {status}\)") as caught:
        Api(hub.url, Token("ghp_secret")).download("o/r", COMMIT, io.BytesIO())
    assert hint in caught.value.hint


def test_archive_on_other_host_is_downloaded_without_token(hub):
    with running() as elsewhere:
        hub.replies[TARBALL] = (302, {"Location": f"{elsewhere.url}/archive?signature=x"}, None)
        elsewhere.replies["GET /archive?signature=x"] = (302, {"Location": "/moved"}, None)
        elsewhere.replies["GET /moved"] = (200, {}, b"files")
        into = io.BytesIO()

        Api(hub.url, Token("ghp_secret")).download("o/r", COMMIT, into)

        assert into.getvalue() == b"files"
        assert [headers.get("Authorization") for _, _, headers, _ in elsewhere.asked] == [None, None]
        assert hub.asked[0][2]["Authorization"] == "Bearer ghp_secret"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/x"])
def test_redirect_to_invalid_url_is_not_followed(hub, target):
    hub.replies[TARBALL] = (302, {"Location": target}, None)

    with pytest.raises(SetupError, match="HTTP 302"):
        Api(hub.url, None).download("o/r", COMMIT, io.BytesIO())


def test_endless_redirects_fail(hub):
    hub.replies[TARBALL] = (302, {"Location": f"{hub.url}/repos/o/r/tarball/{COMMIT}"}, None)

    with pytest.raises(SetupError, match="HTTP 302"):
        Api(hub.url, None).download("o/r", COMMIT, io.BytesIO())


def test_download_is_written_unchanged(hub):
    hub.replies[TARBALL] = (200, {}, b"\x1f\x8b anything")
    into = io.BytesIO()

    Api(hub.url, None).download("o/r", COMMIT, into)

    assert into.getvalue() == b"\x1f\x8b anything"


@pytest.mark.parametrize(
    ("endpoint", "sent"), [("http://127.0.0.1:1", set()), (None, {"Bearer ghp_secret"})], ids=["sandbox", "aws"]
)
@pytest.mark.parametrize("given", [None, "ghp_secret"])
def test_sandbox_sends_token_only_to_this_machine(monkeypatch, endpoint, sent, given):
    monkeypatch.setenv("GITHUB_API_URL", "https://github.invalid")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    asked: list[Request] = []

    def unreachable(_opener: object, request: Request, *_more: object, **_named: object) -> None:
        asked.append(request)
        raise URLError("no network in this test")

    monkeypatch.setattr(OpenerDirector, "open", unreachable)
    account = connect(None, "eu-central-1", endpoint_url=endpoint, access_key=("500000000001", "any"))
    scope = Scope(name="team", region="eu-central-1")
    asset = Asset(scope=scope, name="source", source=GitHubRepo(scope=scope, name="it", repo="o/r", branch="main"))
    asset.set_outputs({"BucketName": "the-bucket"})
    said: list[str] = []

    with use_runtime(Runtime(lambda _scope: account, SystemClock(), said.append)), pytest.raises(SetupError):
        asset.sync(token=given)
    assert asked
    assert {value for each in asked for name, value in each.header_items() if name == "Authorization"} == sent
    assert said == ([] if sent else ["asset source: the token is not sent to GitHub, because this is the sandbox"])
