"""Storages and their objects, against the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.session import ClientError, connect, error_code
from exasol_ci_setup.constructs.workspace import StorageAddress
from exasol_ci_setup.core.errors import (
    CredentialsInvalidError,
    InputError,
    ObjectNotFoundError,
    SetupError,
    StorageConflictError,
    StorageError,
    StorageNotFoundError,
)
from exasol_ci_setup.platform import credentials, storage, workspaces
from exasol_ci_setup.platform.credentials import Credentials
from exasol_ci_setup.platform.storage_session import open_storage
from exasol_ci_setup.platform.workspace_stacks import ensure
from exasol_ci_setup.stacks import state

pytestmark = pytest.mark.live

MINE: dict[str, Any] = {"workspace_id": "123", "storage_name": "mine"}
YOURS: dict[str, Any] = {"workspace_id": "123", "storage_name": "yours"}


@pytest.fixture
def two(context):
    for each in (MINE, YOURS):
        storage.create(**each, context=context)


def client_of(account, found):
    """Return an S3 client with the credentials of a storage, created like in other tools."""
    return account.make(
        "s3",
        aws_access_key_id=found.access_key_id,
        aws_secret_access_key=found.secret_access_key,
        aws_session_token=found.session_token,
    )


def names(context, **more):
    return [found.name for found in storage.list_object(**MINE, **more, context=context)]


def put(context, source, text="content", **more):
    source.write_text(text)
    return storage.put_object(**MINE, src_file=source, context=context, **more)


def test_first_storage_creates_workspace_and_next_uses_it(context):
    made = storage.create(**MINE, context=context)
    stack = state.get(context.account.client("cloudformation"), "workspace-123")
    storage.create(**YOURS, context=context)

    assert (made.workspace_id, made.name) == ("123", "mine")
    assert state.get(context.account.client("cloudformation"), "workspace-123").updated == stack.updated
    assert [each.name for each in storage.list(workspace_id="123", context=context)] == ["mine", "yours"]
    assert storage.list(workspace_id="456", context=context) == ()


@pytest.mark.usefixtures("two")
def test_existing_storage_is_conflict(context):
    with pytest.raises(StorageConflictError, match="storage 'mine' of workspace 123 already exists"):
        storage.create(**MINE, context=context)


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "*", "a b", "-a", "a" * 64, "ä", "${aws:username}", "{{resolve:ssm:a}}"]
)
def test_ambiguous_name_is_rejected(context, name):
    with pytest.raises(InputError, match="--storage-name"):
        storage.create(workspace_id="123", storage_name=name, context=context)
    with pytest.raises(InputError, match="--workspace-id"):
        storage.create(workspace_id=name + "_", storage_name="mine", context=context)


@pytest.mark.parametrize("verb", ["connect", "delete", "list_object"])
@pytest.mark.parametrize("workspace", ["123", "456"])
@pytest.mark.usefixtures("two")
def test_missing_storage_is_not_found(context, verb, workspace):
    with pytest.raises(StorageNotFoundError, match=f"storage 'other' does not exist in workspace {workspace}"):
        getattr(storage, verb)(workspace_id=workspace, storage_name="other", context=context)
    assert credentials.find(workspace, "other") is None


@pytest.mark.usefixtures("two", "enforced")
def test_round_trip_of_50_megabytes(context, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(os.urandom(50_000_000))

    sent = storage.put_object(**MINE, src_file=source, dst_file="data/", context=context)
    fetched = storage.get_object(**MINE, src_file="data/source.bin", dst_file=tmp_path / "copy.bin", context=context)

    assert (sent.name, sent.size) == ("data/source.bin", 50_000_000)
    assert fetched.read_bytes() == source.read_bytes()
    assert storage.delete_object(**MINE, object_name="data/source.bin", context=context) == 1
    assert names(context) == []


@pytest.mark.usefixtures("two", "enforced")
def test_credentials_of_one_storage_are_denied_on_another(context, tmp_path):
    put(context, tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("of another")
    storage.put_object(**YOURS, src_file=tmp_path / "b.txt", context=context)
    bucket = workspaces.find(context, "123").name
    s3 = client_of(context.account, credentials.find("123", "mine"))

    own = s3.get_object(Bucket=bucket, Key="storages/mine/a.txt")["Body"].read()
    refused = {
        "read": lambda: s3.get_object(Bucket=bucket, Key="storages/yours/b.txt"),
        "write": lambda: s3.put_object(Bucket=bucket, Key="storages/yours/c.txt", Body=b""),
        "delete": lambda: s3.delete_object(Bucket=bucket, Key="storages/yours/b.txt"),
        "list": lambda: s3.list_objects_v2(Bucket=bucket, Prefix="storages/yours/"),
        "list all": lambda: s3.list_objects_v2(Bucket=bucket),
        "list uploads": lambda: s3.list_multipart_uploads(Bucket=bucket),
        "a name with the same prefix": lambda: s3.put_object(Bucket=bucket, Key="storages/mine2/a", Body=b""),
        "remove the storage": lambda: s3.delete_object(Bucket=bucket, Key=".storages/mine"),
        "make something public": lambda: s3.put_object(Bucket=bucket, Key="public/a", Body=b""),
        "read records": lambda: s3.get_object(Bucket=bucket, Key=".assets/a.json"),
        "the policy": lambda: s3.delete_bucket_policy(Bucket=bucket),
    }

    assert own == b"content"
    for what, attempt in refused.items():
        with pytest.raises(ClientError) as caught:
            attempt()
        assert error_code(caught.value) == "AccessDenied", what


@pytest.mark.usefixtures("two", "enforced")
def test_second_connection_keeps_first(context, home):
    first = storage.connect(**MINE, context=context)
    storage.connect(**YOURS, context=context)

    assert credentials.find("123", "mine") == Credentials(
        first.region,
        first.access_key_id,
        first.secret_access_key,
        first.session_token,
        first.expires_at.replace(microsecond=0),
    )
    assert list(json.loads((home / ".naas" / "credentials").read_text())["storage"]["123"]) == ["mine", "yours"]
    assert timedelta(minutes=55) < first.expires_at - datetime.now(timezone.utc) <= timedelta(minutes=60)


@pytest.mark.usefixtures("two", "enforced")
def test_expired_credentials_are_renewed(context, tmp_path):
    old = storage.connect(**MINE, context=context)
    ended = datetime.now(timezone.utc) - timedelta(minutes=1)
    credentials.save("123", "mine", Credentials(old.region, old.access_key_id, "gone", "gone", ended))

    put(context, tmp_path / "a.txt")

    assert names(context) == ["a.txt"]
    assert credentials.find("123", "mine").access_key_id != old.access_key_id
    assert credentials.find("123", "mine").are_valid


@pytest.mark.usefixtures("two", "enforced")
def test_credentials_expiring_during_transfer_are_renewed(context):
    old = storage.connect(**MINE, context=context)
    soon = datetime.now(timezone.utc) + timedelta(minutes=5)
    session = open_storage(context, StorageAddress(**MINE))

    s3 = session._with(replace(old, session_token="ended", expires_at=soon))

    assert s3.put_object(Bucket=session.bucket.name, Key="storages/mine/a", Body=b"")
    assert credentials.find("123", "mine").access_key_id != old.access_key_id


@pytest.mark.usefixtures("two", "enforced")
def test_valid_credentials_are_reused(context, tmp_path):
    put(context, tmp_path / "a.txt")
    first = credentials.find("123", "mine")
    put(context, tmp_path / "b.txt")

    assert credentials.find("123", "mine") == first


@pytest.mark.usefixtures("two", "enforced")
def test_credentials_of_another_bucket_are_renewed(context, other_account, tmp_path):
    storage.create(**MINE, context=Context(other_account))
    theirs = storage.connect(**MINE, context=Context(other_account))

    put(context, tmp_path / "a.txt")

    assert names(context) == ["a.txt"]
    assert credentials.find("123", "mine").access_key_id != theirs.access_key_id


@pytest.mark.usefixtures("two", "enforced")
def test_credentials_unknown_to_aws_are_renewed(context, tmp_path):
    far = datetime.now(timezone.utc) + timedelta(days=1)
    credentials.save("123", "mine", Credentials("eu-central-1", "ASIAUNKNOWN000000000", "s", "t", far))

    put(context, tmp_path / "a.txt")

    assert credentials.find("123", "mine").access_key_id != "ASIAUNKNOWN000000000"


@pytest.mark.usefixtures("two", "enforced")
def test_other_account_cannot_assume_role(context, other_account):
    bucket = ensure(context, "123")

    with pytest.raises(SetupError, match="not authorized to perform: sts:AssumeRole"):
        workspaces.session(other_account, bucket, "mine")


_CONNECT = """
import sys
import exasol_ci_setup as naas
print("ready", flush=True)
sys.stdin.readline()
naas.storage.connect(workspace_id="123", storage_name=sys.argv[1])
"""


@pytest.mark.usefixtures("two")
def test_concurrent_connections_are_both_kept(context, server, account_id, home):
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": context.account.region,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _CONNECT, name],
            env=environment,
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("mine", "yours")
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0

    assert credentials.find("123", "mine").are_valid
    assert credentials.find("123", "yours").are_valid
    assert (home / ".naas" / "credentials").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("two")
def test_lists_read_every_page(context):
    bucket = workspaces.find(context, "123").name
    s3 = context.account.client("s3")
    with ThreadPoolExecutor(8) as pool:
        for number in range(1005):
            pool.submit(s3.put_object, Bucket=bucket, Key=f"storages/mine/{number:04}", Body=b"")

    assert names(context) == [f"{number:04}" for number in range(1005)]
    assert names(context, storage_prefix="100") == ["1000", "1001", "1002", "1003", "1004"]
    assert storage.delete(**MINE, empty=True, context=context) == 1005


@pytest.mark.usefixtures("two")
def test_folder_as_destination_keeps_name(context, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()

    put(context, tmp_path / "a.txt")
    put(context, tmp_path / "a.txt", dst_file="deep/er/")
    put(context, tmp_path / "a.txt", dst_file="/deep//b")

    assert names(context) == ["a.txt", "deep/b", "deep/er/a.txt"]
    assert storage.get_object(**MINE, src_file="deep/b", context=context) == Path("b")
    assert storage.get_object(**MINE, src_file="deep/b", dst_file="folder", context=context) == Path("folder/b")
    assert storage.get_object(**MINE, src_file="deep/b", dst_file="folder/c", context=context) == Path("folder/c")
    assert (tmp_path / "folder" / "c").read_text() == "content"


@pytest.mark.parametrize("name", ["..", "a/../b", "./a", "a" * 901, "a\nb"])
@pytest.mark.usefixtures("two")
def test_name_that_clients_change_is_rejected(context, tmp_path, name):
    with pytest.raises(InputError, match="--object-name"):
        put(context, tmp_path / "a.txt", dst_file=name)


@pytest.mark.parametrize("name", ["", "a" * 1025, "a\nb"])
@pytest.mark.usefixtures("two")
def test_invalid_object_name_is_rejected(context, tmp_path, name):
    with pytest.raises(InputError, match="--object-name"):
        storage.get_object(**MINE, src_file=name, dst_file=tmp_path, context=context)
    with pytest.raises(InputError, match="--object-name"):
        storage.delete_object(**MINE, object_name=name, context=context)


# Names of objects of other tools, each with a similar name.
NEIGHBORS = [("t//x", "t/x"), ("/x", "x"), ("x/..", "x"), ("sub/.", "sub"), ("./q", "q"), ("a/../b", "b"), ("x ", "x")]


def put_by_another_tool(context, *found):
    bucket = workspaces.find(context, "123").name
    for name in found:
        context.account.client("s3").put_object(Bucket=bucket, Key=f"storages/mine/{name}", Body=name.encode())


@pytest.mark.parametrize(("name", "neighbor"), NEIGHBORS)
@pytest.mark.usefixtures("two", "enforced")
def test_object_is_downloaded_and_deleted_by_exact_name(context, tmp_path, name, neighbor):
    put_by_another_tool(context, name, neighbor)

    fetched = storage.get_object(**MINE, src_file=name, dst_file=tmp_path / "file", context=context)
    assert fetched.read_bytes() == name.encode()
    assert names(context, storage_prefix=name) == [name]
    assert storage.delete_object(**MINE, object_name=name, context=context) == 1
    assert names(context) == [neighbor]
    with pytest.raises(ObjectNotFoundError):
        storage.get_object(**MINE, src_file=name, dst_file=tmp_path / "file", context=context)
    with pytest.raises(ObjectNotFoundError):
        storage.delete_object(**MINE, object_name=name, context=context)
    assert names(context) == [neighbor]


@pytest.mark.usefixtures("two")
def test_folder_is_deleted_by_exact_name(context):
    put_by_another_tool(context, "t/a", "t//a", "t//b/c", "tr/", "/r")

    assert storage.delete_object(**MINE, object_name="t//", context=context) == 2
    assert storage.delete_object(**MINE, object_name="tr/", context=context) == 1
    assert storage.delete_object(**MINE, object_name="/", context=context) == 1
    assert names(context) == ["t/a"]


@pytest.mark.usefixtures("two")
def test_object_without_file_name_is_rejected_for_folder(context, tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    every = ("x/..", "..", "sub/.", ".", "tr/")
    put_by_another_tool(context, *every)

    for name in every:
        for folder in ("inner", "inner/", ".", "new/"):
            with pytest.raises(InputError, match="cannot name a file"):
                storage.get_object(**MINE, src_file=name, dst_file=folder, context=context)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "inner"]
    assert list((tmp_path / "inner").iterdir()) == []
    for name in every:
        assert storage.get_object(**MINE, src_file=name, dst_file="file", context=context).read_bytes() == name.encode()


@pytest.mark.usefixtures("two")
def test_invalid_destination_is_reported(context, tmp_path):
    put(context, tmp_path / "a.txt")
    (tmp_path / "folder" / "a.txt").mkdir(parents=True)

    with pytest.raises(InputError, match="missing is not a folder"):
        storage.get_object(**MINE, src_file="a.txt", dst_file=tmp_path / "missing" / "a", context=context)
    with pytest.raises(InputError, match=r"a\.txt is a folder"):
        storage.get_object(**MINE, src_file="a.txt", dst_file=tmp_path / "folder", context=context)


@pytest.mark.usefixtures("two")
def test_objects_are_deleted_by_name_or_by_folder(context, tmp_path):
    for name in ("a", "ab", "a/b", "a/c", "d"):
        put(context, tmp_path / "a.txt", dst_file=name)

    with pytest.raises(ObjectNotFoundError, match="has no object 'e'"):
        storage.delete_object(**MINE, object_name="e", context=context)
    assert storage.delete_object(**MINE, object_name="a", context=context) == 1
    assert storage.delete_object(**MINE, object_name="a/", context=context) == 2
    assert names(context) == ["ab", "d"]
    with pytest.raises(ObjectNotFoundError, match="has no object 'a/'"):
        storage.delete_object(**MINE, object_name="a/", context=context)


def test_invalid_credentials_file_is_reported_before_deletion(context):
    storage.create(workspace_id="123", storage_name="mine", context=context)
    credentials.path().parent.mkdir(exist_ok=True)
    credentials.path().write_text("{")

    with pytest.raises(StorageError, match="is not JSON"):
        storage.delete(workspace_id="123", storage_name="mine", context=context)

    assert [each.name for each in storage.list(workspace_id="123", context=context)] == ["mine"]


@pytest.mark.usefixtures("two", "enforced")
def test_storage_with_objects_is_deleted_only_with_empty(context, tmp_path):
    put(context, tmp_path / "a.txt")

    with pytest.raises(StorageConflictError, match="storage 'mine' holds objects"):
        storage.delete(**MINE, context=context)
    assert names(context) == ["a.txt"]

    assert storage.delete(**MINE, empty=True, context=context) == 1
    assert [each.name for each in storage.list(workspace_id="123", context=context)] == ["yours"]
    assert credentials.find("123", "mine") is None
    storage.create(**MINE, context=context)
    assert names(context) == []


@pytest.mark.usefixtures("two")
def test_incomplete_workspace_is_reported(answers):
    answers.on(
        "cloudformation",
        "DescribeStacks",
        {
            "Stacks": [
                {
                    "StackName": "workspace-123",
                    "StackStatus": "CREATE_IN_PROGRESS",
                    "CreationTime": datetime.now(timezone.utc),
                }
            ]
        },
    )

    with pytest.raises(StorageError, match="workspace 123 is not ready: its stack workspace-123 is in CREATE_IN_PROG"):
        storage.list(workspace_id="123", context=Context(answers.account))


def test_missing_account_credentials_are_reported(monkeypatch, server):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    context = Context(connect(region="eu-central-1"))

    with pytest.raises(CredentialsInvalidError, match="no AWS credentials were found"):
        storage.connect(**MINE, context=context)


def test_documented_calls_of_compatible_api_work(monkeypatch, server, account_id):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    naas.storage.create(workspace_id="123", storage_name="my-storage")

    assert [each.name for each in naas.storage.list(workspace_id="123")] == ["my-storage"]


@pytest.mark.parametrize("name", ["index.html", "index.htm", "index.xhtml"])
@pytest.mark.usefixtures("two")
def test_web_page_is_downloaded_unchanged(context, tmp_path, name):
    (tmp_path / name).write_text("<html>hi</html>\n")
    storage.put_object(**MINE, src_file=tmp_path / name, context=context)

    fetched = storage.get_object(**MINE, src_file=name, dst_file=tmp_path / "copy", context=context)

    assert fetched.read_text() == "<html>hi</html>\n"
