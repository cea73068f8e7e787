"""Atomic writes of files."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.core.files import state_directory, write_whole


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_file_has_requested_mode_with_any_umask(tmp_path):
    write_whole(tmp_path / "open", b"x", mode=0o666)
    write_whole(tmp_path / "private", b"x", mode=0o600)
    write_whole(tmp_path / "usual", b"x")

    assert [mode(tmp_path / name) for name in ("open", "private", "usual")] == [0o666, 0o600, 0o640]


def test_replaced_file_stays_readable_for_open_reader(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    with path.open("rb") as reader:
        write_whole(path, b"after", fsync=True)
        assert reader.read() == b"before"

    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_replacement_leaves_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in it").touch()

    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"x")

    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_separate_directory_holds_temporary_files(tmp_path):
    scratch = tmp_path / "scratch"
    with pytest.raises(FileNotFoundError, match="scratch"):
        write_whole(tmp_path / "file", b"x", scratch=scratch)
    scratch.mkdir()

    write_whole(tmp_path / "file", b"x", scratch=scratch)

    assert (tmp_path / "file").read_bytes() == b"x"
    assert list(scratch.iterdir()) == []


def test_file_with_longest_possible_name_is_written(tmp_path):
    write_whole(tmp_path / ("n" * 255), b"x")

    assert [each.name for each in tmp_path.iterdir()] == ["n" * 255]


@pytest.mark.parametrize("is_linked", [False, True])
def test_pipe_gets_content_and_stays(tmp_path, is_linked):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if is_linked else pipe
    if is_linked:
        path.symlink_to(pipe)
    before = path.lstat().st_ino
    # Open it for reading and writing, so that no end waits for the other.
    reading = os.open(pipe, os.O_RDWR)
    try:
        write_whole(path, b"content", mode=0o600)

        assert os.read(reading, 100) == b"content"
    finally:
        os.close(reading)
    assert path.lstat().st_ino == before
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_device_stays_device(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        write_whole(device, b"content")
    except PermissionError:
        pytest.skip("no devices may be made here")

    assert stat.S_ISCHR(device.stat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_socket_stays_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))

        with pytest.raises(OSError, match="socket"):
            write_whole(tmp_path / "socket", b"content")

    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/stdout leads to a device elsewhere")
def test_path_of_stdout_is_appended_to(tmp_path):
    script = (
        "from pathlib import Path; from exasol_ci_setup.core.files import state_directory, write_whole\n"
        "link = Path('out'); link.symlink_to('/dev/stdout'); write_whole(link, b'second'); assert link.is_symlink()"
    )
    output = tmp_path / "output"
    output.write_bytes(b"first ")
    with output.open("ab") as appending:
        subprocess.run([sys.executable, "-c", script], stdout=appending, cwd=tmp_path, check=True)

    assert output.read_bytes() == b"first second"
    assert Path("/dev/stdout").is_symlink()


def test_link_to_file_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    (tmp_path / "link").symlink_to("file")

    write_whole(tmp_path / "link", b"after")

    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("variable", "root"), [("/var/state", "/var/state"), ("relative", "~/.local/state"), ("", "~/.local/state")]
)
def test_state_directory_follows_xdg(monkeypatch, variable, root):
    monkeypatch.setenv("XDG_STATE_HOME", variable)

    assert state_directory("known_hosts") == Path(root).expanduser() / "exasol-ci-setup" / "known_hosts"
