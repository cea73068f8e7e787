"""Up- and downloads that break off and go on, against the sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exasol_ci_setup.aws import Account
from exasol_ci_setup.errors import InputError, ObjectNotFound, TransferFailed
from exasol_ci_setup.platform import transfer
from exasol_ci_setup.platform.transfer import PART, Unwatched, download, part_size, upload

pytestmark = pytest.mark.live

SIZE = 5 * PART + 17


class Watched:
    """Remembers how far a transfer was, does something as it begins, and interrupts it after some bytes."""

    def __init__(self, *, until=None, at_begin=lambda: None):
        self.total = self.before = self.sent = 0
        self._until = until
        self._at_begin = at_begin

    def begin(self, total, done, /):
        self.total, self.before = total, done
        self._at_begin()

    def advance(self, count, /):
        self.sent += count
        if self._until is not None and self.sent >= self._until:
            raise KeyboardInterrupt


class Requests:
    """Counts the requests of each operation that an account sends, and breaks the connection at one of them."""

    def __init__(self, account, *, interrupt_at=("", 0)):
        self.counts = {}
        self.ranges = []
        self._interrupt_at = interrupt_at
        self.account = Account(account.session, account.region, account.endpoint_url, self._note)

    def _note(self, *, event_name, request=None, **_):
        if request is None:
            # The answer to it.
            return
        operation = event_name.rpartition(".")[2]
        self.counts[operation] = self.counts.get(operation, 0) + 1
        if "Range" in request.headers:
            self.ranges.append(request.headers["Range"].decode())
        if (operation, self.counts[operation]) == self._interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def bucket(live):
    name = f"bucket-{os.urandom(6).hex()}"
    live.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


def put(account, source, bucket, progress=None):
    return upload(account.client("s3"), source, bucket=bucket, key="data", progress=progress or Unwatched())


def get(account, bucket, target, progress=None):
    return download(
        account.client("s3"), bucket=bucket, key="data", target=target, progress=progress or Unwatched(), name="data"
    )


def content(account, bucket):
    return account.client("s3").get_object(Bucket=bucket, Key="data")["Body"].read()


def uploads():
    return sorted((Path.home() / ".naas" / "uploads").iterdir())


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART])
def test_what_is_uploaded_and_downloaded_is_the_same(live, bucket, tmp_path, size):
    (tmp_path / "a.txt").write_bytes(os.urandom(size))
    sent, fetched = Watched(), Watched()

    assert put(live, tmp_path / "a.txt", bucket, sent) == size
    assert get(live, bucket, tmp_path / "b.txt", fetched) == size

    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
    assert (sent.total, sent.sent) == (fetched.total, fetched.sent) == (size, size)
    assert live.client("s3").head_object(Bucket=bucket, Key="data")["ContentType"] == "text/plain"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "home"]


def test_an_upload_goes_on_from_the_parts_that_are_there(live, bucket, source):
    broken = Requests(live, interrupt_at=("UploadPart", 5))
    with pytest.raises(KeyboardInterrupt):
        put(broken.account, source, bucket)
    assert uploads()

    again, watched = Requests(live), Watched()
    put(again.account, source, bucket, watched)

    assert content(live, bucket) == source.read_bytes()
    assert "CreateMultipartUpload" not in again.counts
    assert 0 < again.counts["UploadPart"] < 6
    assert watched.before >= PART
    assert watched.before + watched.sent == SIZE
    assert uploads() == []


def test_parts_that_are_not_what_the_file_holds_any_more_are_sent_again(live, bucket, source):
    with pytest.raises(KeyboardInterrupt):
        put(Requests(live, interrupt_at=("UploadPart", 6)).account, source, bucket)
    source.write_bytes(os.urandom(3 * PART + 5))

    put(live, source, bucket)

    assert content(live, bucket) == source.read_bytes()


def test_an_upload_that_aws_has_forgotten_begins_anew(live, bucket, source):
    with pytest.raises(KeyboardInterrupt):
        put(Requests(live, interrupt_at=("UploadPart", 2)).account, source, bucket)
    s3 = live.client("s3")
    for unfinished in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]:
        s3.abort_multipart_upload(Bucket=bucket, Key="data", UploadId=unfinished["UploadId"])

    put(live, source, bucket)

    assert content(live, bucket) == source.read_bytes()


def test_a_download_goes_on_where_it_was(live, bucket, source, tmp_path):
    put(live, source, bucket)
    target = tmp_path / "target.bin"
    target.write_bytes(b"as it was")
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, target, Watched(until=2 * PART))
    assert target.read_bytes() == b"as it was"

    again, watched = Requests(live), Watched()
    get(again.account, bucket, target, watched)

    assert target.read_bytes() == source.read_bytes()
    assert watched.before > PART
    assert again.ranges == [f"bytes={watched.before}-"]
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_download_of_web_page_is_resumed(live, bucket, tmp_path):
    page = tmp_path / "index.html"
    page.write_bytes(b"<html>" + os.urandom(2 * PART))
    put(live, page, bucket)
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, tmp_path / "copy", Watched(until=PART))

    get(live, bucket, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == page.read_bytes()


def test_what_arrived_of_another_object_of_this_name_is_not_gone_on_with(live, bucket, source, tmp_path):
    put(live, source, bucket)
    target = tmp_path / "target.bin"
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, target, Watched(until=PART))
    source.write_bytes(os.urandom(SIZE))
    put(live, source, bucket)

    get(live, bucket, target)

    assert target.read_bytes() == source.read_bytes()


def test_an_object_that_is_replaced_while_it_is_fetched_is_told(live, bucket, source, tmp_path):
    put(live, source, bucket)

    def replace():
        live.client("s3").put_object(Bucket=bucket, Key="data", Body=b"new")

    with pytest.raises(TransferFailed, match="data was replaced while it was fetched"):
        get(live, bucket, tmp_path / "target.bin", Watched(at_begin=replace))

    assert not (tmp_path / "target.bin").exists()


def test_what_is_not_what_was_sent_is_not_kept(live, bucket, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"what was sent")
    put(live, tmp_path / "a.txt", bucket)
    target = tmp_path / "target.txt"

    def damage():
        (partial,) = tmp_path.glob(".target.txt.*.part")
        partial.write_bytes(b"WHAT")

    with pytest.raises(TransferFailed, match="what arrived of data is not what was sent"):
        get(live, bucket, target, Watched(at_begin=damage))

    assert not target.exists()
    get(live, bucket, target)
    assert target.read_bytes() == b"what was sent"


def test_two_downloads_into_one_file_do_not_mix(live, bucket, source, tmp_path):
    put(live, source, bucket)
    target = tmp_path / "target.bin"

    def begin_another():
        with pytest.raises(TransferFailed, match="another download writes"):
            get(live, bucket, target)

    get(live, bucket, target, Watched(at_begin=begin_another))

    assert target.read_bytes() == source.read_bytes()


def test_an_object_that_is_not_there_leaves_no_file(live, bucket, tmp_path):
    with pytest.raises(ObjectNotFound, match="there is no object 'data'"):
        get(live, bucket, tmp_path / "target.bin")

    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_cannot_be_read_or_written_is_told(live, bucket, tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        put(live, tmp_path, bucket)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        put(live, tmp_path / "missing", bucket)
    live.client("s3").put_object(Bucket=bucket, Key="data", Body=b"x")
    with pytest.raises(InputError, match="cannot be written to: No such file"):
        get(live, bucket, tmp_path / "missing" / "a")


def test_a_file_that_becomes_shorter_is_told(live, bucket, source):
    def shorten():
        os.truncate(source, PART)

    with pytest.raises(TransferFailed, match="became shorter"):
        put(live, source, bucket, Watched(at_begin=shorten))


@pytest.mark.parametrize(
    ("size", "part"),
    [(1, PART), (10_000 * PART, PART), (10_000 * PART + 1, PART + 1024**2), (50 * 1024**4, 5243 * 1024**2)],
)
def test_there_are_never_more_parts_than_s3_takes(size, part):
    assert part_size(size) == part
    assert -(-size // part) <= transfer._MOST_PARTS


@pytest.mark.parametrize("source", ["/dev/zero", "pipe"])
def test_what_has_no_size_is_not_taken_for_an_empty_file(live, bucket, tmp_path, source):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InputError, match="is no file but a pipe or a device"):
        upload(live.client("s3"), tmp_path / source, bucket=bucket, key="a", progress=Unwatched())


def test_a_file_of_the_kernels_is_not_taken_for_an_empty_one(live, bucket):
    with pytest.raises(TransferFailed, match="holds more than its size says"):
        upload(live.client("s3"), Path("/proc/self/status"), bucket=bucket, key="a", progress=Unwatched())


def test_a_name_of_many_bytes_is_fetched_too(live, bucket, tmp_path):
    s3 = live.client("s3")
    name = "\N{ELEPHANT}" * 60
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")

    download(s3, bucket=bucket, key="a", target=tmp_path / name, progress=Unwatched(), name="a")

    assert (tmp_path / name).read_bytes() == b"content"
