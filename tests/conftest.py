"""What every test can use: no way out to a real AWS, an AWS account in the sandbox, and comparison with the golden files."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from exasol_ci_setup.aws.session import connect
from tests.answers import Answers, VirtualClock, keep_away_from_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.sandbox.server import Server

# A shell ignores Ctrl-C in background processes, and all their child processes inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The rules of cfn-lint and the models of AWS are hundreds of thousands of objects, which each full collection of garbage visits again: a
# fifth of the processor time of all tests.
gc.set_threshold(50_000, 20, 100)

# The time of an example depends on the machine and its load.
settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")

GOLDEN = Path(__file__).parent / "golden"
_NUMBERS = itertools.count(1)


_MORE_FILES = 256
_file_limit = _MORE_FILES


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Collect garbage if many files are open: clients of AWS keep their connections until they are collected, and many systems allow 1,024 files."""
    global _file_limit  # noqa: PLW0603 - a state of the process
    if _open_files() > _file_limit:
        gc.collect()
        _file_limit = _open_files() + _MORE_FILES


def _open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a function that compares a text with a golden file, or with --update-golden rewrites the file."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: run pytest --update-golden and read what it wrote"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs: run pytest --update-golden and read the diff"

    return compare


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    keep_away_from_aws(monkeypatch, base)
    # One cache of findings for all tests of a run, also those of other workers and processes: linting costs more than most tests. It
    # depends only on the text of the templates. Findings of the developer's runs are not used.
    monkeypatch.setenv("XDG_CACHE_HOME", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
    # Output must not depend on the environment of the tests. Tests of these variables set them.
    for name in ("CI", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _usual_recursion() -> Iterator[None]:
    """Python's default limit of recursion: a library of the sandbox raises it, and the parser of YAML needs seconds to reach that."""
    raised = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(raised)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, clock: VirtualClock) -> Answers:
    """An AWS account with scripted replies."""
    return Answers(monkeypatch, clock=clock)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A sandbox in a thread of this process."""
    from exasol_ci_setup.sandbox.server import serve_in_thread  # noqa: PLC0415 - imports ministack, which few tests need

    with serve_in_thread() as running:
        yield running


@pytest.fixture
def account_id() -> str:
    """The ID of an account that no other test of this process uses."""
    return f"1{os.getpid() % 100_000:05d}{next(_NUMBERS):06d}"


@pytest.fixture
def live(server: Server, account_id: str) -> Account:
    """A separate account in the sandbox, with the secrets that the templates expect."""
    return connect(region="eu-central-1", endpoint_url=server.url, access_key=(account_id, "test"))


class Operations:
    """The resource operations of one account in the sandbox, which a test can hold."""

    def __init__(self, server: Server, account: Account, account_id: str) -> None:
        self._server = server
        self._account = account
        self._account_id = account_id

    def hold(self) -> None:
        """Hold all resource operations until `release`."""
        self._server.delays[self._account_id] = 3600

    def release(self, **_: object) -> None:
        """Let held operations end, and later ones end immediately."""
        self._server.delays.pop(self._account_id, None)

    def release_after(self, call: str) -> None:
        """Release the operations after this call of CloudFormation."""
        events = self._account.client("cloudformation").meta.events
        events.register_last(f"after-call.cloudformation.{call}", self.release)


@pytest.fixture
def operations(server: Server, live: Account, account_id: str) -> Iterator[Operations]:
    """The hold on resource operations of the account `live`."""
    held = Operations(server, live, account_id)
    yield held
    held.release()


@pytest.fixture
def other_account(server: Server, account_id: str) -> Account:
    """Another account in the same sandbox."""
    number = f"9{account_id[1:]}"
    return connect(region="eu-central-1", endpoint_url=server.url, access_key=(number, "test"))


@pytest.fixture
def github_access(live: Account) -> None:
    """CodeBuild's access to GitHub in the account `live`."""
    live.client("codebuild").import_source_credentials(
        token="a-token",
        serverType="GITHUB",
        authType="PERSONAL_ACCESS_TOKEN",
    )


@pytest.fixture
def lost_access(request: pytest.FixtureRequest, live: Account) -> None:
    """Let CodeBuild lose its access to GitHub after the check and before the operation, so that the webhook cannot be created."""
    request.getfixturevalue("github_access")
    codebuild = live.client("codebuild")
    cfn = live.client("cloudformation")

    def lose(**_: object) -> None:
        for each in codebuild.list_source_credentials()["sourceCredentialsInfos"]:
            codebuild.delete_source_credentials(arn=each["arn"])
        cfn.meta.events.unregister("before-call.cloudformation.ExecuteChangeSet", lose)

    cfn.meta.events.register("before-call.cloudformation.ExecuteChangeSet", lose)
