"""Looks at this machine and the AWS account for what the commands need, and says what to do about what is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from exasol_ci_setup import aws
from exasol_ci_setup.health import account as on_aws
from exasol_ci_setup.health import machine, shipped
from exasol_ci_setup.health.check import SUBJECTS, Check, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.errors import SetupError

__all__ = ["SUBJECTS", "Check", "Status", "checks"]


def checks(
    connect: Callable[[], Account],
    *,
    profile: str | None = None,
    sandbox: bool = False,
    docker_secret: str = "Dockerhub",  # noqa: S107 - the name of a secret, not a secret
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Iterator[Check]:
    """Make every check, several at a time, and yield them in the order of `SUBJECTS`; none of them changes anything.

    `connect` opens the account, and may raise any SetupError: what then cannot be checked is a problem too. `profile` is the
    profile that `connect` uses, None for AWS's default chain. `docker_secret` is the name or ARN of the secret with the
    keys that builds log in to Docker with; its value is looked at for the names of its keys only. `now` tells the time in UTC.
    """
    opened: Account | SetupError
    try:
        opened = connect()
    except Exception as error:  # noqa: BLE001 - the checks of this machine are made all the same
        opened = on_aws.as_ours(error)
    # As many as there are checks that wait for someone else.
    pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="health")
    try:
        command_line = pool.submit(machine.aws_command_line)
        docker = pool.submit(machine.docker_engine)
        templates = pool.submit(shipped.templates, opened.region if isinstance(opened, aws.Account) else None)
        on_account = on_aws.checks(opened, pool, profile=profile, sandbox=sandbox, docker_secret=docker_secret, now=now)
        yield machine.platform_and_python()
        yield command_line.result()
        yield from on_account
        yield templates.result()
        yield docker.result()
    finally:
        # After Ctrl-C a call that is not answered is not waited for.
        pool.shutdown(wait=False, cancel_futures=True)
