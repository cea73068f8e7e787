"""`container-manager` without a Docker engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exasol_ci_setup.cli.commands.container_manager import FileAndPort
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.docker.engine import is_remote


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (":4545", (None, 4545)),
        (":0", (None, 0)),
        ("/tmp/file:4545", (Path("/tmp/file"), 4545)),  # noqa: S108 - a text
        ("/tmp/file", (Path("/tmp/file"), 0)),  # noqa: S108 - a text
        ("./4545", (Path("4545"), 0)),
        ("a:b:1", (Path("a:b"), 1)),
    ],
)
def test_argument_is_split_into_file_and_port(written, meant):
    assert FileAndPort().convert(written, None, None) == meant


@pytest.mark.parametrize(
    "written", ["", ":", ":x", "file:", "file:x", ":65536", ":-1", ":123456", "4545", "file:\u0661"]
)
def test_invalid_file_and_port_is_bad_usage(program, written):
    ran = program("container-manager", written)

    assert ran.code == 2
    assert "Traceback" not in ran.stderr
    assert not ran.stdout


def test_missing_configuration_is_named(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    ran = program("container-manager")

    assert ran.code == 2
    assert ran.stderr == (
        "error: harpoon.yml cannot be read: No such file or directory\n\n"
        "hint: set the configuration with `--config PATH` or CONTAINER_MANAGER_CONFIG\n"
    )


@pytest.mark.parametrize(
    ("where", "remote"),
    [
        ("unix:///var/run/docker.sock", False),
        ("npipe:////./pipe/docker_engine", False),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://[::1]:2375", False),
        ("tcp://build.example.com:2376", True),
        ("ssh://me@build", True),
    ],
)
def test_engine_on_another_host_is_remote(where, remote):
    assert is_remote(where) is remote


def test_invalid_publish_address_is_bad_usage(program):
    ran = program("container-manager", "--publish-address", "everywhere")

    assert ran.code == 2
    assert "'everywhere' is not an IP address" in ran.stderr


def test_option_for_configuration_overrides_variable(program, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTAINER_MANAGER_CONFIG", str(tmp_path / "variable.yml"))
    monkeypatch.setenv("HARPOON_CONFIG", str(tmp_path / "second.yml"))

    assert "variable.yml cannot be read" in program("container-manager").stderr
    monkeypatch.delenv("CONTAINER_MANAGER_CONFIG")
    assert "second.yml cannot be read" in program("container-manager").stderr
    assert "option.yml cannot be read" in program("container-manager", "--config", "option.yml").stderr


@pytest.mark.parametrize("name", ["container-manager", "container_manager"])
def test_invalid_configuration_starts_nothing(program, tmp_path, name):
    (tmp_path / "c.yml").write_text("images: {a: {commands: [FROM x], prots: []}}")

    ran = program(name, str(tmp_path / "file"), "--config", str(tmp_path / "c.yml"), "--non-interactive")

    assert ran.code == 2
    assert ran.stderr == f"error: {tmp_path / 'c.yml'}: images.a.prots: unknown option\n"
    assert not (tmp_path / "file").exists()


def test_missing_extra_hints_at_installation():
    check = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'fastapi' else find(name, *more)\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "cli.main(['container-manager'])\n"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert "need the extra `containers`" in ran.stderr
    assert ran.stderr.endswith(f"hint: `{install_command('containers')}`\n")


def test_help_imports_nothing_of_extra():
    check = (
        "import sys\n"
        "from exasol_ci_setup.cli.main import cli\n"
        "cli.main(['container-manager', '--help'], standalone_mode=False)\n"
        "print(sorted({'docker', 'fastapi', 'uvicorn', 'pydantic', 'yaml'} & set(sys.modules)), file=sys.stderr)\n"
    )

    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("name", ["pipe", "null"])
def test_device_or_pipe_as_file_is_refused(program, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    (tmp_path / "images.yml").write_text("images: {a: {context: false, commands: [FROM scratch]}}\n")

    ran = program("container-manager", str(tmp_path / name), "--config", str(tmp_path / "images.yml"))

    assert (ran.code, ran.stdout) == (2, "")
    assert f"{name} cannot be written: it is a device, a pipe or a socket" in ran.stderr
