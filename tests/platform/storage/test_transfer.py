"""Uploads and downloads with interruptions, against the sandbox."""

from __future__ import annotations

import base64
import itertools
import os
import resource
import socket
from io import BytesIO
from pathlib import Path

import anycrc
import pytest

from exasol_ci_setup.aws.session import Account
from exasol_ci_setup.core.errors import AccessDeniedError, InputError, ObjectNotFoundError, TransferFailedError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.platform import upload as uploading
from exasol_ci_setup.platform.download import download, download_stream
from exasol_ci_setup.platform.upload import PART, part_size, upload, upload_stream
from tests.answers import AwsError
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

SIZE = 5 * PART + 17


class Watched(NullReporter):
    """Records progress and notes, calls functions, and raises KeyboardInterrupt after `until` bytes."""

    def __init__(self, *, until=None, at_begin=lambda: None, at_progress=lambda: None):
        self.notes = []
        self.total = None
        self.before = self.sent = 0
        self._until = until
        self._at_begin = at_begin
        self._at_progress = at_progress

    def note(self, message, /):
        self.notes.append(message)

    def progress(self, done=0, total=None, /):
        if self.total is None:
            self.total, self.before = total, done
            self._at_begin()
            return
        assert total == self.total
        assert done >= self.before + self.sent
        self.sent = done - self.before
        self._at_progress()
        if self._until is not None and self.sent >= self._until:
            raise KeyboardInterrupt


class Requests:
    """Counts the requests of each operation of an account, and interrupts one of them."""

    def __init__(self, account, *, interrupt_at=("", 0)):
        self.counts = {}
        self.ranges = []
        self._interrupt_at = interrupt_at
        self.account = Account(account.session, account.region, account.endpoint_url, self._note)

    def _note(self, *, event_name, request=None, **_):
        if request is None:
            # The answer to `interrupt_at`.
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


def put(account, source, bucket, reporter=None):
    return upload(account.client("s3"), source, bucket=bucket, key="data", reporter=reporter or NullReporter())


def get(account, bucket, target, reporter=None):
    return download(
        account.client("s3"), bucket=bucket, key="data", target=target, reporter=reporter or NullReporter(), name="data"
    )


def content(account, bucket):
    return account.client("s3").get_object(Bucket=bucket, Key="data")["Body"].read()


def uploads():
    return sorted((Path.home() / ".naas" / "uploads").iterdir())


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART])
def test_round_trip_keeps_content(live, bucket, tmp_path, size):
    (tmp_path / "a.txt").write_bytes(os.urandom(size))
    sent, fetched = Watched(), Watched()

    assert put(live, tmp_path / "a.txt", bucket, sent) == size
    assert get(live, bucket, tmp_path / "b.txt", fetched) == size

    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
    assert (sent.total, sent.sent) == (fetched.total, fetched.sent) == (size, size)
    assert live.client("s3").head_object(Bucket=bucket, Key="data")["ContentType"] == "text/plain"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "home"]


def test_interrupted_upload_resumes(live, bucket, source):
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


def test_changed_parts_are_uploaded_again(live, bucket, source):
    with pytest.raises(KeyboardInterrupt):
        put(Requests(live, interrupt_at=("UploadPart", 6)).account, source, bucket)
    source.write_bytes(os.urandom(3 * PART + 5))

    put(live, source, bucket)

    assert content(live, bucket) == source.read_bytes()


def test_upload_unknown_to_aws_restarts(live, bucket, source):
    with pytest.raises(KeyboardInterrupt):
        put(Requests(live, interrupt_at=("UploadPart", 2)).account, source, bucket)
    s3 = live.client("s3")
    for pending in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]:
        s3.abort_multipart_upload(Bucket=bucket, Key="data", UploadId=pending["UploadId"])

    put(live, source, bucket)

    assert content(live, bucket) == source.read_bytes()


def test_interrupted_download_resumes(live, bucket, source, tmp_path):
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
    fetched = [[int(each) for each in text.removeprefix("bytes=").split("-")] for text in again.ranges]
    assert watched.before + sum(last - first + 1 for first, last in fetched) == SIZE
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_download_of_web_page_is_resumed(live, bucket, tmp_path):
    page = tmp_path / "index.html"
    page.write_bytes(b"<html>" + os.urandom(2 * PART))
    put(live, page, bucket)
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, tmp_path / "copy", Watched(until=PART))

    get(live, bucket, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == page.read_bytes()


def test_download_of_replaced_object_restarts(live, bucket, source, tmp_path):
    put(live, source, bucket)
    target = tmp_path / "target.bin"
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, target, Watched(until=PART))
    source.write_bytes(os.urandom(SIZE))
    put(live, source, bucket)

    get(live, bucket, target)

    assert target.read_bytes() == source.read_bytes()


def test_object_replaced_during_download_is_reported(live, bucket, source, tmp_path):
    put(live, source, bucket)

    def replace():
        live.client("s3").put_object(Bucket=bucket, Key="data", Body=b"new")

    with pytest.raises(TransferFailedError, match="data was replaced during the download"):
        get(live, bucket, tmp_path / "target.bin", Watched(at_begin=replace))

    assert not (tmp_path / "target.bin").exists()


def test_damaged_download_is_discarded(live, bucket, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"what was sent")
    put(live, tmp_path / "a.txt", bucket)
    target = tmp_path / "target.txt"

    with pytest.raises(TransferFailedError, match="downloaded data of data is damaged"):
        get(live, bucket, target, Watched(at_progress=lambda: damage(tmp_path, at=0)))

    assert not target.exists()
    get(live, bucket, target)
    assert target.read_bytes() == b"what was sent"


FIRST_PART = 5 * 1024**2  # bytes; minimum of S3 for all parts except the last


def put_in_parts(s3, bucket, content, /, sizes=(FIRST_PART,), **more):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="data", **more)["UploadId"]
    address = {"Bucket": bucket, "Key": "data", "UploadId": upload_id}
    borders = [0, *itertools.accumulate(sizes), len(content)]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**address, PartNumber=number, Body=content[start:end])["ETag"]}
        for number, (start, end) in enumerate(itertools.pairwise(borders), 1)
    ]
    s3.complete_multipart_upload(**address, MultipartUpload={"Parts": parts})


def put_without_checksum(s3, bucket, content):
    def remove_checksum(request, **_):
        for name in [name for name in request.headers if "checksum" in name.lower()]:
            del request.headers[name]

    s3.meta.events.register_first("before-sign.s3.PutObject", remove_checksum)
    try:
        s3.put_object(Bucket=bucket, Key="data", Body=content, ServerSideEncryption="AES256")
    finally:
        s3.meta.events.unregister("before-sign.s3.PutObject", remove_checksum)


# Ways to put an object, and the checksum algorithms that S3 then reports.
OBJECTS = {
    "in one request": (lambda s3, bucket, content: s3.put_object(Bucket=bucket, Key="data", Body=content), "CRC32"),
    "in one request, by its SHA-256": (
        lambda s3, bucket, content: s3.put_object(Bucket=bucket, Key="data", Body=content, ChecksumAlgorithm="SHA256"),
        "SHA256",
    ),
    "in one request, without a checksum": (put_without_checksum, ""),
    "in parts, of the whole": (
        lambda *where: put_in_parts(*where, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"),
        "CRC32",
    ),
    "in parts, of the parts": (lambda *where: put_in_parts(*where, ChecksumAlgorithm="CRC32"), "CRC32"),
    "in parts, of the parts, by SHA256": (lambda *where: put_in_parts(*where, ChecksumAlgorithm="SHA256"), "SHA256"),
    "in unequal parts, of the parts": (
        lambda s3, bucket, content: put_in_parts(
            s3, bucket, content, sizes=(FIRST_PART, FIRST_PART + 7), ChecksumAlgorithm="SHA1"
        ),
        "SHA1",
    ),
    "in parts, without a checksum": (lambda *where: put_in_parts(*where, ServerSideEncryption="AES256"), ""),
}


@pytest.fixture(params=OBJECTS)
def stored(live, bucket, request):
    """The content of an object that another tool has put."""
    content = os.urandom(11 * 1024**2 + 17)
    put_it, algorithm = OBJECTS[request.param]
    put_it(live.client("s3"), bucket, content)
    head = live.client("s3").head_object(Bucket=bucket, Key="data", ChecksumMode="ENABLED")
    assert [name for name in head if name.startswith("Checksum") and name != "ChecksumType"] == (
        [f"Checksum{algorithm}"] if algorithm else []
    )
    return content


def damage(folder, at):
    (partial,) = folder.glob(".target.*.part")
    with partial.open("r+b") as file:
        file.seek(at)
        file.write(b"XXXX")


def test_resume_from_damaged_part_file_gives_object(live, bucket, tmp_path, stored):
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, tmp_path / "target", Watched(until=5 * 1024**2))
    damage(tmp_path, at=1024**2 + 100)

    watched = Watched()
    get(live, bucket, tmp_path / "target", watched)

    assert (tmp_path / "target").read_bytes() == stored
    assert watched.before >= 4 * 1024**2
    assert watched.notes == []
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(("algorithm", "model", "size"), [("CRC64NVME", "CRC64-NVME", 8), ("CRC32C", "CRC32-ISCSI", 4)])
def test_cyclic_checksums_of_other_tools_are_compared(live, bucket, tmp_path, algorithm, model, size):
    body = os.urandom(50_000)
    checksum = anycrc.Model(model).calc(body).to_bytes(size, "big")
    # The sandbox compares it with its own computation.
    live.client("s3").put_object(
        Bucket=bucket, Key="data", Body=body, **{f"Checksum{algorithm}": base64.b64encode(checksum).decode()}
    )
    watched = Watched()

    get(live, bucket, tmp_path / "target", watched)

    assert (tmp_path / "target").read_bytes() == body
    assert watched.notes == []


@pytest.mark.parametrize(
    "stored", ["in one request", "in parts, of the parts", "in parts, without a checksum"], indirect=True
)
def test_damaged_download_fails_and_next_run_succeeds(live, bucket, tmp_path, stored):
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, tmp_path / "target", Watched(until=3 * 1024**2))

    with pytest.raises(TransferFailedError, match="downloaded data of data is damaged"):
        get(live, bucket, tmp_path / "target", Watched(at_begin=lambda: damage(tmp_path, 100)))

    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    get(live, bucket, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == stored


@pytest.mark.parametrize("more", [b"", b"more"])
def test_part_file_without_digests_is_not_trusted(live, bucket, tmp_path, more):
    live.client("s3").put_object(Bucket=bucket, Key="data", Body=os.urandom(2 * 1024**2))
    with pytest.raises(KeyboardInterrupt):
        get(live, bucket, tmp_path / "target", Watched(until=1024**2))
    for digests in tmp_path.glob(".target.*.sums"):
        digests.write_bytes(more)

    watched = Watched()
    get(live, bucket, tmp_path / "target", watched)

    assert watched.before == 0
    assert (tmp_path / "target").read_bytes() == content(live, bucket)


@pytest.mark.parametrize(
    "head",
    [
        {"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "yv66vg=="},
        {"ChecksumType": "FULL_OBJECT", "ChecksumSHA1": "yv66vsr+ur7K/rq+yv66vsr+ur4="},
        {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": "yv66vsr+ur4="},
        {"ChecksumType": "FULL_OBJECT", "ChecksumCRC32C": "yv66vg=="},
        {"ServerSideEncryption": "AES256"},
    ],
)
def test_wrong_checksum_is_rejected(answers, tmp_path, head):
    body = {"Body": b"what was sent", "ContentRange": "bytes 0-12/13", "ContentLength": 13}
    answers.on("s3", "HeadObject", {"ContentLength": 13, "ETag": f'"{"0" * 32}"', **head})
    answers.on("s3", "GetObject", body)

    with pytest.raises(TransferFailedError, match="downloaded data of data is damaged"):
        get(answers.account, "bucket", tmp_path / "target")

    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_answer_without_range_is_rejected(answers, tmp_path):
    answers.on("s3", "HeadObject", {"ContentLength": 13, "ETag": '"0"'})
    answers.on("s3", "GetObject", {"Body": b"what was sent", "ContentLength": 13})

    with pytest.raises(TransferFailedError, match="not the requested range from byte 0"):
        get(answers.account, "bucket", tmp_path / "target")


def test_connections_without_data_stop_download(answers, tmp_path):
    answers.on("s3", "HeadObject", {"ContentLength": 13, "ETag": '"0"'})
    answers.on("s3", "GetObject", {"Body": b"", "ContentRange": "bytes 0-12/13", "ContentLength": 0})

    with pytest.raises(TransferFailedError, match="the download of data stopped: no more data"):
        get(answers.account, "bucket", tmp_path / "target")

    assert answers.names().count("GetObject") == 6


@pytest.mark.parametrize(("code", "kind"), [("NoSuchKey", ObjectNotFoundError), ("AccessDenied", AccessDeniedError)])
def test_object_deleted_or_denied_during_download_is_reported(answers, tmp_path, code, kind):
    answers.on("s3", "HeadObject", {"ContentLength": 13, "ETag": '"0"'})
    answers.on("s3", "GetObject", AwsError(code, "no"))

    with pytest.raises(kind):
        get(answers.account, "bucket", tmp_path / "target")


def test_full_disk_is_reported_with_destination(live, bucket, tmp_path):
    live.client("s3").put_object(Bucket=bucket, Key="data", Body=bytes(3 * 1024**2))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 1024**2, limits[1]))
    try:
        with pytest.raises(InputError, match="target cannot be written: File too large") as failed:
            get(live, bucket, tmp_path / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert str(tmp_path / "target") in failed.value.message
    get(live, bucket, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == bytes(3 * 1024**2)


@pytest.mark.parametrize("name", ["pipe", "null", "socket"])
def test_special_file_as_destination_is_rejected(live, bucket, tmp_path, name):
    live.client("s3").put_object(Bucket=bucket, Key="data", Body=b"content")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))

    def existing():
        found = (tmp_path / name).lstat()
        # Without the time of the last access, which reading a link changes.
        return sorted(tmp_path.iterdir()), found.st_ino, found.st_mode, found.st_ctime_ns

    before = existing()

    with pytest.raises(InputError, match=f"{name} cannot be written: it is a device, a pipe or a socket"), listening:
        get(live, bucket, tmp_path / name)

    assert existing() == before


def test_second_download_to_same_file_is_rejected(live, bucket, source, tmp_path):
    put(live, source, bucket)
    target = tmp_path / "target.bin"

    def begin_another():
        with pytest.raises(TransferFailedError, match="another download is writing"):
            get(live, bucket, target)

    get(live, bucket, target, Watched(at_begin=begin_another))

    assert target.read_bytes() == source.read_bytes()


def test_missing_object_leaves_no_file(live, bucket, tmp_path):
    with pytest.raises(ObjectNotFoundError, match="object 'data' does not exist"):
        get(live, bucket, tmp_path / "target.bin")

    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_unreadable_and_unwritable_files_are_reported(live, bucket, tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        put(live, tmp_path, bucket)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        put(live, tmp_path / "missing", bucket)
    live.client("s3").put_object(Bucket=bucket, Key="data", Body=b"x")
    with pytest.raises(InputError, match="missing/a cannot be written: No such file"):
        get(live, bucket, tmp_path / "missing" / "a")


def test_file_truncated_during_upload_is_reported(live, bucket, source):
    def shorten():
        os.truncate(source, PART)

    with pytest.raises(TransferFailedError, match="was shortened"):
        put(live, source, bucket, Watched(at_begin=shorten))


@pytest.mark.parametrize(
    ("size", "part"),
    [(1, PART), (10_000 * PART, PART), (10_000 * PART + 1, PART + 1024**2), (50 * 1024**4, 5243 * 1024**2)],
)
def test_part_count_stays_within_s3_limit(size, part):
    assert part_size(size) == part
    assert -(-size // part) <= uploading._MOST_PARTS


@pytest.mark.parametrize("source", ["/dev/zero", "pipe"])
def test_special_file_as_source_is_rejected(live, bucket, tmp_path, source):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InputError, match="is not a regular file"):
        upload(live.client("s3"), tmp_path / source, bucket=bucket, key="a", reporter=NullReporter())


def test_kernel_file_as_source_is_rejected(live, bucket):
    with pytest.raises(TransferFailedError, match="has more content than its reported size"):
        upload(live.client("s3"), Path("/proc/self/status"), bucket=bucket, key="a", reporter=NullReporter())


def test_long_name_is_downloaded(live, bucket, tmp_path):
    s3 = live.client("s3")
    name = "\N{ELEPHANT}" * 60
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")

    download(s3, bucket=bucket, key="a", target=tmp_path / name, reporter=NullReporter(), name="a")

    assert (tmp_path / name).read_bytes() == b"content"


def test_damaged_stream_is_reported_after_writing(answers):
    answers.on(
        "s3",
        "HeadObject",
        {"ContentLength": 3, "ETag": '"0"', "ChecksumType": "FULL_OBJECT", "ChecksumCRC32": "yv66vg=="},
    )
    answers.on("s3", "GetObject", {"Body": b"abc", "ContentRange": "bytes 0-2/3", "ContentLength": 3})
    written: list[bytes] = []

    with pytest.raises(TransferFailedError, match="that was written is damaged") as caught:
        download_stream(
            answers.account.client("s3"), written.append, bucket="b", key="k", reporter=NullReporter(), name="k"
        )

    assert caught.value.exit_code == 1
    assert written == [b"abc"]


@pytest.mark.parametrize(
    "head",
    [
        {"ChecksumType": "FULL_OBJECT"},
        # AWS does not promise how the ETag of parts is computed.
        {"ServerSideEncryption": "AES256", "ETag": '"cafebabecafebabecafebabecafebabe-1"'},
        {"ServerSideEncryption": "aws:kms", "ETag": '"cafebabecafebabecafebabecafebabe"'},
    ],
)
def test_content_without_known_checksum_is_reported(answers, tmp_path, head):
    answers.on("s3", "HeadObject", {"ContentLength": 3, "ETag": '"0-2"', **head})
    answers.on("s3", "GetObject", {"Body": b"abc", "ContentRange": "bytes 0-2/3", "ContentLength": 3})
    reporter = RecordingReporter()

    download(answers.account.client("s3"), bucket="b", key="k", target=tmp_path / "k", reporter=reporter, name="k")

    assert [note for note in reporter.notes if "was not verified" in note]


def test_wrong_checksum_of_parts_is_rejected(answers, tmp_path):
    head = {"ContentLength": 3, "ETag": '"0-2"', "ChecksumType": "COMPOSITE", "ChecksumCRC32": "yv66vg==-1"}
    answers.on("s3", "HeadObject", head)
    answers.on("s3", "GetObject", {"Body": b"abc", "ContentRange": "bytes 0-2/3", "ContentLength": 3})

    with pytest.raises(TransferFailedError, match="downloaded data of k is damaged"):
        download(
            answers.account.client("s3"),
            bucket="b",
            key="k",
            target=tmp_path / "k",
            reporter=NullReporter(),
            name="k",
        )


def test_failed_stream_upload_deletes_its_parts(answers):
    answers.on("s3", "CreateMultipartUpload", {"UploadId": "1"})
    answers.on("s3", "UploadPart", AwsError("AccessDenied", "no", status=403))
    answers.on("s3", "AbortMultipartUpload", {})

    with pytest.raises(AccessDeniedError):
        upload_stream(answers.account.client("s3"), BytesIO(b"x" * PART), bucket="b", key="k", reporter=NullReporter())

    assert answers.names()[-1] == "AbortMultipartUpload"
