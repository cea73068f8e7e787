"""An account with the credentials of a role, or of a chain of roles of which each assumes the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import botocore.session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    DeferredRefreshableCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError

from exasol_ci_setup.aws.retries import Retries
from exasol_ci_setup.aws.session import Account, log_call, require_aws, translate_aws_errors, without_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Keys(TypedDict):
    """Temporary credentials with botocore's keys; `expiry_time` is in ISO 8601."""

    access_key: str
    secret_key: str
    token: str
    expiry_time: str


def assume(
    account: Account,
    role_arns: Sequence[str],
    *,
    region: str,
    external_id: str | None = None,
    rate_limit: Callable[..., None] | None = None,
) -> Account:
    """Return the account of the last of `role_arns`, each assumed with the credentials of the previous one, in `region`.

    Without roles it is `account` itself, in that region. Each role gets `external_id` if it is set:
    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html. `rate_limit` is that of `Account`. Roles are assumed before the first
    call of AWS, and again before their credentials expire. So a role that cannot be assumed raises
    AccessDenied in the first call. Raises CredentialsInvalidError if there are no credentials to start with.
    """
    account = Account(account.session, region, account.endpoint_url, rate_limit)
    for arn in role_arns:
        account = _in_role(account, arn, external_id)
    return account


def _in_role(account: Account, role_arn: str, external_id: str | None) -> Account:
    """Return the account of the role, with its credentials, and otherwise with the configuration of `account`."""
    with translate_aws_errors():
        source = account.session.get_credentials()
        if source is None:
            raise NoCredentialsError
        known = {} if external_id is None else {"ExternalId": external_id}
        fetcher = AssumeRoleCredentialFetcher(
            account.make, source, role_arn, extra_args={"RoleSessionName": "exasol-ci-setup", **known}
        )
    return _holding(account, DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role"))


def holding(account: Account, fetch: Callable[[], Keys], known: Keys | None = None) -> Account:
    """Return `account` with the credentials `known`, and with those of `fetch` if `known` is None or expires soon.

    botocore refreshes them: it tries from 15 minutes before the expiry, and must succeed 10 minutes before it.
    """
    method = "session"
    if known is None:
        return _holding(account, DeferredRefreshableCredentials(fetch, method))
    return _holding(account, RefreshableCredentials.create_from_metadata(dict(known), fetch, method))


def _holding(account: Account, credentials: RefreshableCredentials) -> Account:
    with translate_aws_errors():
        profile = account.session.profile_name
        inner = (
            without_configuration()
            if account.endpoint_url
            else botocore.session.Session(profile=profile if profile in account.session.available_profiles else None)
        )
        inner.register_component("credential_provider", _Known(credentials))
        # Reading the service models of AWS takes most of the time of the first client.
        inner.register_component("data_loader", account.session._session.get_component("data_loader"))  # noqa: SLF001
        session = type(account.session)(region_name=account.region, botocore_session=inner)
    session.events.register("before-call", log_call)
    session.events.register("before-parse", require_aws)
    Retries().register(session.events)
    return Account(session, account.region, account.endpoint_url, account.rate_limit)


@dataclass(frozen=True)
class _Known:
    """The credentials of a session, as a replacement of botocore's chain of providers."""

    credentials: RefreshableCredentials

    def load_credentials(self) -> RefreshableCredentials:
        """Return the credentials, as botocore's chain does."""
        return self.credentials
