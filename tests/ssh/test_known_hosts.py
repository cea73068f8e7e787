"""The file of pinned host keys."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exasol_ci_setup.core.errors import HostKeyChangedError, SSHError
from exasol_ci_setup.ssh.known_hosts import HostKey, KnownHosts

ONE = HostKey("ssh-ed25519", b"one")
OTHER = HostKey("ssh-ed25519", b"other")


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "state" / "team")


def test_no_key_is_pinned_before_first_connection(known):
    assert known.find_key("i-1") is None
    assert not known.path.parent.exists()


def test_first_key_is_pinned_and_another_is_rejected(known):
    known.verify_or_pin("i-1", ONE)
    known.verify_or_pin("i-1", ONE)

    with pytest.raises(HostKeyChangedError) as caught:
        known.verify_or_pin("i-1", OTHER)

    assert known.find_key("i-1") == ONE
    assert ONE.fingerprint in caught.value.message
    assert OTHER.fingerprint in caught.value.message


def test_key_of_another_type_is_rejected(known):
    known.verify_or_pin("i-1", ONE)

    with pytest.raises(HostKeyChangedError):
        known.verify_or_pin("i-1", HostKey("ssh-rsa", ONE.blob))


def test_file_is_readable_by_owner_only(known):
    known.verify_or_pin("i-1", ONE)

    assert stat.S_IMODE(known.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.path.parent.stat().st_mode) == 0o700


def test_lines_of_user_are_kept(known):
    known.path.parent.mkdir(parents=True)
    mine = f"# mine\n\ni-2,10.0.0.2 ssh-rsa {base64.b64encode(b'two').decode()} a comment"
    known.path.write_text(mine, encoding="utf-8")

    known.verify_or_pin("i-1", ONE)

    assert known.path.read_text(encoding="utf-8").startswith(f"{mine}\ni-1 ssh-ed25519 ")
    assert known.find_key("10.0.0.2") == HostKey("ssh-rsa", b"two")


@pytest.mark.parametrize("line", ["i-1 ssh-ed25519", "i-1 ssh-ed25519 !!!", "nonsense"])
def test_invalid_line_is_reported_and_no_key_is_trusted(known, line):
    known.path.parent.mkdir(parents=True)
    known.path.write_text(f"# first\n{line}\n", encoding="utf-8")

    with pytest.raises(SSHError, match="line 2 of"):
        known.verify_or_pin("i-1", ONE)


def test_invalid_utf8_is_reported(known):
    known.path.parent.mkdir(parents=True)
    known.path.write_bytes(b"\xff\xfe")

    with pytest.raises(SSHError, match="cannot be read: it is not UTF-8"):
        known.verify_or_pin("i-1", ONE)


def test_directory_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(SSHError, match="cannot be") as caught:
        KnownHosts(tmp_path / "file" / "team").verify_or_pin("i-1", ONE)
    assert "XDG_STATE_HOME" in caught.value.hint


def test_keys_of_parallel_connections_are_all_pinned(known):
    keys = {f"i-{number}": HostKey("ssh-ed25519", bytes([number])) for number in range(40)}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: known.verify_or_pin(name, keys[name]), keys))

    assert {name: known.find_key(name) for name in keys} == keys
    assert sorted(path.name for path in known.path.parent.iterdir()) == ["team", "team.lock"]


def test_one_of_parallel_keys_of_machine_is_pinned_and_others_rejected(known):
    keys = [HostKey("ssh-ed25519", bytes([number])) for number in range(8)]

    def outcome(key: HostKey) -> str:
        try:
            known.verify_or_pin("i-1", key)
        except HostKeyChangedError:
            return "rejected"
        return "pinned"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(outcome, keys)) == ["pinned", *["rejected"] * 7]


def test_fingerprint_equals_that_of_openssh():
    # The output of ssh-keygen -lf for a key that was created for this test.
    blob = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")

    assert HostKey("ssh-ed25519", blob).fingerprint == "ssh-ed25519 SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
