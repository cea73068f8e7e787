"""The GitHub token on its way to a build: as a secret that this tool stores, and removes when the batch has ended."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from exasol_ci_setup import secretsmanager
from exasol_ci_setup.aws import is_passing
from exasol_ci_setup.errors import SetupError
from exasol_ci_setup.stacks.state import TAG_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from exasol_ci_setup.builds.model import Batch
    from exasol_ci_setup.github import Token

_OWN: Final = re.compile(r"exasol-ci-setup/([A-Za-z0-9-]{1,128})/github-token-[0-9a-f]{16}")


class Stored:
    """A secret that holds the token. While `batch_id` is set, a batch that goes on needs it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.batch_id = ""


@contextmanager
def stored(
    client: SecretsManagerClient, prefix: str, token: Token, *, say: Callable[[str], None], name: str | None = None
) -> Iterator[Stored]:
    """Store `token` in a new secret, whose name starts with `prefix`, and remove it at the end, whatever ends it.

    It is not removed when a batch still needs it then, which is said with `say`, as is what stands in the way of removing
    it. `name` gives the secret that name, or takes the secret of that name as it is. Raises the errors of the AWS boundary.
    """
    secret = Stored(name or f"{prefix}github-token-{secrets.token_hex(8)}")
    try:
        if name is None or not secretsmanager.exists(client, name):
            secretsmanager.create(
                client,
                secret.name,
                token.value,
                description="GitHub token for one batch of builds; exasol-ci-setup removes it when the batch has ended",
                tags={f"{TAG_PREFIX}purpose": "github-token", f"{TAG_PREFIX}project": secret.name.split("/")[1]},
            )
    except BaseException as error:
        # Unless AWS has said no, it may have been made.
        if not isinstance(error, SetupError) or is_passing(error.__cause__ or error):
            _remove(client, secret.name, say=say)
        raise
    try:
        yield secret
    finally:
        if secret.batch_id:
            say(
                f"the secret {secret.name} stays, since batch {secret.batch_id} reads the GitHub token from it; "
                f"`exasol-ci-setup logs {secret.batch_id} --follow` waits for the end and removes it, and so does `stop`"
            )
        else:
            _remove(client, secret.name, say=say)


def is_own(name: str) -> bool:
    """Return whether a secret is one that `stored` made."""
    return bool(_OWN.fullmatch(name))


def remove_after(client: SecretsManagerClient, batch: Batch, *, say: Callable[[str], None]) -> None:
    """Remove the secret that was stored for a batch, if the batch has ended. What stands in the way is said with `say`."""
    if batch.has_ended and is_own(batch.token_secret):
        _remove(client, batch.token_secret, say=say)


def _remove(client: SecretsManagerClient, name: str, *, say: Callable[[str], None]) -> None:
    try:
        secretsmanager.delete(client, name)
    except SetupError as error:
        # Not raised: it must not take the place of what the command found out.
        say(
            f"the secret {name} with the GitHub token could not be removed ({error}); remove it with "
            f"`aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {name}`"
        )
