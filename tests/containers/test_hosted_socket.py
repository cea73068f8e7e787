"""The Unix socket that the hosted API listens on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from exasol_ci_setup.containers.hosted.serve import unix_socket
from exasol_ci_setup.core.errors import InputError


def test_socket_of_killed_server_is_replaced_and_removed_at_end(tmp_path: Path):
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))

    with unix_socket(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))

    assert not path.exists()


def test_file_that_is_not_socket_is_kept(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")

    with (
        pytest.raises(InputError, match=r"^--socket .*/notes\.txt cannot be used: it is not a socket$"),
        unix_socket(path),
    ):
        pass

    assert path.read_text() == "mine"


def test_socket_of_running_server_is_kept(tmp_path: Path):
    path = tmp_path / "api.sock"
    with (
        unix_socket(path),
        pytest.raises(InputError, match=r"another server answers on it$"),
        unix_socket(path),
    ):
        pass
