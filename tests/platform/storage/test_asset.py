"""Assets and their links, against the sandbox, which enforces policies."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

import exasol_ci_setup as naas
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AssetConflictError,
    AssetNotFound,
    AssetRequestError,
    NotApprovedError,
    ObjectNotFoundError,
    StorageNotFoundError,
)
from exasol_ci_setup.platform import asset, storage, workspaces
from exasol_ci_setup.platform.place import NullReport, Place

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("enforced")]

CREATION = {"storage_name": "mine", "object_name": "docs/report.pdf"}


@pytest.fixture(autouse=True)
def _storage(place, tmp_path):
    storage.create(workspace_id="123", storage_name="mine", place=place)
    put(place, tmp_path, "first version")


def put(place, tmp_path, text, name="report.pdf"):
    (tmp_path / name).write_text(text)
    storage.put_object(workspace_id="123", storage_name="mine", src_file=tmp_path / name, dst_file="docs/", place=place)


def create(place, *, allow_broadening=False, **more):
    return asset.create(
        workspace_id="123", asset_creation={**CREATION, **more}, allow_broadening=allow_broadening, place=place
    )


def update(place, made, *, allow_broadening=False, **more):
    return asset.update(
        workspace_id="123", asset_id=made.id, asset_update=more, allow_broadening=allow_broadening, place=place
    )


def fetch(url):
    """Return the status, headers and content of a link, requested without credentials."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def is_public(place):
    return workspaces.find(place, "123").is_public


def public_versions(place):
    bucket = workspaces.find(place, "123").name
    found = place.account.client("s3").list_object_versions(Bucket=bucket, Prefix="public/")
    return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]


def test_private_asset_has_link_that_expires(place):
    made = create(place, content_disposition='attachment; filename="Report 1.pdf"')
    status, headers, content = fetch(made.url)

    assert (status, content) == (200, b"first version")
    assert headers["Content-Disposition"] == 'attachment; filename="Report 1.pdf"'
    assert headers["Content-Type"] == "application/pdf"
    assert timedelta(minutes=58) < made.url_expires_at - datetime.now(timezone.utc) < timedelta(minutes=60)
    assert fetch(made.url.partition("?")[0])[0] == 403
    assert not is_public(place)


def test_link_expires_by_its_expiry(place):
    made = create(place)
    query = dict(part.split("=") for part in made.url.partition("?")[2].split("&"))
    signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)

    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert abs(signed + timedelta(seconds=int(query["X-Amz-Expires"])) - made.url_expires_at) <= timedelta(seconds=2)


def test_modified_link_is_denied(place):
    made = create(place)

    assert fetch(made.url.replace("report.pdf", "other.pdf"))[0] == 403
    assert fetch(made.url.replace("inline", "attachment"))[0] == 403


def test_link_to_aws_names_region_of_bucket(place, answers):
    made = create(place)
    answers.on(
        "sts",
        "AssumeRole",
        {
            "Credentials": {
                "AccessKeyId": "ASIAEXAMPLE000000000",
                "SecretAccessKey": "s",
                "SessionToken": "t",
                "Expiration": datetime.now(timezone.utc) + timedelta(hours=1),
            }
        },
    )
    bucket = workspaces.Bucket("123", "the-bucket", "arn:aws:iam::123456789012:role/r", is_public=False)

    found = asset._with_link(Place(answers.account), bucket, made)

    assert found.url.startswith("https://the-bucket.s3.eu-central-1.amazonaws.com/storages/mine/docs/report.pdf?")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in found.url
    policy = json.loads(answers.of("AssumeRole")[0]["Policy"])
    assert policy == workspaces.storage_policy(bucket, "mine")


def test_get_returns_asset_with_new_link(place):
    made = create(place)

    found = asset.get(workspace_id="123", asset_id=made.id, place=place)

    assert fetch(found.url)[2] == b"first version"
    assert (found.id, found.object_name, found.created_at) == (made.id, "docs/report.pdf", made.created_at)


@pytest.mark.parametrize("verb", ["get", "delete", "update"])
@pytest.mark.parametrize("wrong", ["", "nope", "../x", "00000000-0000-4000-8000-000000000000"])
def test_unknown_id_is_not_found(place, verb, wrong):
    more = {"asset_update": {"visibility": "private"}} if verb == "update" else {}

    for workspace in ("123", "456"):
        with pytest.raises(AssetNotFound, match=f"workspace {workspace} has no asset '{wrong}'"):
            getattr(asset, verb)(workspace_id=workspace, asset_id=wrong, place=place, **more)


def test_second_asset_of_object_is_conflict(place):
    made = create(place)

    with pytest.raises(AssetConflictError, match=f"already is an asset: {made.id}"):
        create(place)
    with pytest.raises(AssetConflictError):
        create(place, visibility="public", allow_broadening=True)
    assert not is_public(place)


def test_refused_public_asset_never_opens_bucket(place):
    create(place)

    with pytest.raises(AssetConflictError):
        create(place, visibility="public", allow_broadening=True)

    events = place.account.client("cloudformation").describe_stack_events(StackName="workspace-123")["StackEvents"]
    assert not [each for each in events if each["ResourceStatus"].startswith("UPDATE")]


def test_asset_of_version_keeps_content(place, tmp_path):
    bucket = workspaces.find(place, "123").name
    versions = place.account.client("s3").list_object_versions(Bucket=bucket, Prefix="storages/mine/docs/")["Versions"]
    first = create(place, object_version=versions[0]["VersionId"])
    latest = create(place)
    put(place, tmp_path, "second version")

    assert first.id != latest.id
    assert fetch(first.url)[2] == b"first version"
    assert fetch(latest.url)[2] == b"second version"
    published = update(place, first, visibility="public", allow_broadening=True)
    assert fetch(published.url)[2] == b"first version"


def test_first_public_asset_needs_allow_broadening(place):
    for attempt in (
        lambda: create(place, visibility="public"),
        lambda: update(place, create(place), visibility="public"),
    ):
        with pytest.raises(AssetRequestError, match="workspace 123 has no public assets yet") as caught:
            attempt()
        assert "--allow-broadening" in caught.value.hint
        assert caught.value.exit_code == 2
    assert not is_public(place)


def test_asset_becomes_public_and_private_again(place, tmp_path):
    private = create(place, content_disposition="attachment")

    public = update(place, private, visibility="public", allow_broadening=True)
    status, headers, content = fetch(public.url)
    assert (status, content, headers["Content-Disposition"]) == (200, b"first version", "attachment")
    assert headers["Content-Type"] == "application/pdf"
    assert public.url.endswith(f"/public/{private.id}/report.pdf")
    assert public.url_expires_at is None
    assert is_public(place)

    put(place, tmp_path, "second version")
    assert fetch(public.url)[2] == b"first version"
    again = update(place, public, content_disposition="inline")
    assert (again.url, fetch(again.url)[2]) == (public.url, b"second version")
    assert fetch(again.url)[1]["Content-Disposition"] == "inline"

    back = update(place, again, visibility="private")
    assert fetch(public.url)[0] == 403
    assert fetch(back.url)[2] == b"second version"
    assert public_versions(place) == []
    assert not is_public(place)


@pytest.mark.parametrize("visibility", ["private", "public"])
@pytest.mark.parametrize("name", ["docs//report.pdf", "/docs/report.pdf", "docs/"])
def test_asset_is_of_object_with_exact_name(place, name, visibility):
    with pytest.raises(ObjectNotFoundError):
        create(place, object_name=name, visibility=visibility, allow_broadening=True)
    bucket = workspaces.find(place, "123").name
    place.account.client("s3").put_object(Bucket=bucket, Key=f"storages/mine/{name}", Body=b"of another tool")

    made = create(place, object_name=name, visibility=visibility, allow_broadening=True)

    assert fetch(made.url)[::2] == (200, b"of another tool")


@pytest.mark.parametrize("name", ["docs/../report.pdf", "docs/.", ".."])
def test_name_that_browsers_change_is_rejected(place, name):
    with pytest.raises(AssetRequestError, match=r"--object-name .* browsers remove the parts"):
        create(place, object_name=name)


@pytest.mark.parametrize("visibility", ["private", "public"])
@pytest.mark.parametrize("name", ["index.html", "index.htm", "index.xhtml"])
def test_asset_of_web_page_is_the_page(place, tmp_path, name, visibility):
    put(place, tmp_path, "<html>hi</html>", name)

    made = create(place, object_name=f"docs/{name}", visibility=visibility, allow_broadening=True)

    assert fetch(made.url)[::2] == (200, b"<html>hi</html>")


def test_only_public_assets_are_publicly_readable(place):
    made = create(place, visibility="public", allow_broadening=True)
    root = made.url.partition("/public/")[0]

    assert fetch(made.url)[0] == 200
    assert fetch(f"{root}/storages/mine/docs/report.pdf")[0] == 403
    assert fetch(f"{root}/.assets/{made.id}.json")[0] == 403
    assert fetch(f"{root}?list-type=2")[0] == 403
    assert fetch(f"{root}?list-type=2&prefix=public/")[0] == 403


def test_bucket_is_public_only_with_public_assets(place, tmp_path):
    first = create(place, visibility="public", allow_broadening=True)
    (tmp_path / "b").write_text("b")
    storage.put_object(workspace_id="123", storage_name="mine", src_file=tmp_path / "b", place=place)
    second = create(place, object_name="b", visibility="public")

    asset.delete(workspace_id="123", asset_id=first.id, place=place)
    assert fetch(first.url)[0] in {403, 404}
    assert fetch(second.url)[0] == 200
    asset.delete(workspace_id="123", asset_id=second.id, place=place)
    assert fetch(second.url)[0] == 403
    assert not is_public(place)
    with pytest.raises(AssetNotFound):
        asset.get(workspace_id="123", asset_id=first.id, place=place)


def test_deleted_storage_deletes_its_assets(place):
    made = create(place, visibility="public", allow_broadening=True)

    storage.delete(workspace_id="123", storage_name="mine", empty=True, place=place)

    assert fetch(made.url)[0] == 403
    assert not is_public(place)
    with pytest.raises(AssetNotFound):
        asset.get(workspace_id="123", asset_id=made.id, place=place)


def test_plan_of_public_access_shows_broadening(place):
    class RejectingReporter(NullReport):
        def __init__(self):
            self.plans = []

        def plan(self, plan, /):
            self.plans.append(plan)
            return False

    report = RejectingReporter()
    with pytest.raises(NotApprovedError):
        create(Place(place.account, report=report), visibility="public", allow_broadening=True)

    (plan,) = report.plans
    assert any("everyone" in str(each) for each in plan.broadenings)
    assert not is_public(place)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"visibility": "secret"}, "--visibility 'secret' is invalid"),
        ({"content_disposition": "inline\r\nX: y"}, "--content-disposition"),
        ({"content_disposition": "download"}, "--content-disposition 'download' is invalid"),
        ({"object_name": ""}, "--object-name is invalid: it is required"),
        ({"password": "x"}, "an asset cannot have a password"),
        ({"workspace_id": "456"}, "workspace_id is '123' and '456'"),
        ({"color": "red"}, "--color is invalid: unknown option"),
    ],
)
def test_invalid_asset_is_rejected(place, values, message):
    with pytest.raises(AssetRequestError, match=message):
        create(place, **values)


def test_asset_of_missing_object_is_rejected(place):
    with pytest.raises(ObjectNotFoundError, match="storage 'mine' has no object 'gone'"):
        create(place, object_name="gone")
    with pytest.raises(ObjectNotFoundError, match="in version 00000000"):
        create(place, object_version="00000000")
    with pytest.raises(StorageNotFoundError):
        create(place, storage_name="other")
    with pytest.raises(StorageNotFoundError):
        asset.create(workspace_id="456", asset_creation=CREATION, place=place)


def test_request_may_be_wrapped_and_have_empty_values(place):
    wrapped = {"asset_creation": {**CREATION, "workspace_id": "123", "visibility": "", "password": ""}}

    made = asset.create(workspace_id="123", asset_creation=wrapped, place=place)

    assert (made.visibility, made.content_disposition) == ("private", "inline")
    with pytest.raises(AssetRequestError, match="not an object with names and values"):
        asset.create(workspace_id="123", asset_creation=[], place=place)  # type: ignore[arg-type] # a file may contain a list


def test_concurrent_change_is_conflict(place):
    made = create(place)

    class ChangingReporter(NullReport):
        def plan(self, plan, /):
            if plan.broadenings:
                update(place, made, content_disposition="attachment")
            return True

    with pytest.raises(AssetConflictError, match="was changed by another process"):
        update(Place(place.account, report=ChangingReporter()), made, visibility="public", allow_broadening=True)
    assert not is_public(place)


class BeforeRequests:
    """Calls `disturb`, which may fail, before requests to S3 whose keys begin with `prefix`."""

    def __init__(self, place, operation, prefix, disturb):
        self._events = place.account.client("s3").meta.events
        self._name = f"before-call.s3.{operation}"
        self._prefix = prefix
        self._disturb = disturb

    def _call(self, params, **_more):
        if f"/{self._prefix}" in params["url_path"]:
            self.__exit__()
            self._disturb()

    def __enter__(self):
        self._events.register(self._name, self._call)

    def __exit__(self, *_error):
        self._events.unregister(self._name, self._call)


def interrupt():
    raise KeyboardInterrupt


def refuse():
    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "CopyObject")


def test_interrupted_creation_leaves_no_asset(place):
    with BeforeRequests(place, "CopyObject", "public/", refuse), pytest.raises(AccessDeniedError):
        create(place, visibility="public", allow_broadening=True)

    assert not is_public(place)
    assert fetch(create(place, visibility="public", allow_broadening=True).url)[0] == 200


def test_asset_stays_private_if_publishing_fails(place):
    made = create(place)

    with BeforeRequests(place, "CopyObject", "public/", refuse), pytest.raises(AccessDeniedError):
        update(place, made, visibility="public", allow_broadening=True)

    assert asset.get(workspace_id="123", asset_id=made.id, place=place).visibility == "private"
    assert not is_public(place)


def test_record_stays_public_if_copy_remains(place):
    made = create(place, visibility="public", allow_broadening=True)

    with BeforeRequests(place, "DeleteObject", "public/", interrupt), pytest.raises(KeyboardInterrupt):
        update(place, made, visibility="private")

    assert fetch(made.url)[0] == 200
    assert asset.get(workspace_id="123", asset_id=made.id, place=place).visibility == "public"
    update(place, made, visibility="private")
    assert public_versions(place) == []
    assert not is_public(place)


def test_asset_made_private_concurrently_is_not_published(place):
    made = create(place)

    with (
        BeforeRequests(place, "CopyObject", "public/", lambda: update(place, made, visibility="private")),
        pytest.raises(AssetConflictError, match="was changed by another process"),
    ):
        update(place, made, visibility="public", allow_broadening=True)

    assert public_versions(place) == []
    assert not is_public(place)
    assert asset.get(workspace_id="123", asset_id=made.id, place=place).visibility == "private"


def test_documented_calls_of_compatible_api_work(monkeypatch, server, account_id):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    asset_data = CREATION

    made = naas.asset.create(workspace_id="123", asset_creation=asset_data)

    assert fetch(made.url)[2] == b"first version"
