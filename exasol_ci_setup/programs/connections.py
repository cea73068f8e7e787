"""The AWS account of each scope: opened once and shared by all its stacks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from exasol_ci_setup.aws.rate_limit import RateLimiters
from exasol_ci_setup.aws.roles import assume
from exasol_ci_setup.aws.session import connect, translate_aws_errors
from exasol_ci_setup.core.once import Once

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.scope import Scope
    from exasol_ci_setup.core.clock import Clock


_Credentials: TypeAlias = tuple[str | None, tuple[str, ...], str | None]


def _credentials(scope: Scope) -> _Credentials:
    """Return what the credentials of a scope depend on."""
    return scope.profile, tuple(scope.role_assumptions), scope.external_id


def from_configuration(scope: Scope) -> Account:
    """Open the account of the scope's profile, or of the default credential chain. Raises as `aws.connect`."""
    return connect(scope.profile, scope.region)


class Connections:
    """Return the account of each scope. `base` opens the account in which the scope's roles are assumed.

    All stacks of an account and region share one rate limit; an endpoint on this machine has none. Until the
    `identity` of an account is requested, two profiles count as two accounts.
    """

    def __init__(self, clock: Clock, base: Callable[[Scope], Account] = from_configuration) -> None:
        self._base = base
        self._limiters = RateLimiters(clock)
        self._accounts: Once[tuple[_Credentials, str], Account] = Once()
        self._ids: dict[_Credentials, str] = {}

    def __call__(self, scope: Scope) -> Account:
        """Return the account of `scope`. Raises as `aws.connect`, and CredentialsInvalidError."""
        return self._accounts.get((_credentials(scope), scope.region), lambda: self._open(scope))

    def _open(self, scope: Scope) -> Account:
        base = self._base(scope)
        rate_limit = None if base.endpoint_url else partial(self._take, scope)
        return assume(
            base,
            scope.role_assumptions,
            region=scope.region,
            external_id=scope.external_id,
            rate_limit=rate_limit,
        )

    def identity(self, scope: Scope) -> str:
        """Return the ID of the account of `scope`, by GetCallerIdentity. Raises the errors of `translate_aws_errors`."""
        account = self(scope)
        with translate_aws_errors():
            found = account.client("sts").get_caller_identity()["Account"]
        self._ids[_credentials(scope)] = found
        return found

    def _take(self, scope: Scope, **event: object) -> None:
        # The ARN of a role contains its account; that of a profile is unknown without a call.
        guess = scope.role_assumptions[-1].split(":")[4] if scope.role_assumptions else f"={scope.profile}"
        account = self._ids.get(_credentials(scope), guess)
        self._limiters.of(account, scope.region).acquire(**event)
