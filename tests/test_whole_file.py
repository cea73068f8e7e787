"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from exasol_ci_setup.whole_file import write_whole


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_file_has_its_mode_whatever_the_umask_says(tmp_path):
    write_whole(tmp_path / "open", b"x", mode=0o666)
    write_whole(tmp_path / "private", b"x", mode=0o600)
    write_whole(tmp_path / "usual", b"x")

    assert [mode(tmp_path / name) for name in ("open", "private", "usual")] == [0o666, 0o600, 0o640]


def test_the_former_file_is_replaced_and_a_reader_keeps_what_it_opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    with path.open("rb") as reader:
        write_whole(path, b"after", fsync=True)
        assert reader.read() == b"before"

    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_take_its_place_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "in it").touch()

    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"x")

    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_place_apart_is_used_for_what_is_unfinished(tmp_path):
    scratch = tmp_path / "scratch"
    with pytest.raises(FileNotFoundError, match="scratch"):
        write_whole(tmp_path / "file", b"x", scratch=scratch)
    scratch.mkdir()

    write_whole(tmp_path / "file", b"x", scratch=scratch)

    assert (tmp_path / "file").read_bytes() == b"x"
    assert list(scratch.iterdir()) == []


def test_the_longest_name_a_file_can_have_is_no_obstacle(tmp_path):
    write_whole(tmp_path / ("n" * 255), b"x")

    assert [each.name for each in tmp_path.iterdir()] == ["n" * 255]
