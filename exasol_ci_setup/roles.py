"""An account as a role sees it, or a chain of roles of which each may assume the next."""

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

from exasol_ci_setup.aws import Account, log_call, require_aws, translate_aws_errors, without_configuration
from exasol_ci_setup.aws_retries import Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Keys(TypedDict):
    """Temporary credentials in botocore's words; `expiry_time` is in ISO 8601."""

    access_key: str
    secret_key: str
    token: str
    expiry_time: str


def assume(
    account: Account, role_arns: Sequence[str], *, region: str, pace: Callable[..., None] | None = None
) -> Account:
    """Return the account in which the last of `role_arns` is, each assumed with the credentials of the one before it, in `region`.

    Without any it is `account` itself, in that region. `pace` is that of `Account`. No role is assumed before AWS is
    asked for something, and then again whenever its credentials are about to expire, so a role that may not be assumed is an
    AccessDenied of the first call. Raises CredentialsInvalid if there is nothing to begin with.
    """
    account = Account(account.session, region, account.endpoint_url, pace)
    for arn in role_arns:
        account = _in_role(account, arn)
    return account


def _in_role(account: Account, role_arn: str) -> Account:
    """Return the role's account, with the role's credentials, and else with what `account` was configured by."""
    with translate_aws_errors():
        source = account.session.get_credentials()
        if source is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            account.make, source, role_arn, extra_args={"RoleSessionName": "exasol-ci-setup"}
        )
    return _holding(account, DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role"))


def holding(account: Account, fetch: Callable[[], Keys], known: Keys | None = None) -> Account:
    """Return `account` with the credentials `known`, and with those that `fetch` returns when there are none or they end soon.

    They are fetched as botocore does it: a quarter of an hour before the end if that works, and in any case ten minutes before it.
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
        # Reading the models of AWS's services is most of what the first client costs.
        inner.register_component("data_loader", account.session._session.get_component("data_loader"))  # noqa: SLF001
        session = type(account.session)(region_name=account.region, botocore_session=inner)
    session.events.register("before-call", log_call)
    session.events.register("before-parse", require_aws)
    Retries().register(session.events)
    return Account(session, account.region, account.endpoint_url, account.pace)


@dataclass(frozen=True)
class _Known:
    """The credentials of a session, in the place where botocore looks for a chain of providers."""

    credentials: RefreshableCredentials

    def load_credentials(self) -> RefreshableCredentials:
        """Return them, as botocore asks of such a chain."""
        return self.credentials
