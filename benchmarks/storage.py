"""Transfers and lists of a storage, beside `aws s3`."""

from __future__ import annotations

import filecmp
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from benchmarks.measure import AWS, OURS, REGION, alternately, rows, run, sandbox, versions
from benchmarks.page import machine, table, write
from exasol_ci_setup.aws.session import connect

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

BYTES: Final = 200_000_000
OBJECTS: Final = 5_000
_PIECE: Final = 1_000_000
STORAGE_TOOLS: Final = ("exasol-ci-setup", "awscli", "ministack")
_STORAGE: Final = ("-w", "1", "-s", "data")


def transfers(rounds: int) -> tuple[str, str, str]:
    """Return the tables for an upload, a download and a list: those of `aws s3` first."""
    with sandbox() as (folder, env):
        env["HOME"] = str(folder)
        run([OURS, "storage", "create", *_STORAGE], env)
        bucket = _bucket(env)
        source = folder / "source"
        _write(source)
        place = f"s3://{bucket}/storages/data"
        put = alternately(
            {
                "`aws s3 cp`": [AWS, "s3", "cp", "--quiet", str(source), f"{place}/aws"],
                "`storage put-object`": _ours("put-object", source, "ours"),
            },
            env,
            rounds,
        )
        got = alternately(
            {
                "`aws s3 cp`": [AWS, "s3", "cp", "--quiet", f"{place}/ours", str(folder / "of-aws")],
                "`storage get-object`": _ours("get-object", "aws", folder / "ours"),
            },
            env,
            rounds,
        )
        for name in ("ours", "of-aws"):
            if not filecmp.cmp(source, folder / name, shallow=False):
                sys.exit(f"{name} differs from the source")
        _fill(env, bucket)
        listed = alternately(
            {
                "`aws s3 ls`": [AWS, "s3", "ls", f"s3://{bucket}/storages/data/many/"],
                "`storage list-object`": [OURS, "storage", "list-object", *_STORAGE, "--prefix", "many/"],
            },
            env,
            rounds,
        )
    header = ["", "time", "memory", "ratio to the first"]
    put_table, got_table, list_table = (table(header, rows(each, next(iter(each)))) for each in (put, got, listed))
    return put_table, got_table, list_table


def _ours(verb: str, source: str | Path, destination: str | Path) -> list[str]:
    return [OURS, "storage", verb, *_STORAGE, "--source", str(source), "--destination", str(destination)]


def _write(path: Path) -> None:
    """Write random content in pieces: the peak memory of this process counts as that of its children."""
    with path.open("wb") as file:
        for _ in range(BYTES // _PIECE):
            file.write(os.urandom(_PIECE))


def _bucket(env: dict[str, str]) -> str:
    found = _client(env).list_buckets()["Buckets"]
    return next(each["Name"] for each in found if each["Name"].startswith("workspace-1"))


def _fill(env: dict[str, str], bucket: str) -> None:
    client = _client(env)

    def put(number: int) -> None:
        client.put_object(Bucket=bucket, Key=f"storages/data/many/{number:05}", Body=b"x")

    with ThreadPoolExecutor(8) as workers:
        list(workers.map(put, range(OBJECTS)))


def _client(env: dict[str, str]) -> S3Client:
    keys = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    return connect(region=REGION, endpoint_url=env["AWS_ENDPOINT_URL"], access_key=keys).client("s3")


def measure(rounds: int) -> None:
    """Write the tables into the page."""
    head = f"{machine()}. {versions(STORAGE_TOOLS)}. {rounds} rounds."
    titles = ("Upload of 200 MB", "Download of 200 MB", "List of 5,000 objects")
    tables = (f"### {title}\n\n{text}" for title, text in zip(titles, transfers(rounds), strict=True))
    write("storage", "\n\n".join((head, *tables)))


if __name__ == "__main__":
    measure(3)
