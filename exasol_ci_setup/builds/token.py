"""The GitHub token of a build: stored as a secret, and removed when the batch has ended."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.session import is_transient
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.interrupts import DeferredSignals
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.builds.github import Token
    from exasol_ci_setup.builds.model import Batch

_OWN: Final = re.compile(r"exasol-ci-setup/([A-Za-z0-9-]{1,128})/github-token-[0-9a-f]{16}")
# Seconds between attempts. A secret that is being deleted keeps its name for about a minute.
_UNTIL_DELETED: Final = (2, 4, 8, 16, 32)
# A request whose caller has stopped waiting may still create the secret.
_UNTIL_MADE: Final = (0.5, 1, 2, 2)


@dataclass(frozen=True, slots=True)
class SecretRemains:
    """The secret `name` with a token exists, or may exist. `message` says why, and how to remove it."""

    name: str
    message: str


class Stored:
    """A secret with the token. It is kept while the batch `batch_id` runs, or while `in_doubt` says that a batch may run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.batch_id = ""
        self.in_doubt = False

    def begun(self, batch_id: str) -> None:
        """Store the id of the batch that needs it; an empty id means that a batch may exist."""
        self.batch_id = batch_id
        self.in_doubt = not batch_id


@contextmanager
def stored(context: Context, token: Token, *, prefix: str = "", name: str | None = None) -> Iterator[Stored]:
    """Store `token` in a new secret, whose name starts with `prefix`, and remove it at the end, also after an error.

    The secret is kept if a batch still needs it. Then, and after a failed removal, the reporter receives the event `SecretRemains`. With `name`
    the secret has that name; it is created or gets this token. Raises the errors of the AWS boundary.
    """
    client = _client(context)
    secret = Stored(name or f"{prefix}github-token-{secrets.token_hex(8)}")
    made = False
    try:
        with DeferredSignals() as held:
            if name is None:
                _create(client, secret.name, token)
            else:
                _renew(context, name, token)
            made = True
        held.deliver()
    except BaseException as error:
        # Unless AWS rejected the request, the secret may exist, or appear later.
        if not isinstance(error, SetupError) or is_transient(error.__cause__ or error):
            _remove(context, secret.name, unsure=not made)
        raise
    try:
        yield secret
    finally:
        if secret.batch_id:
            context.reporter.event(needed_by(secret.batch_id, secret.name))
        elif secret.in_doubt:
            message = (
                f"kept the secret {secret.name}: a batch that may have started reads the GitHub token from it; "
                f"if `exasol-ci-setup builds` does not list it, {_by_hand(secret.name)}"
            )
            context.reporter.event(SecretRemains(secret.name, message))
        else:
            _remove(context, secret.name)


def needed_by(batch_id: str, name: str) -> SecretRemains:
    """Return the event for a secret that a running batch needs."""
    return SecretRemains(
        name,
        f"kept the secret {name}: batch {batch_id} reads the GitHub token from it; "
        f"`exasol-ci-setup logs {batch_id} --follow` waits for the end and removes it, and so does "
        f"`exasol-ci-setup stop {batch_id}`",
    )


def is_own(name: str) -> bool:
    """Return whether a secret was created by `stored`."""
    return bool(_OWN.fullmatch(name))


def remove_after(context: Context, batch: Batch) -> None:
    """Remove the secret of a batch if the batch has ended. After a failure the reporter receives the event `SecretRemains`."""
    if batch.has_ended and is_own(batch.token_secret):
        _remove(context, batch.token_secret)


def _client(context: Context) -> SecretsManagerClient:
    return context.account.client("secretsmanager")


def _create(client: SecretsManagerClient, name: str, token: Token) -> None:
    secretsmanager.create(
        client,
        name,
        token.value,
        description="GitHub token for one batch of builds; exasol-ci-setup removes it when the batch has ended",
        tags={f"{TAG_PREFIX}purpose": "github-token", f"{TAG_PREFIX}project": name.split("/")[1]},
    )


def _renew(context: Context, name: str, token: Token) -> None:
    client = _client(context)
    for pause in (*_UNTIL_DELETED, None):
        if secretsmanager.exists(client, name):
            secretsmanager.put(client, name, token.value)
            return
        try:
            _create(client, name, token)
        except SetupError as error:
            if pause is None or not secretsmanager.is_name_taken(error):
                raise
            context.clock.sleep(pause)
        else:
            return


def _remove(context: Context, name: str, *, unsure: bool = False) -> None:
    """Remove the secret; if `unsure` it may appear later. Never raise, so that the original error is kept.

    The reporter receives the event `SecretRemains` instead.
    """

    def report(what: str) -> None:
        message = f"the secret {name} with the GitHub token {what}; {_by_hand(name)}"
        context.reporter.event(SecretRemains(name, message))

    try:
        client = _client(context)
        # Defer one more Ctrl-C, so that the token is removed.
        with DeferredSignals():
            removed = secretsmanager.delete(client, name)
            for pause in _UNTIL_MADE if unsure else ():
                if removed:
                    break
                context.clock.sleep(pause)
                removed = secretsmanager.delete(client, name)
    except (SetupError, KeyboardInterrupt) as error:
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        report(f"could not be removed ({why})")
    except BaseException:
        report("may still exist")
        raise
    else:
        if not removed and unsure:
            report("may have been created anyway")


def _by_hand(name: str) -> str:
    return f"remove it with `aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {name}`"
