"""The session of docs/own-images.md, run in one shell, with a Docker engine and the registry of the sandbox."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from tests.registry import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

PAGE = Path(__file__).parents[2] / "docs" / "own-images.md"
MARK = "-- next --"
BASE = "public.ecr.aws/docker/library/busybox:1.37"
DOCKERFILE = f"""\
FROM {BASE}
COPY message /message
CMD ["cat", "/message"]
"""
BLOCK = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """Return the language, the file and the text of each block of the page."""
    return [(kind, file, text) for kind, file, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def steps() -> list[tuple[str, list[str]]]:
    """Return the commands of the page, each with the lines of its output."""
    found: list[tuple[str, list[str]]] = []
    for kind, _, text in blocks():
        for line in text.splitlines() if kind == "sh-session" else ():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """Return the pattern of an output: a line of … is any number of lines, and … in a line is any text."""
    parts = ("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".+") + "\n" for line in lines)
    return "".join(parts)


@pytest.fixture
def repository(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory in which `git clone` of the page gets a repository with three Dockerfiles."""
    require_program()
    origin = tmp_path / "origin"
    for name in ("api", "web", "worker"):
        folder = origin / "images" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
        (folder / "message").write_text(f"this is the {name}\n", encoding="utf-8")
    for _, file, text in blocks():
        if file:
            (origin / file).parent.mkdir(exist_ok=True)
            (origin / file).write_text(text, encoding="utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copy(os.path.realpath(shutil.which("docker") or ""), tools / "docker")
    (tools / "Dockerfile").write_text(f"FROM {image}\nCOPY docker /usr/local/bin/docker\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "sandbox"))
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    for command in (
        ["git", "config", "--global", "user.name", "Example"],
        ["git", "config", "--global", "user.email", "mail@example.com"],
        ["git", "config", "--global", f"url.file://{origin}.insteadOf", "https://github.com/example/shop.git"],
        ["git", "init", "--quiet", "--initial-branch", "main", str(origin)],
        ["git", "-C", str(origin), "add", "--all"],
        ["git", "-C", str(origin), "commit", "--quiet", "--message", "Add three images"],
        ["docker", "tag", image, BASE],
        ["docker", "build", "--quiet", "--tag", "tools", str(tools)],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield tmp_path
    sandbox.stop()
    subprocess.run(["docker", "image", "rm", "--force", "tools", BASE], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def engine_on_bridge() -> Iterator[None]:
    """The engine at the address of the page, which containers reach."""
    path = os.environ["DOCKER_HOST"].removeprefix("unix://")
    with socket.create_server(("172.17.0.1", 2375)) as server:
        threading.Thread(target=_serve, args=(server, path), daemon=True).start()
        yield


def _serve(server: socket.socket, path: str) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(client, path), daemon=True).start()


def _connect(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(path)
        answers = threading.Thread(target=_copy, args=(engine, client), daemon=True)
        answers.start()
        _copy(client, engine)
        answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.mark.usefixtures("engine_on_bridge")
def test_session_of_page_prints_documented_output(repository: Path):
    commands = "".join(f"{command}\necho '{MARK}'\n" for command, _ in steps())

    ran = subprocess.run(
        ["bash"],
        input=commands,
        cwd=repository,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    outputs = ran.stdout.split(f"{MARK}\n")
    assert len(outputs) == len(steps()) + 1, ran.stdout
    for (command, expected), output in zip(steps(), outputs, strict=False):
        lines = "".join(f"{line}\n" for line in output.splitlines() if line.strip())
        assert re.fullmatch(pattern(expected), lines), f"{command}\n{output}"
    assert not re.search("docker.io|Dockerhub|exadocker", ran.stdout)
