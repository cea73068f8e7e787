"""Fixtures that run the program in this process, with or without an account in the sandbox."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from exasol_ci_setup.cli.main import PROGRAM, cli
from exasol_ci_setup.cli.session import Session
from tests import hints
from tests.pseudo_terminal import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.sandbox.server import Server


@dataclass
class Ran:
    """Result of a run of the program."""

    code: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout. Fails on any other output."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@pytest.fixture
def program() -> Iterator[Callable[..., Ran]]:
    """Return a function that runs the program; `account` replaces the account of the options, and `stdin` is the standard input."""

    def run(*arguments: str, account: Account | None = None, stdin: str | bytes | None = None) -> Ran:
        session = Session()
        if account is not None:
            # A cached property: an existing value is not computed.
            session.__dict__["account"] = account
        result = CliRunner().invoke(cli, arguments, prog_name=PROGRAM, obj=session, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert hints.problems(arguments, result.stderr) == []
        return Ran(result.exit_code, result.stdout, result.stderr)

    yield run
    # Its handler writes to the stream of the finished run.
    logging.getLogger().handlers.clear()
    logging.getLogger("exasol_ci_setup").setLevel(logging.NOTSET)


@pytest.fixture
def here(program: Callable[..., Ran], live: Account) -> Callable[..., Ran]:
    """Return a function that runs the program with a new account in the sandbox."""

    def run(*arguments: str) -> Ran:
        return program(*arguments, account=live)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes a program to a file and returns its path. Each call overwrites the file."""

    def to(text: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(dedent(text), encoding="utf-8")
        return str(path)

    return to


@pytest.fixture
def begin(server: Server, account_id: str, tmp_path: Path) -> Callable[..., PseudoTerminal]:
    """Return a function that runs the program in a terminal with a new account in the sandbox."""
    environment = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "HOME": str(tmp_path),
        "EXASOL_CI_SETUP_LINT_CACHE": "",
    }

    def run(*arguments: str, chunk: int = 65536, pause: float = 0.0, **more: str) -> PseudoTerminal:
        return PseudoTerminal(*arguments, cwd=tmp_path, environment={**environment, **more}, chunk=chunk, pause=pause)

    return run
