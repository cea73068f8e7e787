"""Upload URLs, the token and draft releases, with a local server that imitates GitHub."""

from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exasol_ci_setup.builds import github
from exasol_ci_setup.builds.github import Api, Token, UploadUrl
from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, SetupError
from tests.hub import press_ctrl_c, running

TOKEN = "ghp_0123456789secret"


@pytest.fixture
def hub():
    with running() as server:
        server.replies["POST /repos/exasol/s.l/releases"] = (201, {}, {"id": 77, "html_url": "https://github.com/x"})
        server.replies["DELETE /repos/exasol/s.l/releases/77"] = (204, {}, None)
        yield server


@pytest.fixture
def api(hub):
    return Api(hub.url, Token(TOKEN))


@pytest.mark.parametrize("suffix", ["", "{?name,label}"])
@pytest.mark.parametrize("repository", ["script-languages-release", "a.b", "_", "x" * 100])
def test_upload_url_contains_owner_repository_and_release(repository, suffix):
    url = f"https://uploads.github.com/repos/exasol/{repository}/releases/123/assets{suffix}"

    assert github.parse_upload_url(url) == UploadUrl("exasol", repository, 123)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://uploads.github.com/repos/exasol/x/releases/1/assets?name=a",
        "https://uploads.github.com/repos/exasol/x/releases/1/assets/",
        "https://uploads.github.com/repos/exasol/x/releases/1/assets\n",
        "https://uploads.github.com/repos/exasol/x/releases/abc/assets",
        "https://uploads.github.com/repos/exasol/x/releases/0/assets",
        "https://uploads.github.com/repos/exasol/x/releases//assets",
        "https://uploads.github.com/repos/exasol/x/y/releases/1/assets",
        "https://uploads.github.com/repos/exasol/../releases/1/assets",
        "https://uploads.github.com/repos/exasol/./releases/1/assets",
        "https://uploads.github.com/repos/exa.sol/x/releases/1/assets",
        "http://uploads.github.com/repos/exasol/x/releases/1/assets",
        "https://api.github.com/repos/exasol/x/releases/1/assets",
        "https://uploads.github.com.example.org/repos/exasol/x/releases/1/assets",
        "https://uploadsXgithub.com/repos/exasol/x/releases/1/assets",
        "https://github.com/exasol/x/releases/tag/1",
        " https://uploads.github.com/repos/exasol/x/releases/1/assets",
    ],
)
def test_invalid_upload_url_is_rejected_and_shown(url):
    with pytest.raises(InputError) as caught:
        github.parse_upload_url(url)

    assert caught.value.exit_code == 2
    assert repr(url) in caught.value.message
    assert "https://uploads.github.com/repos/OWNER/REPO/releases/ID/assets" in caught.value.hint


@given(st.text())
@example("https://uploads.github.com/repos/a/b/releases/1/assets")
def test_any_text_is_valid_upload_url_or_rejected(text):
    try:
        found = github.parse_upload_url(text)
    except InputError:
        return
    base = f"https://uploads.github.com/repos/{found.owner}/{found.repository}/releases/{found.release_id}/assets"
    assert text in {base, base + "{?name,label}"}


@pytest.mark.parametrize(
    ("api_url", "base"),
    [
        ("https://github.example.org/api/v3", "https://github.example.org/api/uploads"),
        ("https://api.octocorp.ghe.com", "https://uploads.octocorp.ghe.com"),
    ],
)
def test_enterprise_upload_url_requires_its_own_api(api_url, base):
    url = f"{base}/repos/exasol/x/releases/9/assets{{?name,label}}"

    assert github.parse_upload_url(url, api_url=api_url).release_id == 9
    with pytest.raises(InputError):
        github.parse_upload_url(url)


@pytest.mark.parametrize(
    "name", ["exasol", "exasol/", "/x", "exasol/..", "exasol/x/y", "https://github.com/exasol/x", "e x/y"]
)
def test_invalid_repository_name_is_rejected(name):
    with pytest.raises(InputError, match="--repo-name"):
        github.require_repository(name)


def test_token_of_environment_is_read_without_line_break():
    assert github.token_from_environment({"GITHUB_TOKEN": f"{TOKEN}\n"}).value == TOKEN


@pytest.mark.parametrize("environment", [{}, {"GITHUB_TOKEN": ""}, {"GITHUB_TOKEN": " \n"}])
def test_missing_token_exits_2_with_variable_name(environment):
    with pytest.raises(InputError, match="GITHUB_TOKEN"):
        github.token_from_environment(environment)


@pytest.mark.parametrize("value", ["ghp_a b", "ghp_a\r\nX-Evil: 1", "ghp_ä", "x" * 5000])
def test_invalid_token_is_rejected_without_showing_it(value):
    with pytest.raises(InputError) as caught:
        github.token_from_environment({"GITHUB_TOKEN": value})

    assert value not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "http://github.example.org",
        "ftp://x",
        "api.github.com",
        "https://",
        "https://u:p@x",
        "https://x?a=b",
        "https://[x",
        "http://127.0.0.1:1/ä",
        "https://x/a b",
    ],
)
def test_invalid_or_unsafe_api_url_is_rejected(url):
    with pytest.raises(InputError, match="GITHUB_API_URL"):
        github.api_url_from_environment({"GITHUB_API_URL": url})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "https://api.github.com"),
        ("https://x/api/v3/", "https://x/api/v3"),
        ("http://127.0.0.1:99", "http://127.0.0.1:99"),
        ("http://[::1]:99", "http://[::1]:99"),
    ],
)
def test_api_url_is_read_from_environment(given, expected):
    assert github.api_url_from_environment({"GITHUB_API_URL": given}) == expected


def test_test_release_is_draft_prerelease_of_branch(hub, api):
    release = api.create_test_release("exasol/s.l", branch="feature/x", title="My title")

    ((method, path, headers, body),) = hub.asked
    assert (release.id, release.url) == (77, "https://github.com/x")
    assert (method, path) == ("POST", "/repos/exasol/s.l/releases")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["User-Agent"].startswith("exasol-ci-setup/")
    assert body["tag_name"].startswith("test-release-")
    del body["tag_name"], body["body"]
    assert body == {"target_commitish": "feature/x", "name": "My title", "draft": True, "prerelease": True}


def test_release_is_deleted(hub, api):
    api.delete_release("exasol/s.l", 77)

    assert [(method, path) for method, path, _, _ in hub.asked] == [("DELETE", "/repos/exasol/s.l/releases/77")]


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, SetupError, "still valid"),
        (403, SetupError, "permission to write"),
        (404, InputError, "names of repository"),
        (422, InputError, "the branch exists"),
        (429, SetupError, "rate of requests"),
        (503, SetupError, "githubstatus"),
        (418, SetupError, ""),
    ],
)
def test_refusal_reports_reason_of_github_with_hint(hub, api, status, kind, hint):
    answer = {"message": "Sorry", "errors": [{"field": "target_commitish", "code": "invalid"}, "and more"]}
    hub.replies["POST /repos/exasol/s.l/releases"] = (status, {}, answer)

    with pytest.raises(SetupError) as caught:
        api.create_test_release("exasol/s.l", branch="x", title="y")

    assert isinstance(caught.value, kind)
    assert caught.value.exit_code == kind.exit_code
    assert f"Sorry: target_commitish invalid, and more (HTTP {status})" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'"text"', b'{"errors": 5}'])
def test_invalid_response_is_error_without_traceback(hub, api, body):
    for status in (201, 502):
        hub.replies["POST /repos/exasol/s.l/releases"] = (status, {}, body)
        with pytest.raises(SetupError, match="GitHub did not create a release"):
            api.create_test_release("exasol/s.l", branch="x", title="y")


def test_unreachable_github_is_named_by_host():
    with running() as hub:
        url = hub.url

    with pytest.raises(SetupError, match=r"could not be reached at 127\.0\.0\.1"):
        Api(url, Token(TOKEN)).delete_release("exasol/s.l", 77)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_of_moved_repository_keeps_method_and_body(hub, api, status):
    hub.replies["POST /repos/old/name/releases"] = (status, {"Location": "/repositories/5/releases"}, None)
    hub.replies["POST /repositories/5/releases"] = (201, {}, {"id": 5})

    assert api.create_test_release("old/name", branch="x", title="y").id == 5
    assert [body["name"] for _, _, _, body in hub.asked] == ["y", "y"]


def test_redirect_to_another_host_is_not_followed(hub, api):
    with running() as elsewhere:
        target = {"Location": f"{elsewhere.url}/repos/exasol/s.l/releases"}
        hub.replies["POST /repos/exasol/s.l/releases"] = (307, target, None)

        with pytest.raises(SetupError, match=r"HTTP 307") as caught:
            api.create_test_release("exasol/s.l", branch="x", title="y")

        assert "the token is not sent" in caught.value.hint
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:abc/x", "http://[x", "//[", "http://127.0.0.1:99999/", "file:///etc/passwd"]
)
def test_redirect_without_location_is_error_without_traceback(hub, api, location):
    hub.replies["POST /repos/a/b/releases"] = (307, {"Location": location.format(hub=hub.url)}, None)

    with pytest.raises(SetupError, match="HTTP 307"):
        api.create_test_release("a/b", branch="x", title="y")


@pytest.mark.parametrize("status", [201, 502])
def test_truncated_response_is_error_without_traceback(hub, api, status):
    hub.replies["POST /repos/exasol/s.l/releases"] = (status, {"Content-Length": "1000", "Connection": "close"}, b"{")

    with pytest.raises(SetupError, match="could not be reached"):
        api.create_test_release("exasol/s.l", branch="x", title="y")


def test_endless_response_times_out(hub):
    proceed = threading.Event()
    hub.on_request = lambda _method: proceed.wait(60)

    with pytest.raises(SetupError, match="no complete response within"):
        Api(hub.url, Token(TOKEN), seconds=0.05).delete_release("exasol/s.l", 77)
    proceed.set()


def made(hub, *tags):
    """The existing releases: those with these tags, and one with the tag of the requested draft."""
    return lambda: (200, {}, [{"id": 1, "tag_name": tag} for tag in tags] + [{"id": 77, "tag_name": asked(hub)}])


def asked(hub):
    return next(body["tag_name"] for method, _, _, body in hub.asked if method == "POST")


LIST = "GET /repos/exasol/s.l/releases?per_page=100"


@pytest.mark.parametrize("reply", [(502, {}, None), (201, {}, {"no": "id"}), (201, {"Content-Length": "9"}, b"{")])
def test_draft_without_response_is_found_by_tag_and_deleted(hub, api, reply):
    hub.replies["POST /repos/exasol/s.l/releases"] = reply
    hub.replies[LIST] = made(hub, "v1", "v2")

    with pytest.raises(SetupError) as caught:
        api.create_test_release("exasol/s.l", branch="x", title="y")

    assert [path for method, path, _, _ in hub.asked if method == "DELETE"] == ["/repos/exasol/s.l/releases/77"]
    assert "deleted again" in caught.value.hint


@pytest.mark.parametrize("listed", [(200, {}, []), (200, {}, {"odd": 1}), (200, {}, [5, {}]), (500, {}, None)])
def test_draft_of_unknown_state_is_named_with_title_and_tag(hub, clock, listed):
    hub.replies["POST /repos/exasol/s.l/releases"] = (502, {}, None)
    hub.replies[LIST] = listed

    with pytest.raises(SetupError) as caught:
        Api(hub.url, Token(TOKEN), clock).create_test_release("exasol/s.l", branch="x", title="My title")

    assert "'My title'" in caught.value.hint
    assert asked(hub) in caught.value.hint


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_rejected_draft_is_not_searched(hub, api, status):
    hub.replies["POST /repos/exasol/s.l/releases"] = (status, {}, {"message": "no"})

    with pytest.raises(SetupError):
        api.create_test_release("exasol/s.l", branch="x", title="y")

    assert [method for method, *_ in hub.asked] == ["POST"]


def test_ctrl_c_during_creation_deletes_draft(hub, clock):
    answered = threading.Event()

    def press(method):
        if method == "POST":
            press_ctrl_c()
            answered.wait(10)
        answered.set()

    hub.on_request = press
    hub.replies[LIST] = made(hub)

    with pytest.raises(OperationInterruptedError) as caught:
        Api(hub.url, Token(TOKEN), clock).create_test_release("exasol/s.l", branch="x", title="y")

    assert "deleted again" in caught.value.hint


def test_redirect_cycle_fails(hub, api):
    hub.replies["POST /repos/a/b/releases"] = (307, {"Location": "/repos/a/b/releases"}, None)

    with pytest.raises(SetupError, match="HTTP 307"):
        api.create_test_release("a/b", branch="x", title="y")


def test_token_is_not_in_logs_or_errors(hub, api, caplog):
    caplog.set_level(logging.DEBUG)
    hub.replies["POST /repos/exasol/s.l/releases"] = (401, {}, {"message": "Bad credentials"})

    with pytest.raises(SetupError) as caught:
        api.create_test_release("exasol/s.l", branch="x", title="y")

    assert TOKEN not in caplog.text
    assert TOKEN not in f"{caught.value!r} {vars(caught.value)} {api!r} {caught.value.__cause__!r}"
