"""The file with the credentials of storages."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.errors import StorageError
from exasol_ci_setup.platform import credentials, private_files
from exasol_ci_setup.platform.credentials import Credentials

ROOT = Path(__file__).parents[3]
FRESH = Credentials(
    region="eu-central-1",
    access_key_id="ASIAEXAMPLE",
    secret_access_key="a secret",
    session_token="a token",
    expires_at=datetime(2099, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_an_entry_has_the_shape_that_other_tools_read(home):
    credentials.save("123", "my-storage", FRESH)

    assert json.loads((home / ".naas" / "credentials").read_text()) == {
        "storage": {
            "123": {
                "my-storage": {
                    "s3": {
                        "REGION_NAME": "eu-central-1",
                        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
                        "AWS_SECRET_ACCESS_KEY": "a secret",
                        "AWS_SESSION_TOKEN": "a token",
                        "AWS_SESSION_EXPIRATION_TOKEN": "2099-01-02 03:04:05+0000",
                    }
                }
            }
        }
    }
    assert credentials.find("123", "my-storage") == FRESH


def test_the_file_is_for_its_owner_alone_whatever_it_was_before(home):
    (home / ".naas").mkdir(mode=0o755)
    credentials.path().write_text("{}")
    credentials.path().chmod(0o644)

    credentials.save("123", "my-storage", FRESH)

    assert mode(credentials.path()) == 0o600
    assert mode(home / ".naas") == 0o700


def test_what_else_is_in_the_file_stays():
    credentials.save("123", "first", FRESH)
    content = json.loads(credentials.path().read_text())
    content["token"] = "of another tool"
    content["storage"]["123"]["first"]["gcs"] = {"A": 1}
    credentials.path().write_text(json.dumps(content))

    credentials.save("123", "second", FRESH)
    credentials.save("456", "first", FRESH)
    credentials.forget("123", "first")
    credentials.forget("456", "first")
    credentials.forget("456", "never")

    kept = json.loads(credentials.path().read_text())
    assert kept["token"] == "of another tool"
    assert kept["storage"]["123"]["first"] == {"gcs": {"A": 1}}
    assert list(kept["storage"]) == ["123"]
    assert credentials.find("123", "second") == FRESH


def test_a_link_to_the_file_stays_a_link(home):
    elsewhere = home / "dotfiles"
    elsewhere.mkdir()
    (home / ".naas").mkdir()
    credentials.path().symlink_to(elsewhere / "credentials")

    credentials.save("123", "my-storage", FRESH)

    assert credentials.path().is_symlink()
    assert mode(elsewhere / "credentials") == 0o600


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": '])
def test_a_file_that_is_none_of_ours_is_not_overwritten(home, text):
    (home / ".naas").mkdir()
    credentials.path().write_text(text)

    with pytest.raises(StorageError, match="is no JSON"):
        credentials.save("123", "my-storage", FRESH)

    assert credentials.path().read_text() == text


def test_a_file_that_cannot_be_read_is_told():
    credentials.path().mkdir(parents=True)

    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        credentials.find("123", "my-storage")


@pytest.mark.parametrize(
    "entry",
    [{}, {"s3": []}, {"s3": {"REGION_NAME": "eu-central-1"}}, "text", None],
)
def test_an_entry_that_makes_no_sense_counts_as_none(home, entry):
    (home / ".naas").mkdir()
    credentials.path().write_text(json.dumps({"storage": {"123": {"my-storage": entry}}}))

    assert credentials.find("123", "my-storage") is None


@given(st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - the zone is drawn
def test_the_end_is_read_as_it_was_written_to_the_second(moment):
    folder = private_files.folder()
    entry = Credentials("r", "a", "s", "t", moment)
    credentials.save("1", "s", entry)

    found = credentials.find("1", "s")

    assert folder.is_dir()
    assert abs(found.expires_at - moment) < timedelta(seconds=60)


def test_what_ends_within_a_quarter_of_an_hour_is_not_good_any_more():
    def ending_in(minutes):
        moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        return Credentials("eu-central-1", "a", "s", "t", moment)

    assert ending_in(20).are_good
    assert not ending_in(14).are_good
    assert not ending_in(-1).are_good


def test_secrets_are_not_in_what_is_printed_of_them():
    assert "a secret" not in repr(FRESH)
    assert "a token" not in repr(FRESH)


_SAVE_MANY = """
import sys
from datetime import datetime, timezone
from exasol_ci_setup.platform import credentials
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    entry = credentials.Credentials("r", "a", "s", "t", datetime(2099, 1, 1, tzinfo=timezone.utc))
    credentials.save("123", f"{sys.argv[1]}-{number}", entry)
"""


def test_processes_that_write_at_once_lose_nothing(home):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _SAVE_MANY, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0

    kept = json.loads(credentials.path().read_text())["storage"]["123"]
    assert len(kept) == 90
    assert sorted(path.name for path in (home / ".naas").iterdir()) == ["credentials", "credentials.lock"]


def test_a_file_that_was_moved_away_while_it_was_waited_for_is_opened_anew(tmp_path):
    path = tmp_path / "held"
    with private_files.held(path) as first:
        first.write(b"one")
        with pytest.raises(BlockingIOError), private_files.held(path, wait=False):
            pass
        path.unlink()

    with private_files.held(path) as second:
        assert second.read() == b""
