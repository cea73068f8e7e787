"""The credentials file of storages."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import StorageError
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


def test_entry_has_documented_format(home):
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


def test_save_restricts_file_to_owner(home):
    (home / ".naas").mkdir(mode=0o755)
    credentials.path().write_text("{}")
    credentials.path().chmod(0o644)

    credentials.save("123", "my-storage", FRESH)

    assert mode(credentials.path()) == 0o600
    assert mode(home / ".naas") == 0o700


def test_other_content_is_kept():
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


def test_symbolic_link_is_kept(home):
    elsewhere = home / "dotfiles"
    elsewhere.mkdir()
    (home / ".naas").mkdir()
    credentials.path().symlink_to(elsewhere / "credentials")

    credentials.save("123", "my-storage", FRESH)

    assert credentials.path().is_symlink()
    assert mode(elsewhere / "credentials") == 0o600


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": '])
def test_invalid_file_is_not_overwritten(home, text):
    (home / ".naas").mkdir()
    credentials.path().write_text(text)

    with pytest.raises(StorageError, match=r"is not (a )?JSON"):
        credentials.save("123", "my-storage", FRESH)

    assert credentials.path().read_text() == text


def test_unreadable_file_is_reported():
    credentials.path().mkdir(parents=True)

    with pytest.raises(StorageError, match="cannot be read: Is a directory"):
        credentials.find("123", "my-storage")


@pytest.mark.parametrize(
    "entry",
    [{}, {"s3": []}, {"s3": {"REGION_NAME": "eu-central-1"}}, "text", None],
)
def test_invalid_entry_is_ignored(home, entry):
    (home / ".naas").mkdir()
    credentials.path().write_text(json.dumps({"storage": {"123": {"my-storage": entry}}}))

    assert credentials.find("123", "my-storage") is None


@given(st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - the zone is drawn
def test_expiry_round_trips_to_second(moment):
    folder = private_files.folder()
    entry = Credentials("r", "a", "s", "t", moment)
    credentials.save("1", "s", entry)

    found = credentials.find("1", "s")

    assert folder.is_dir()
    assert abs(found.expires_at - moment) < timedelta(seconds=60)


def test_credentials_expiring_within_15_minutes_are_invalid():
    def ending_in(minutes):
        moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        return Credentials("eu-central-1", "a", "s", "t", moment)

    assert ending_in(20).are_valid
    assert not ending_in(14).are_valid
    assert not ending_in(-1).are_valid


def test_repr_does_not_show_secrets():
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


def test_concurrent_writers_lose_nothing(home):
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


def test_file_moved_while_waiting_is_reopened(tmp_path):
    path = tmp_path / "held"
    with private_files.open_locked(path) as first:
        first.write(b"one")
        with pytest.raises(BlockingIOError), private_files.open_locked(path, wait=False):
            pass
        path.unlink()

    with private_files.open_locked(path) as second:
        assert second.read() == b""
