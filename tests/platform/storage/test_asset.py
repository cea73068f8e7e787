"""Assets and their links, against the sandbox, which enforces policies."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product

import pytest
from botocore.exceptions import ClientError

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AssetConflictError,
    AssetNotFound,
    AssetRequestError,
    NotApprovedError,
    ObjectNotFoundError,
    StorageNotFoundError,
)
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.platform import asset, storage, workspaces
from tests.reporters import RecordingReporter

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("enforced")]

CREATION = {"storage_name": "mine", "object_name": "docs/report.pdf"}


@pytest.fixture(autouse=True)
def _storage(context, tmp_path):
    storage.create(workspace_id="123", storage_name="mine", context=context)
    put(context, tmp_path, "first version")


def put(context, tmp_path, text, name="report.pdf"):
    (tmp_path / name).write_text(text)
    storage.put_object(
        workspace_id="123", storage_name="mine", src_file=tmp_path / name, dst_file="docs/", context=context
    )


def create(context, *, allow_broadening=False, **more):
    return asset.create(
        workspace_id="123", asset_creation={**CREATION, **more}, allow_broadening=allow_broadening, context=context
    )


def update(context, made, *, allow_broadening=False, **more):
    return asset.update(
        workspace_id="123", asset_id=made.id, asset_update=more, allow_broadening=allow_broadening, context=context
    )


def fetch(url):
    """Return the status, headers and content of a link, requested without credentials."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def is_public(context):
    return workspaces.find(context, "123").is_public


def public_versions(context):
    bucket = workspaces.find(context, "123").name
    found = context.account.client("s3").list_object_versions(Bucket=bucket, Prefix="public/")
    return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]


def test_private_asset_has_link_that_expires(context):
    made = create(context, content_disposition='attachment; filename="Report 1.pdf"')
    status, headers, content = fetch(made.url)

    assert (status, content) == (200, b"first version")
    assert headers["Content-Disposition"] == 'attachment; filename="Report 1.pdf"'
    assert headers["Content-Type"] == "application/pdf"
    assert timedelta(minutes=58) < made.url_expires_at - datetime.now(timezone.utc) < timedelta(minutes=60)
    assert fetch(made.url.partition("?")[0])[0] == 403
    assert not is_public(context)


def test_link_expires_by_its_expiry(context):
    made = create(context)
    query = dict(part.split("=") for part in made.url.partition("?")[2].split("&"))
    signed = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)

    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert abs(signed + timedelta(seconds=int(query["X-Amz-Expires"])) - made.url_expires_at) <= timedelta(seconds=2)


def test_modified_link_is_denied(context):
    made = create(context)

    assert fetch(made.url.replace("report.pdf", "other.pdf"))[0] == 403
    assert fetch(made.url.replace("inline", "attachment"))[0] == 403


def test_link_to_aws_names_region_of_bucket(context, answers):
    made = create(context)
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

    found = asset._with_link(Context(answers.account), bucket, made)

    assert found.url.startswith("https://the-bucket.s3.eu-central-1.amazonaws.com/storages/mine/docs/report.pdf?")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in found.url
    policy = json.loads(answers.of("AssumeRole")[0]["Policy"])
    assert policy == workspaces.storage_policy(bucket, "mine")


def test_get_returns_asset_with_new_link(context):
    made = create(context)

    found = asset.get(workspace_id="123", asset_id=made.id, context=context)

    assert fetch(found.url)[2] == b"first version"
    assert (found.id, found.object_name, found.created_at) == (made.id, "docs/report.pdf", made.created_at)


def test_link_to_moved_object_is_reported(context):
    made = create(context)
    reporter = RecordingReporter()
    watched = replace(context, reporter=reporter)

    asset.get(workspace_id="123", asset_id=made.id, context=watched)
    assert reporter.notes == []

    storage.move_object(
        workspace_id="123", storage_name="mine", src_file="docs/report.pdf", dst_file="new.pdf", context=context
    )
    found = asset.get(workspace_id="123", asset_id=made.id, context=watched)
    assert reporter.notes == ["the link does not work: storage 'mine' has no object 'docs/report.pdf'"]
    assert fetch(found.url)[0] == 404


@pytest.mark.parametrize("verb", ["get", "delete", "update"])
def test_unknown_id_is_not_found(context, verb):
    more = {"asset_update": {"visibility": "private"}} if verb == "update" else {}
    unknown = ("", "nope", "../x", "00000000-0000-4000-8000-000000000000")

    for workspace, wrong in product(("123", "456"), unknown):
        with pytest.raises(AssetNotFound, match=f"workspace {workspace} has no asset '{wrong}'"):
            getattr(asset, verb)(workspace_id=workspace, asset_id=wrong, context=context, **more)


def test_second_asset_of_object_is_conflict(context):
    made = create(context)

    with pytest.raises(AssetConflictError, match=f"already is an asset: {made.id}"):
        create(context)
    with pytest.raises(AssetConflictError):
        create(context, visibility="public", allow_broadening=True)
    assert not is_public(context)


def test_refused_public_asset_never_opens_bucket(context):
    create(context)

    with pytest.raises(AssetConflictError):
        create(context, visibility="public", allow_broadening=True)

    events = context.account.client("cloudformation").describe_stack_events(StackName="workspace-123")["StackEvents"]
    assert not [each for each in events if each["ResourceStatus"].startswith("UPDATE")]


def test_asset_of_version_keeps_content(context, tmp_path):
    bucket = workspaces.find(context, "123").name
    versions = context.account.client("s3").list_object_versions(Bucket=bucket, Prefix="storages/mine/docs/")[
        "Versions"
    ]
    first = create(context, object_version=versions[0]["VersionId"])
    latest = create(context)
    put(context, tmp_path, "second version")

    assert first.id != latest.id
    assert fetch(first.url)[2] == b"first version"
    assert fetch(latest.url)[2] == b"second version"
    published = update(context, first, visibility="public", allow_broadening=True)
    assert fetch(published.url)[2] == b"first version"


def test_first_public_asset_needs_allow_broadening(context):
    for attempt in (
        lambda: create(context, visibility="public"),
        lambda: update(context, create(context), visibility="public"),
    ):
        with pytest.raises(AssetRequestError, match="workspace 123 has no public assets yet") as caught:
            attempt()
        assert "--allow-broadening" in caught.value.hint
        assert caught.value.exit_code == 2
    assert not is_public(context)


def test_asset_becomes_public_and_private_again(context, tmp_path):
    private = create(context, content_disposition="attachment")

    public = update(context, private, visibility="public", allow_broadening=True)
    status, headers, content = fetch(public.url)
    assert (status, content, headers["Content-Disposition"]) == (200, b"first version", "attachment")
    assert headers["Content-Type"] == "application/pdf"
    assert public.url.endswith(f"/public/{private.id}/report.pdf")
    assert public.url_expires_at is None
    assert is_public(context)

    put(context, tmp_path, "second version")
    assert fetch(public.url)[2] == b"first version"
    again = update(context, public, content_disposition="inline")
    assert (again.url, fetch(again.url)[2]) == (public.url, b"second version")
    assert fetch(again.url)[1]["Content-Disposition"] == "inline"

    back = update(context, again, visibility="private")
    assert fetch(public.url)[0] == 403
    assert fetch(back.url)[2] == b"second version"
    assert public_versions(context) == []
    assert not is_public(context)


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_asset_is_of_object_with_exact_name(context, visibility):
    bucket = workspaces.find(context, "123").name
    for name in ("docs//report.pdf", "/docs/report.pdf", "docs/"):
        with pytest.raises(ObjectNotFoundError):
            create(context, object_name=name, visibility=visibility, allow_broadening=True)
        content = f"of another tool: {name}".encode()
        context.account.client("s3").put_object(Bucket=bucket, Key=f"storages/mine/{name}", Body=content)

        made = create(context, object_name=name, visibility=visibility, allow_broadening=True)

        assert fetch(made.url)[::2] == (200, content)


def test_name_that_browsers_change_is_rejected(context):
    for name in ("docs/../report.pdf", "docs/.", ".."):
        with pytest.raises(AssetRequestError, match=r"--object-name .* browsers remove the parts"):
            create(context, object_name=name)


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_asset_of_web_page_is_page_itself(context, tmp_path, visibility):
    for name in ("index.html", "index.htm", "index.xhtml"):
        put(context, tmp_path, f"<html>{name}</html>", name)

        made = create(context, object_name=f"docs/{name}", visibility=visibility, allow_broadening=True)

        assert fetch(made.url)[::2] == (200, f"<html>{name}</html>".encode())


def test_only_public_assets_are_publicly_readable(context):
    made = create(context, visibility="public", allow_broadening=True)
    root = made.url.partition("/public/")[0]

    assert fetch(made.url)[0] == 200
    assert fetch(f"{root}/storages/mine/docs/report.pdf")[0] == 403
    assert fetch(f"{root}/.assets/{made.id}.json")[0] == 403
    assert fetch(f"{root}?list-type=2")[0] == 403
    assert fetch(f"{root}?list-type=2&prefix=public/")[0] == 403


def test_bucket_is_public_only_with_public_assets(context, tmp_path):
    first = create(context, visibility="public", allow_broadening=True)
    (tmp_path / "b").write_text("b")
    storage.put_object(workspace_id="123", storage_name="mine", src_file=tmp_path / "b", context=context)
    second = create(context, object_name="b", visibility="public")

    asset.delete(workspace_id="123", asset_id=first.id, context=context)
    assert fetch(first.url)[0] in {403, 404}
    assert fetch(second.url)[0] == 200
    asset.delete(workspace_id="123", asset_id=second.id, context=context)
    assert fetch(second.url)[0] == 403
    assert not is_public(context)
    with pytest.raises(AssetNotFound):
        asset.get(workspace_id="123", asset_id=first.id, context=context)


def test_deleted_storage_deletes_its_assets(context):
    made = create(context, visibility="public", allow_broadening=True)

    storage.delete(workspace_id="123", storage_name="mine", empty=True, context=context)

    assert fetch(made.url)[0] == 403
    assert not is_public(context)
    with pytest.raises(AssetNotFound):
        asset.get(workspace_id="123", asset_id=made.id, context=context)


def test_plan_of_public_access_shows_broadening(context):
    report = RecordingReporter(lambda _plan: False)
    with pytest.raises(NotApprovedError):
        create(Context(context.account, reporter=report), visibility="public", allow_broadening=True)

    (plan,) = report.plans
    assert any("everyone" in str(each) for each in plan.broadenings)
    assert not is_public(context)


def test_invalid_asset_is_rejected(context):
    for values, message in (
        ({"visibility": "secret"}, "--visibility 'secret' is invalid"),
        ({"content_disposition": "inline\r\nX: y"}, "--content-disposition"),
        ({"content_disposition": "download"}, "--content-disposition 'download' is invalid"),
        ({"object_name": ""}, "--object-name is invalid: it is required"),
        ({"password": "x"}, "an asset cannot have a password"),
        ({"workspace_id": "456"}, "workspace_id is '123' and '456'"),
        ({"color": "red"}, "--color is invalid: unknown option"),
    ):
        with pytest.raises(AssetRequestError, match=message):
            create(context, **values)


def test_asset_of_missing_object_is_rejected(context):
    with pytest.raises(ObjectNotFoundError, match="storage 'mine' has no object 'gone'"):
        create(context, object_name="gone")
    with pytest.raises(ObjectNotFoundError, match="in version 00000000"):
        create(context, object_version="00000000")
    with pytest.raises(StorageNotFoundError):
        create(context, storage_name="other")
    with pytest.raises(StorageNotFoundError):
        asset.create(workspace_id="456", asset_creation=CREATION, context=context)


def test_request_may_be_wrapped_and_have_empty_values(context):
    wrapped = {"asset_creation": {**CREATION, "workspace_id": "123", "visibility": "", "password": ""}}

    made = asset.create(workspace_id="123", asset_creation=wrapped, context=context)

    assert (made.visibility, made.content_disposition) == ("private", "inline")
    with pytest.raises(AssetRequestError, match="not an object with names and values"):
        asset.create(workspace_id="123", asset_creation=[], context=context)  # type: ignore[arg-type] # a file may contain a list


def test_concurrent_change_is_conflict(context):
    made = create(context)

    class ChangingReporter(NullReporter):
        def confirm(self, plan, /):
            if plan.broadenings:
                update(context, made, content_disposition="attachment")
            return True

    with pytest.raises(AssetConflictError, match="was changed by another process") as found:
        update(Context(context.account, reporter=ChangingReporter()), made, visibility="public", allow_broadening=True)
    assert not is_public(context)
    assert f"asset get --workspace-id {made.workspace_id} --asset-id {made.id}`" in found.value.hint


class BeforeRequests:
    """Calls `disturb`, which may fail, before requests to S3 whose keys begin with `prefix`."""

    def __init__(self, context, operation, prefix, disturb):
        self._events = context.account.client("s3").meta.events
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


def test_interrupted_creation_leaves_no_asset(context):
    with BeforeRequests(context, "CopyObject", "public/", refuse), pytest.raises(AccessDeniedError):
        create(context, visibility="public", allow_broadening=True)

    assert not is_public(context)
    assert fetch(create(context, visibility="public", allow_broadening=True).url)[0] == 200


def test_asset_stays_private_if_publishing_fails(context):
    made = create(context)

    with BeforeRequests(context, "CopyObject", "public/", refuse), pytest.raises(AccessDeniedError):
        update(context, made, visibility="public", allow_broadening=True)

    assert asset.get(workspace_id="123", asset_id=made.id, context=context).visibility == "private"
    assert not is_public(context)


def test_record_stays_public_if_copy_remains(context):
    made = create(context, visibility="public", allow_broadening=True)

    with BeforeRequests(context, "DeleteObject", "public/", interrupt), pytest.raises(KeyboardInterrupt):
        update(context, made, visibility="private")

    assert fetch(made.url)[0] == 200
    assert asset.get(workspace_id="123", asset_id=made.id, context=context).visibility == "public"
    update(context, made, visibility="private")
    assert public_versions(context) == []
    assert not is_public(context)


def test_asset_made_private_concurrently_is_not_published(context):
    made = create(context)

    with (
        BeforeRequests(context, "CopyObject", "public/", lambda: update(context, made, visibility="private")),
        pytest.raises(AssetConflictError, match="was changed by another process"),
    ):
        update(context, made, visibility="public", allow_broadening=True)

    assert public_versions(context) == []
    assert not is_public(context)
    assert asset.get(workspace_id="123", asset_id=made.id, context=context).visibility == "private"


def test_documented_calls_of_compatible_api_work(monkeypatch, server, account_id):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    asset_data = CREATION

    made = naas.asset.create(workspace_id="123", asset_creation=asset_data)

    assert fetch(made.url)[2] == b"first version"
