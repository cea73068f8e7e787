"""The file of pinned host keys."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exasol_ci_setup.errors import HostKeyChanged, SSHError
from exasol_ci_setup.ssh.known_hosts import HostKey, KnownHosts, state_directory

ONE = HostKey("ssh-ed25519", b"one")
OTHER = HostKey("ssh-ed25519", b"other")


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "state" / "team")


def test_nothing_is_pinned_before_the_first_connection(known):
    assert known.pinned("i-1") is None
    assert not known.path.parent.exists()


def test_a_key_is_pinned_at_first_sight_and_another_one_is_refused(known):
    known.require("i-1", ONE)
    known.require("i-1", ONE)

    with pytest.raises(HostKeyChanged) as caught:
        known.require("i-1", OTHER)

    assert known.pinned("i-1") == ONE
    assert ONE.fingerprint in caught.value.message
    assert OTHER.fingerprint in caught.value.message


def test_a_key_of_another_type_is_refused_too(known):
    known.require("i-1", ONE)

    with pytest.raises(HostKeyChanged):
        known.require("i-1", HostKey("ssh-rsa", ONE.blob))


def test_only_the_user_can_read_it(known):
    known.require("i-1", ONE)

    assert stat.S_IMODE(known.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(known.path.parent.stat().st_mode) == 0o700


def test_what_the_user_wrote_into_it_stays(known):
    known.path.parent.mkdir(parents=True)
    mine = f"# mine\n\ni-2,10.0.0.2 ssh-rsa {base64.b64encode(b'two').decode()} a comment"
    known.path.write_text(mine, encoding="utf-8")

    known.require("i-1", ONE)

    assert known.path.read_text(encoding="utf-8").startswith(f"{mine}\ni-1 ssh-ed25519 ")
    assert known.pinned("10.0.0.2") == HostKey("ssh-rsa", b"two")


@pytest.mark.parametrize("line", ["i-1 ssh-ed25519", "i-1 ssh-ed25519 !!!", "nonsense"])
def test_a_line_that_cannot_be_read_is_named_and_nothing_is_trusted(known, line):
    known.path.parent.mkdir(parents=True)
    known.path.write_text(f"# first\n{line}\n", encoding="utf-8")

    with pytest.raises(SSHError, match="line 2 of"):
        known.require("i-1", ONE)


def test_bytes_that_are_no_text_are_told(known):
    known.path.parent.mkdir(parents=True)
    known.path.write_bytes(b"\xff\xfe")

    with pytest.raises(SSHError, match="cannot be read: it is no text"):
        known.require("i-1", ONE)


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(SSHError, match="cannot be") as caught:
        KnownHosts(tmp_path / "file" / "team").require("i-1", ONE)
    assert "XDG_STATE_HOME" in caught.value.hint


def test_machines_that_are_seen_at_once_are_all_pinned(known):
    keys = {f"i-{number}": HostKey("ssh-ed25519", bytes([number])) for number in range(40)}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: known.require(name, keys[name]), keys))

    assert {name: known.pinned(name) for name in keys} == keys
    assert sorted(path.name for path in known.path.parent.iterdir()) == ["team", "team.lock"]


def test_two_keys_for_one_machine_at_once_are_one_pinned_and_the_rest_refused(known):
    keys = [HostKey("ssh-ed25519", bytes([number])) for number in range(8)]

    def outcome(key: HostKey) -> str:
        try:
            known.require("i-1", key)
        except HostKeyChanged:
            return "refused"
        return "pinned"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(outcome, keys)) == ["pinned", *["refused"] * 7]


def test_a_fingerprint_is_written_as_openssh_does():
    # ssh-keygen -lf of a key that was made for this test.
    blob = base64.b64decode("AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")

    assert HostKey("ssh-ed25519", blob).fingerprint == "ssh-ed25519 SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"


@pytest.mark.parametrize(
    ("variable", "root"), [("/var/state", "/var/state"), ("relative", "~/.local/state"), ("", "~/.local/state")]
)
def test_the_files_are_where_xdg_says(monkeypatch, variable, root):
    monkeypatch.setenv("XDG_STATE_HOME", variable)

    assert state_directory() == Path(root).expanduser() / "exasol-ci-setup" / "known_hosts"
