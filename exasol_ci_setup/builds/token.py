"""The GitHub token of a build: stored as a secret, and removed when the batch has ended."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.session import is_transient
from exasol_ci_setup.core.errors import SetupError
from exasol_ci_setup.core.interrupts import DeferredSignals
from exasol_ci_setup.core.tags import TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from exasol_ci_setup.builds.github import Token
    from exasol_ci_setup.builds.model import Batch
    from exasol_ci_setup.core.clock import Clock

_OWN: Final = re.compile(r"exasol-ci-setup/([A-Za-z0-9-]{1,128})/github-token-[0-9a-f]{16}")
# Seconds between attempts. A secret that is being deleted keeps its name for about a minute.
_UNTIL_DELETED: Final = (2, 4, 8, 16, 32)
# A request whose caller has stopped waiting may still create the secret.
_UNTIL_MADE: Final = (0.5, 1, 2, 2)


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
def stored(
    client: SecretsManagerClient,
    prefix: str,
    token: Token,
    *,
    say: Callable[[str], None],
    clock: Clock,
    name: str | None = None,
) -> Iterator[Stored]:
    """Store `token` in a new secret, whose name starts with `prefix`, and remove it at the end, also after an error.

    The secret is kept if a batch still needs it, which is reported with `say`, as is a failed removal. With `name` the secret has that name; it
    is created or gets this token. Raises the errors of the AWS boundary.
    """
    secret = Stored(name or f"{prefix}github-token-{secrets.token_hex(8)}")
    made = False
    try:
        with DeferredSignals() as held:
            if name is None:
                _create(client, secret.name, token)
            else:
                _renew(client, name, token, clock)
            made = True
        held.deliver()
    except BaseException as error:
        # Unless AWS rejected the request, the secret may exist, or appear later.
        if not isinstance(error, SetupError) or is_transient(error.__cause__ or error):
            _remove(client, secret.name, say=say, unsure=None if made else clock)
        raise
    try:
        yield secret
    finally:
        if secret.batch_id:
            say(stays(secret.name, secret.batch_id))
        elif secret.in_doubt:
            say(
                f"kept the secret {secret.name}: a batch that may have started reads the GitHub token from it; "
                f"if `exasol-ci-setup builds` does not list it, {_by_hand(secret.name)}"
            )
        else:
            _remove(client, secret.name, say=say)


def stays(name: str, batch_id: str) -> str:
    """Return the message for a secret that a running batch needs."""
    return (
        f"kept the secret {name}: batch {batch_id} reads the GitHub token from it; "
        f"`exasol-ci-setup logs {batch_id} --follow` waits for the end and removes it, and so does "
        f"`exasol-ci-setup stop {batch_id}`"
    )


def is_own(name: str) -> bool:
    """Return whether a secret was created by `stored`."""
    return bool(_OWN.fullmatch(name))


def remove_after(client: SecretsManagerClient, batch: Batch, *, say: Callable[[str], None]) -> None:
    """Remove the secret of a batch if the batch has ended. A failure is reported with `say`."""
    if batch.has_ended and is_own(batch.token_secret):
        _remove(client, batch.token_secret, say=say)


def _create(client: SecretsManagerClient, name: str, token: Token) -> None:
    secretsmanager.create(
        client,
        name,
        token.value,
        description="GitHub token for one batch of builds; exasol-ci-setup removes it when the batch has ended",
        tags={f"{TAG_PREFIX}purpose": "github-token", f"{TAG_PREFIX}project": name.split("/")[1]},
    )


def _renew(client: SecretsManagerClient, name: str, token: Token, clock: Clock) -> None:
    for pause in (*_UNTIL_DELETED, None):
        if secretsmanager.exists(client, name):
            secretsmanager.put(client, name, token.value)
            return
        try:
            _create(client, name, token)
        except SetupError as error:
            if pause is None or not secretsmanager.is_name_taken(error):
                raise
            clock.sleep(pause)
        else:
            return


def _remove(
    client: SecretsManagerClient, name: str, *, say: Callable[[str], None], unsure: Clock | None = None
) -> None:
    """Remove the secret; with a clock as `unsure` it may appear later. Never raise, so that the original error is kept.

    A secret that could not be removed is reported instead.
    """
    try:
        # Defer one more Ctrl-C, so that the token is removed.
        with DeferredSignals():
            removed = secretsmanager.delete(client, name)
            for pause in _UNTIL_MADE if unsure else ():
                if removed or unsure is None:
                    break
                unsure.sleep(pause)
                removed = secretsmanager.delete(client, name)
    except (SetupError, KeyboardInterrupt) as error:
        why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        say(f"the secret {name} with the GitHub token could not be removed ({why}); {_by_hand(name)}")
    except BaseException:
        say(f"the secret {name} with the GitHub token may still exist; {_by_hand(name)}")
        raise
    else:
        if not removed and unsure:
            say(f"the secret {name} with the GitHub token may have been created anyway; {_by_hand(name)}")


def _by_hand(name: str) -> str:
    return f"remove it with `aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {name}`"
