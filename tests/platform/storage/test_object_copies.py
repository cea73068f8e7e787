"""Copies and moves of objects on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.core.errors import (
    InputError,
    ObjectNotFoundError,
    StorageConflictError,
    StorageNotFoundError,
    TransferFailedError,
)
from exasol_ci_setup.platform import object_copies, storage
from tests.answers import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exasol_ci_setup.aws.context import Context

pytestmark = pytest.mark.live


@pytest.fixture
def put(context: Context, tmp_path: Path) -> Callable[..., None]:
    """A function that stores objects, each with its name as the content, in the storage `one`; `two` is empty."""
    for name in ("one", "two"):
        storage.create(workspace_id="7", storage_name=name, context=context)

    def run(*names: str) -> None:
        for name in names:
            file = tmp_path / "file.txt"
            file.write_text(name, encoding="utf-8")
            storage.put_object(workspace_id="7", storage_name="one", src_file=file, dst_file=name, context=context)

    return run


def names(context: Context, name: str = "one") -> list[str]:
    return [each.name for each in storage.list_object(workspace_id="7", storage_name=name, context=context)]


def content(context: Context, name: str, of: str = "one") -> str:
    parts: list[bytes] = []
    storage.read_object(workspace_id="7", storage_name=of, src_file=name, write=parts.append, context=context)
    return b"".join(parts).decode()


def copy(context: Context, source: str, destination: str = ".", **values: Any) -> list[str]:
    made = storage.copy_object(
        workspace_id="7", storage_name="one", src_file=source, dst_file=destination, context=context, **values
    )
    return [each.name for each in made]


def move(context: Context, source: str, destination: str = ".", **values: Any) -> list[str]:
    made = storage.move_object(
        workspace_id="7", storage_name="one", src_file=source, dst_file=destination, context=context, **values
    )
    return [each.name for each in made]


@pytest.mark.usefixtures("enforced")
def test_object_is_renamed_within_storage(context, put):
    put("a/b.txt")
    assert copy(context, "a/b.txt", "c.txt") == ["c.txt"]
    assert move(context, "a/b.txt", "d/") == ["d/b.txt"]
    assert names(context) == ["c.txt", "d/b.txt"]
    assert content(context, "d/b.txt") == content(context, "c.txt") == "a/b.txt"


@pytest.mark.usefixtures("enforced")
def test_object_moves_to_other_storage_and_workspace(context, put):
    put("a/b.txt", "keep")
    assert copy(context, "a/b.txt", dst_storage="two") == ["b.txt"]
    storage.create(workspace_id="8", storage_name="far", context=context)
    assert move(context, "a/b.txt", "x.txt", dst_workspace="8", dst_storage="far") == ["x.txt"]

    assert (names(context), names(context, "two")) == (["keep"], ["b.txt"])
    [far] = storage.list_object(workspace_id="8", storage_name="far", context=context)
    assert (far.name, far.size) == ("x.txt", len("a/b.txt"))


def test_folder_keeps_exact_names_below_it(context, live, put):
    put("a/one", "a/sub/two", "ab")
    bucket = live.client("s3").list_buckets()["Buckets"][0]["Name"]
    live.client("s3").put_object(Bucket=bucket, Key="storages/one/a//three", Body=b"3")

    assert move(context, "a/", "z/", dst_storage="two") == ["z//three", "z/one", "z/sub/two"]
    assert names(context) == ["ab"]
    assert content(context, "z//three", "two") == "3"


def test_mark_of_folder_is_not_copied_out_of_it(context, live, put):
    put("a/one")
    bucket = live.client("s3").list_buckets()["Buckets"][0]["Name"]
    live.client("s3").put_object(Bucket=bucket, Key="storages/one/a/", Body=b"")

    assert move(context, "a/") == ["one"]
    assert names(context) == ["a/", "one"]
    assert move(context, "a/", "b/") == ["b/"]
    assert names(context) == ["b/", "one"]


@pytest.mark.parametrize(("destination", "folder"), [("/", ""), ("/z//y/", "z/y/")])
def test_empty_parts_of_destination_folder_are_removed(context, put, destination, folder):
    put("a/one", "b")
    assert copy(context, "a/", destination) == [f"{folder}one"]
    assert copy(context, "b", destination, dst_storage="two") == [f"{folder}b"]


def test_copy_keeps_type_of_object(context, live, put):
    put("page.html")
    bucket = live.client("s3").list_buckets()["Buckets"][0]["Name"]
    copy(context, "page.html", "other")
    head = [live.client("s3").head_object(Bucket=bucket, Key=f"storages/one/{each}") for each in ("page.html", "other")]
    assert head[0]["ContentType"] == head[1]["ContentType"]


def test_object_above_limit_of_one_request_is_copied_in_parts(context, live, put, monkeypatch, tmp_path):
    put("small")
    (tmp_path / "large.html").write_bytes(b"<p>bread</p>" * 1_000_000)
    storage.put_object(workspace_id="7", storage_name="one", src_file=tmp_path / "large.html", context=context)
    monkeypatch.setattr(object_copies, "_LARGEST_COPY", 1_000)

    copy(context, "large.html", "copy.html")

    assert content(context, "copy.html") == "<p>bread</p>" * 1_000_000
    bucket = live.client("s3").list_buckets()["Buckets"][0]["Name"]
    assert live.client("s3").head_object(Bucket=bucket, Key="storages/one/copy.html")["ContentType"] == "text/html"


@pytest.mark.parametrize(
    ("source", "destination", "values", "error", "message"),
    [
        ("a", ".", {}, InputError, "object 'a' is its own destination"),
        ("f/", ".", {"dst_storage": "none"}, StorageNotFoundError, "storage 'none' does not exist in workspace 7"),
        ("a", ".", {"dst_workspace": "9"}, StorageNotFoundError, "storage 'one' does not exist in workspace 9"),
        ("none", "b", {}, ObjectNotFoundError, "object 'none' does not exist"),
        ("none/", "b/", {}, ObjectNotFoundError, "has no object 'none/'"),
        ("f/", "b", {}, InputError, "the destination of folder 'f/' is not a folder: 'b'"),
        ("f/", "f/g/", {}, InputError, "folder 'f/g/' is in folder 'f/'"),
        ("f/", "./", {}, InputError, "--destination './' is invalid"),
        ("f/", "g/../", {"dst_storage": "two"}, InputError, "--destination 'g/../' is invalid"),
        ("a", "../b", {}, InputError, "--destination '../b' is invalid"),
        ("a", "b" * 1000, {}, InputError, "at most 900 bytes"),
        ("", "b", {}, InputError, "--source '' is invalid"),
        ("a", ".", {"dst_storage": ""}, InputError, "--to-storage '' is invalid"),
        ("a", ".", {"dst_workspace": "a b"}, InputError, "--to-workspace 'a b' is invalid"),
    ],
)
@pytest.mark.parametrize("verb", [copy, move])
def test_refused_copy_changes_nothing(context, put, verb, source, destination, values, error, message):
    put("a", "f/x")
    with pytest.raises(error) as found:
        verb(context, source, destination, **values)
    assert message in found.value.message
    assert names(context) == ["a", "f/x"]


@pytest.mark.parametrize("verb", [copy, move])
@pytest.mark.parametrize("destination", [".", "a/"])
def test_copy_over_other_source_changes_nothing(context, put, verb, destination):
    folder = "a/" if destination == "." else "a/a/"
    put(f"{folder}x", f"{folder}a/x")
    with pytest.raises(InputError) as found:
        verb(context, folder, destination)
    assert found.value.message == f"the copy of '{folder}a/x' would replace '{folder}x', which is copied too"
    assert [content(context, each) for each in names(context)] == [f"{folder}a/x", f"{folder}x"]


def replied(answers: Any, copied: dict[str, Any], *, later: str = '"1"') -> None:
    """Answer HeadObject for the source, the copy, and the source before its deletion, with the ETag `later`."""
    source = {"ContentLength": 3, "ETag": '"1"', "ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "AAAAAA=="}
    answers.on("s3", "HeadObject", [source, {**source, **copied}, {**source, "ETag": later}])
    answers.on("s3", "CopyObject", {})


def copies(answers: Any) -> Any:
    client = answers.account.client("s3")
    return object_copies._Copies(
        client, "b", "storages/one/", "b", "storages/one/", {"storages/one/a": "storages/one/b"}
    )


@pytest.mark.parametrize("copied", [{"ContentLength": 2}, {"ChecksumCRC32": "AAAAAB=="}])
def test_copy_that_differs_is_reported(answers, copied):
    replied(answers, copied)
    with pytest.raises(TransferFailedError, match="the copy of object 'a' differs"):
        object_copies._copy(copies(answers))


@pytest.mark.parametrize("copied", [{}, {"ChecksumType": "COMPOSITE", "ChecksumCRC32": "AAAAAB==-2"}])
def test_copy_with_other_kind_of_checksum_is_accepted(answers, copied):
    replied(answers, copied)
    made, tags = object_copies._copy(copies(answers))
    assert [each.name for each in made] == ["b"]
    assert tags == {"storages/one/a": '"1"'}


def test_object_that_changes_during_copy_is_reported(answers):
    replied(answers, {})
    answers.on("s3", "CopyObject", AwsError("PreconditionFailed", status=412))
    with pytest.raises(TransferFailedError, match="object 'a' changed while it was copied"):
        object_copies._copy(copies(answers))


def test_source_that_was_replaced_is_not_deleted(answers):
    replied(answers, {}, later='"2"')
    given = copies(answers)
    _, tags = object_copies._copy(given)
    with pytest.raises(
        StorageConflictError, match="object 'a' was replaced while it was copied: no object was deleted"
    ):
        object_copies._delete_sources(given, tags)
    assert "DeleteObjects" not in answers.names()
