"""Uploads, downloads and synchronization of folders, against the sandbox."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.core.errors import InputError, ObjectNotFoundError, TransferFailedError
from exasol_ci_setup.platform import folders, workspaces
from exasol_ci_setup.platform.folders import Folder
from exasol_ci_setup.platform.upload import PART

pytestmark = pytest.mark.live

LARGE = os.urandom(PART + 5)


@pytest.fixture
def storage(context):
    naas.storage.create(workspace_id="123", storage_name="data", context=context)
    return context


@pytest.fixture
def source(tmp_path):
    """A folder with files at several depths, one of them larger than a part."""
    folder = tmp_path / "source"
    for name, content in {"a.txt": b"a", "deep/er/b.txt": b"b", "deep/large": LARGE, "empty": b""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def folder_of(path, prefix="site/"):
    return Folder("123", "data", path, prefix)


def content(path):
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def names(context, prefix=""):
    found = naas.storage.list_object(workspace_id="123", storage_name="data", storage_prefix=prefix, context=context)
    return [each.name for each in found]


def put(context, key, body=b"x"):
    """Put an object as another tool does, with any name."""
    bucket = workspaces.find(context, "123")
    context.account.client("s3").put_object(Bucket=bucket.name, Key=f"storages/data/{key}", Body=body)


def send(context, folder, **options):
    plan = folders.plan_upload(folder, context=context, **options)
    folders.run(folder, plan, context=context)
    return plan


def receive(context, folder, **options):
    plan = folders.plan_download(folder, context=context, **options)
    folders.run(folder, plan, context=context)
    return plan


def test_folder_is_uploaded_and_downloaded(storage, source, tmp_path):
    sent = send(storage, folder_of(source))
    received = receive(storage, folder_of(tmp_path / "copy"))

    assert names(storage) == ["site/a.txt", "site/deep/er/b.txt", "site/deep/large", "site/empty"]
    assert content(tmp_path / "copy") == content(source)
    assert sent.size == received.size == 2 + len(LARGE)


def test_sync_transfers_changed_files_only_and_deletes_on_request(storage, source, tmp_path):
    send(storage, folder_of(source))
    copy = folder_of(tmp_path / "copy")
    receive(storage, copy)

    # Downloaded files have the times of their objects, so that nothing differs in either direction.
    assert send(storage, copy, only_changed=True).transfers == ()
    assert receive(storage, copy, only_changed=True).transfers == ()

    (source / "a.txt").write_bytes(b"changed")
    (source / "empty").unlink()
    put(storage, "other")
    again = send(storage, folder_of(source), only_changed=True, delete=True)
    (tmp_path / "copy" / "mine").write_bytes(b"mine")
    back = receive(storage, copy, only_changed=True, delete=True)

    assert [each.name for each in again.transfers] == ["site/a.txt"]
    assert again.deletions == ("site/empty",)
    assert names(storage) == ["other", "site/a.txt", "site/deep/er/b.txt", "site/deep/large"]
    assert [each.name for each in back.transfers] == ["site/a.txt"]
    assert sorted(Path(each).name for each in back.deletions) == ["empty", "mine"]
    assert content(tmp_path / "copy") == content(source)


def test_names_that_leave_folder_are_not_written(storage, tmp_path):
    for name in ("site/good", "site/../../out", "site//double", "site/", "site/folder/"):
        put(storage, name, b"" if name.endswith("/") else b"x")

    with pytest.raises(
        TransferFailedError, match=r"2 files of 3 failed: site/\.\./\.\./out: no file can have this name"
    ) as caught:
        receive(storage, folder_of(tmp_path / "copy"), delete=True)

    # The same command would fail again.
    assert "get-object --destination FILE" in caught.value.hint
    assert content(tmp_path / "copy") == {"good": b"x"}
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["copy"]


def test_failed_file_stops_neither_others_nor_deletes(storage, tmp_path):
    for name in ("site/a", "site/a/b", "site/c"):
        put(storage, name)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "mine").write_bytes(b"mine")
    (copy / "a").mkdir()

    with pytest.raises(TransferFailedError, match=r"1 file of 3 failed: site/a: .*is a folder"):
        receive(storage, folder_of(copy), delete=True)

    assert content(copy) == {"a/b": b"x", "c": b"x", "mine": b"mine"}


def test_links_and_special_files_are_followed_or_ignored(storage, source, reporter):
    (source / "link").symlink_to(source / "a.txt")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe")

    send(storage, folder_of(source))

    assert "site/link" in names(storage)
    assert len(names(storage)) == 5
    (note,) = [note for note in reporter.notes if note.startswith("ignored")]
    assert str(source / "loop") in note
    assert str(source / "pipe") in note


def test_unreadable_folder_deletes_nothing(storage, source, monkeypatch):
    send(storage, folder_of(source))
    (source / "a.txt").unlink()
    scan = os.scandir

    def deny(path):
        # Root can read every folder, so permissions cannot cause the error.
        if str(path).endswith("er"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    for plan in (folders.plan_upload, folders.plan_download):
        with pytest.raises(InputError, match=r"deep/er cannot be read: Permission denied"):
            plan(folder_of(source), only_changed=True, delete=True, context=storage)


def test_file_whose_name_no_new_object_can_have_is_downloaded_again(storage, tmp_path):
    put(storage, "site/two\nlines")

    first = receive(storage, folder_of(tmp_path / "copy"))
    second = receive(storage, folder_of(tmp_path / "copy"), only_changed=True, delete=True)

    assert [len(each.transfers) for each in (first, second)] == [1, 0]
    assert content(tmp_path / "copy") == {"two\nlines": b"x"}


def test_only_part_files_of_downloads_are_omitted(storage, source):
    for name in (".mine.part", ".mine.sums", ".a.0123456789ab.part", ".a.0123456789ab.sums"):
        (source / name).write_bytes(b"x")

    send(storage, folder_of(source))

    assert [name for name in names(storage) if name.startswith("site/.")] == ["site/.mine.part", "site/.mine.sums"]


def test_invalid_folders_are_rejected(storage, source, tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        folders.plan_upload(folder_of(source / "a.txt"), context=storage)
    with pytest.raises(InputError, match="new objects cannot be below 'a//'"):
        folders.plan_upload(folder_of(source, "a//"), delete=True, context=storage)
    with pytest.raises(ObjectNotFoundError, match="has no objects below 'none/'"):
        folders.plan_download(folder_of(tmp_path, "none/"), delete=True, context=storage)
