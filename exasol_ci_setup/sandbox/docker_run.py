"""Run a docker command asynchronously: pass on its output line by line, and kill it on cancellation."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from exasol_ci_setup.sandbox.docker_client import Client

    Say = Callable[[Iterable[str]], None]

_CHUNK_BYTES: Final = 65_536


def configure(client: Client, directory: Path) -> None:
    """Create a configuration for the client in `directory`, so that a build cannot use the user's credentials."""
    directory.mkdir(mode=0o700)
    settings = {"cliPluginsExtraDirs": [client.plugins]} if client.plugins else {}
    (directory / "config.json").write_text(json.dumps(settings), encoding="utf-8")


async def run(client: Client, *arguments: str, configuration: Path, say: Say, secret: str = "") -> int:
    """Run a command of the client, pass its output lines to `say`, and return its exit status.

    `secret` is its stdin. On cancellation, the command and its child processes are killed.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        client.program,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **kept,
            "DOCKER_HOST": client.host,
            "DOCKER_CONFIG": str(configuration),
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        },
        start_new_session=True,
    )
    try:
        await asyncio.gather(_write(process.stdin, secret), _read(process.stdout, say))
        return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _write(stream: asyncio.StreamWriter | None, text: str) -> None:
    if stream is None:
        raise AssertionError("it is a pipe")
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(text.encode())
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader | None, say: Say) -> None:
    if stream is None:
        raise AssertionError("it is a pipe")
    rest = b""
    while data := await stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _CHUNK_BYTES:
            lines, rest = [*lines, rest], b""
        if lines:
            say(_text(line) for line in lines)
    if rest:
        say([_text(rest)])


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
