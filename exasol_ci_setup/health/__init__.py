"""Check this machine and the AWS account for the requirements of the commands, with a fix for each problem."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from exasol_ci_setup.aws import session as aws
from exasol_ci_setup.health import account as on_aws
from exasol_ci_setup.health import machine, permissions, shipped
from exasol_ci_setup.health.check import SOURCE_CREDENTIALS, SUBJECTS, Check, Status
from exasol_ci_setup.health.permissions import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.errors import SetupError

__all__ = ["SUBJECTS", "Check", "Status", "Wanted", "checks"]


def checks(
    connect: Callable[[], Account],
    *,
    profile: str | None = None,
    sandbox: bool = False,
    docker_secret: str = "Dockerhub",  # noqa: S107 - the name of a secret, not a secret
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    wanted: Wanted | None = None,
) -> Iterator[Check]:
    """Run all checks concurrently and yield them in the order of `SUBJECTS`. The checks change nothing.

    `connect` opens the account and may raise any SetupError; the checks that need the account then report a problem. `profile` is
    the profile that `connect` uses, None for the default chain of AWS. `docker_secret` is the name or ARN of the secret for the
    login to Docker, or ``none``; only the names of its keys are checked. `now` returns the current time in UTC. With
    `wanted`, the permissions of the caller are checked too, and missing access to the repository is a problem.
    """
    opened: Account | SetupError
    try:
        opened = connect()
    except Exception as error:  # noqa: BLE001 - the checks of this machine still run
        opened = on_aws.as_setup_error(error)
    # One thread for each check that waits for a call or a process.
    pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
    try:
        command_line = pool.submit(machine.aws_command_line)
        docker = pool.submit(machine.docker_engine)
        templates = pool.submit(shipped.templates, opened.region if isinstance(opened, aws.Account) else None)
        on_account = on_aws.checks(opened, pool, profile=profile, sandbox=sandbox, docker_secret=docker_secret, now=now)
        yield machine.platform_and_python()
        yield command_line.result()
        for check in on_account:
            yield _required(check) if wanted is not None and wanted.needs_repository else check
            if check.code == SOURCE_CREDENTIALS.code:
                break
        yield templates.result()
        yield docker.result()
        yield from on_account
        if wanted is not None:
            yield permissions.check(opened, wanted)
    finally:
        # Do not wait for unanswered calls after Ctrl-C.
        pool.shutdown(wait=False, cancel_futures=True)


def _required(check: Check) -> Check:
    """Return the check of the access to GitHub as a problem in place of a warning."""
    is_missing = check.code == SOURCE_CREDENTIALS.code and check.status == "warning"
    return replace(check, status="problem") if is_missing else check
