"""Checks of the AWS account: profile, region, credentials, clock, and the services and secrets that the stacks need."""

from __future__ import annotations

import json
import logging
import os
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import aws
from exasol_ci_setup.commands import DEPLOY_SOURCE_CREDENTIALS
from exasol_ci_setup.errors import AccessDenied, CredentialsInvalid, ProfileNotFound, RegionMissing, SetupError
from exasol_ci_setup.health.check import (
    CLOCK,
    CLOUDFORMATION,
    CODEBUILD,
    CREDENTIALS,
    DOCKER_SECRET,
    PROFILE,
    REGION,
    SECRETS_MANAGER,
    SOURCE_CREDENTIALS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from exasol_ci_setup.aws import Account
    from exasol_ci_setup.health.check import Check, Subject

# AWS refuses a signature whose time is off by more than five minutes:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html.
_SKEW_REFUSED: Final = timedelta(minutes=5)
_SKEW_NOTICED: Final = timedelta(minutes=1)
_SOON: Final = timedelta(minutes=15)
# A check tells that there is no connection sooner than a deployment gives up.
_ATTEMPTS_TO_CONNECT: Final = 2

_KEYS: Final = ("User", "AccessToken")
_SOURCE_STACK: Final = "SLCSourceCredentials"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call came to: a reply or an error, and how far AWS's clock is ahead of ours if that is known."""

    reply: Mapping[str, Any] | None = None
    error: SetupError | None = None
    ahead: timedelta | None = None

    @property
    def code(self) -> str:
        """AWS's own code of the error, or an empty string."""
        return aws.error_code(self.error.__cause__) if self.error and self.error.__cause__ else ""


def checks(
    opened: Account | SetupError,
    pool: Executor,
    *,
    profile: str | None,
    sandbox: bool,
    docker_secret: str,
    now: Callable[[], datetime],
) -> Iterator[Check]:
    """Start to ask AWS in `pool`, and return the checks in order. `opened` is the account, or why there is none."""
    credentials = _find_credentials(opened, profile)
    if isinstance(opened, SetupError):
        return chain(_unopened(opened, profile, credentials, sandbox=sandbox), _unasked(opened))
    first = (_profile(None, profile, sandbox=sandbox), _region(opened))
    if isinstance(credentials, SetupError):
        lost = CREDENTIALS.problem(credentials.message, credentials.hint)
        return chain(first, (lost,), _unasked(credentials))
    asked = _asked(opened, credentials, pool, _Place(opened.region, profile, docker_secret), now)
    return chain(first, asked)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a command in a fix needs to hit the same account and secret."""

    region: str
    profile: str | None
    secret: str

    @property
    def options(self) -> str:
        """The AWS CLI's options for it."""
        return f" --region {self.region}" + (f" --profile {shlex.quote(self.profile)}" if self.profile else "")


def _find_credentials(opened: Account | SetupError, profile: str | None) -> Any:
    """Return the credentials that botocore finds, unused as yet, or a SetupError."""
    try:
        if isinstance(opened, RegionMissing):
            # Where credentials are found does not depend on the region, so that both can be told to be missing at once.
            opened = aws.connect(profile, "us-east-1")
        if isinstance(opened, SetupError):
            return opened
        with aws.translate_aws_errors():
            found = opened.session.get_credentials()
    except Exception as error:  # noqa: BLE001 - a provider of credentials may raise anything
        return as_ours(error)
    return found or CredentialsInvalid(
        "no AWS credentials were found",
        hint="give --aws-profile, or run `aws configure` or `aws sso login`; --sandbox needs none",
    )


def _profile(error: SetupError | None, profile: str | None, *, sandbox: bool) -> Check:
    name = profile or os.environ.get("AWS_PROFILE")
    if sandbox:
        return PROFILE.ok("not used: the sandbox has credentials of its own")
    if isinstance(error, ProfileNotFound):
        return PROFILE.problem(error.message, error.hint)
    if error is not None and not isinstance(error, RegionMissing):
        return _unchecked(PROFILE, error)
    return PROFILE.ok(f"{name!r} exists" if name else "none was asked for: AWS's default chain of credentials is used")


def _region(account: Account) -> Check:
    try:
        partition = account.session.get_partition_for_region(account.region)
        known = account.session.get_available_regions("codebuild", partition_name=partition)
    except Exception:  # noqa: BLE001 - botocore's way to say that the name fits no pattern
        known = []
    if account.endpoint_url is None and account.region not in known:
        return REGION.warning(
            f"{account.region} is none in which CodeBuild is known to exist",
            "check the spelling in --region, AWS_REGION or the profile; a region newer than the installed boto3 is no error",
        )
    return REGION.ok(account.region)


def _unopened(error: SetupError, profile: str | None, credentials: Any, *, sandbox: bool) -> Iterator[Check]:
    yield _profile(error, profile, sandbox=sandbox)
    missing = isinstance(error, RegionMissing)
    yield REGION.problem(error.message, error.hint) if missing else _unchecked(REGION, error)
    if missing and isinstance(credentials, SetupError):
        yield CREDENTIALS.problem(credentials.message, credentials.hint)
    else:
        yield _unchecked(CREDENTIALS, error)


def _unasked(error: SetupError) -> Iterator[Check]:
    for subject in (CLOCK, CLOUDFORMATION, CODEBUILD, SECRETS_MANAGER, DOCKER_SECRET, SOURCE_CREDENTIALS):
        yield _unchecked(subject, error)


def _unchecked(subject: Subject, error: SetupError) -> Check:
    return subject.problem(
        f"could not be checked: {error.message}", error.hint or "mend what this message says, and check again"
    )


def _asked(
    account: Account, credentials: Any, pool: Executor, place: _Place, now: Callable[[], datetime]
) -> Iterator[Check]:
    def start(service: Any, operation: str, **params: Any) -> Callable[[], _Answer]:
        try:
            # Clients are made here, one after the other: a boto3 session is not for several threads, its clients are.
            client: Any = account.client(service)
        except SetupError as error:
            unusable = _Answer(error=error)
            return lambda: unusable
        # Where botocore has registered its own retries, and before them: the first to answer decides.
        retries = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}"
        client.meta.events.register_first(retries, _give_up_connecting, unique_id="health")
        return pool.submit(_ask, lambda: getattr(client, operation)(**params), now).result

    identity = start("sts", "get_caller_identity")
    stacks = start("cloudformation", "describe_stacks", StackName=_SOURCE_STACK)
    projects = start("codebuild", "list_projects")
    sources = start("codebuild", "list_source_credentials")
    described = start("secretsmanager", "describe_secret", SecretId=place.secret)
    keys = pool.submit(_filled_keys, account, place.secret).result

    def in_order() -> Iterator[Check]:
        yield _identity(identity(), credentials, now())
        yield _clock([answer() for answer in (identity, stacks, projects, sources, described)])
        yield _service(CLOUDFORMATION, stacks(), "cloudformation:DescribeStacks", place, absent="ValidationError")
        yield _service(CODEBUILD, projects(), "codebuild:ListProjects", place)
        yield _service(
            SECRETS_MANAGER, described(), "secretsmanager:DescribeSecret", place, absent="ResourceNotFoundException"
        )
        yield _docker_secret(described(), keys(), place)
        yield _source_credentials(sources(), place)

    return in_order()


def _give_up_connecting(attempts: int, caught_exception: Exception | None, **_: Any) -> bool | None:
    return False if caught_exception is not None and attempts >= _ATTEMPTS_TO_CONNECT else None


def _ask(call: Callable[[], Mapping[str, Any]], now: Callable[[], datetime]) -> _Answer:
    reply: Mapping[str, Any] | None = None
    error: SetupError | None = None
    try:
        with aws.translate_aws_errors():
            reply = call()
    except Exception as caught:  # noqa: BLE001 - one check that cannot be made must not end the others
        error = as_ours(caught)
    # A refusal tells the time too: a clock that is off is one of its reasons.
    cause = error.__cause__ if error else None
    said = cause.response if isinstance(cause, aws.ClientError) else reply or {}
    return _Answer(reply, error, _ahead(said, now()))


def as_ours(error: Exception) -> SetupError:
    """Return an exception that may be anyone's as one of ours, so that a check can tell of it."""
    if isinstance(error, SetupError):
        return error
    logging.getLogger(__name__).debug("a check failed", exc_info=error)
    said = " ".join(str(error).split())
    return SetupError(f"{type(error).__name__}: {said}")


def _ahead(said: Mapping[str, Any], now: datetime) -> timedelta | None:
    date = said.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        told = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    return (told if told.tzinfo else told.replace(tzinfo=timezone.utc)) - now


def _identity(answer: _Answer, credentials: Any, now: datetime) -> Check:
    if answer.error is not None:
        return CREDENTIALS.problem(answer.error.message, answer.error.hint or "check the network and the credentials")
    reply = answer.reply or {}
    message = f"{reply.get('Arn', 'an unknown identity')} in account {reply.get('Account', '')}"
    source = getattr(credentials, "method", "")
    if source and source != "explicit":
        message += f", from {source}"
    # botocore keeps it to itself; credentials that stay valid have none.
    expiry: datetime | None = getattr(credentials, "_expiry_time", None)
    if expiry is None:
        return CREDENTIALS.ok(message)
    message += f", valid until {expiry.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    # What botocore can renew it renews a quarter of an hour before.
    if expiry - now < _SOON:
        return CREDENTIALS.warning(message, "sign in again before you deploy: a deployment may take longer than that")
    return CREDENTIALS.ok(message)


def _clock(answers: list[_Answer]) -> Check:
    ahead = next((answer.ahead for answer in answers if answer.ahead is not None), None)
    if ahead is None:
        error = next((answer.error for answer in answers if answer.error is not None), None)
        return _unchecked(CLOCK, error or SetupError("AWS did not tell its time"))
    seconds = round(abs(ahead.total_seconds()))
    message = f"{seconds} s {'behind' if ahead > timedelta() else 'ahead of'} AWS"
    fix = "set this machine's clock by a time server (on Linux: `sudo timedatectl set-ntp true`)"
    if abs(ahead) > _SKEW_REFUSED:
        return CLOCK.problem(f"{message}, which refuses what is signed more than 5 min off", fix)
    if abs(ahead) > _SKEW_NOTICED:
        return CLOCK.warning(message, fix)
    return CLOCK.ok("within a minute of AWS")


def _service(subject: Subject, answer: _Answer, action: str, place: _Place, *, absent: str = "") -> Check:
    """Return whether `action` is possible; the error code `absent` says that it is, and that there is nothing to see."""
    if answer.error is None or (absent and answer.code == absent):
        return subject.ok(f"answers in {place.region} and allows {action}")
    if isinstance(answer.error, CredentialsInvalid):
        return _unchecked(subject, answer.error)
    if isinstance(answer.error, AccessDenied):
        fix = f"ask the account's administrator for {action}, or use another --aws-profile"
        return subject.problem(answer.error.message, fix)
    return subject.problem(answer.error.message, answer.error.hint or "check the region and the network, and try again")


def _filled_keys(account: Account, name: str) -> frozenset[str] | SetupError | None:
    """Return which of the needed keys the secret holds text under, or None if it is no JSON object.

    The one place that has the secret's value: it goes no further.
    """
    try:
        with aws.translate_aws_errors():
            text = account.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    except Exception as error:  # noqa: BLE001 - one check that cannot be made must not end the others
        return as_ours(error)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return frozenset(key for key in _KEYS if isinstance(value.get(key), str) and value[key].strip())


def _docker_secret(described: _Answer, keys: frozenset[str] | SetupError | None, place: _Place) -> Check:
    name = place.secret
    wanted = " and ".join(_KEYS)
    if described.code == "ResourceNotFoundException":
        create = (
            ""
            if name.startswith("arn:")
            else (
                f'write {{"User": "…", "AccessToken": "…"}} to a file and run `aws secretsmanager create-secret'
                f" --name {shlex.quote(name)} --secret-string file://FILE{place.options}`, or "
            )
        )
        return DOCKER_SECRET.problem(
            f"secret {name!r} does not exist in {place.region}", f"{create}name another secret with --docker-secret"
        )
    if isinstance(keys, SetupError) and not isinstance(keys, AccessDenied):
        if isinstance(keys, CredentialsInvalid) or described.error is not None:
            return _unchecked(DOCKER_SECRET, keys)
        deleted = (described.reply or {}).get("DeletedDate")
        if deleted is not None:
            return DOCKER_SECRET.problem(
                f"secret {name!r} is marked for deletion",
                f"run `aws secretsmanager restore-secret --secret-id {shlex.quote(name)}{place.options}`,"
                " or name another secret with --docker-secret",
            )
    if isinstance(keys, SetupError):
        existence = "exists" if described.error is None else "may exist"
        return DOCKER_SECRET.warning(
            f"secret {name!r} {existence}, but whether it has the keys {wanted} could not be checked: {keys.message}",
            "make sure of the keys, or ask for secretsmanager:GetSecretValue on it and kms:Decrypt on its key",
        )
    if keys is None:
        return DOCKER_SECRET.problem(
            f"secret {name!r} is not a JSON object with the keys {wanted}", _put_value(place, "its value")
        )
    missing = [key for key in _KEYS if key not in keys]
    if missing:
        return DOCKER_SECRET.problem(
            f"secret {name!r} has no text under the key{'s' if len(missing) > 1 else ''} {' and '.join(missing)}",
            _put_value(place, "what is missing"),
        )
    return DOCKER_SECRET.ok(f"secret {name!r} has the keys {wanted}")


def _put_value(place: _Place, what: str) -> str:
    return (
        f'set {what}: write {{"User": "…", "AccessToken": "…"}} to a file and run `aws secretsmanager put-secret-value'
        f" --secret-id {shlex.quote(place.secret)} --secret-string file://FILE{place.options}`"
    )


def _source_credentials(answer: _Answer, place: _Place) -> Check:
    if answer.error is not None:
        return _service(SOURCE_CREDENTIALS, answer, "codebuild:ListSourceCredentials", place)
    infos = (answer.reply or {}).get("sourceCredentialsInfos", [])
    kinds = [info.get("authType", "") for info in infos if info.get("serverType") == "GITHUB"]
    if kinds:
        return SOURCE_CREDENTIALS.ok(f"CodeBuild has access to GitHub by {kinds[0] or 'an unnamed kind of credential'}")
    return SOURCE_CREDENTIALS.warning(
        f"CodeBuild has no access to GitHub in {place.region}: deploy-ci-build fails unless it is given --connection-arn",
        f"run `{DEPLOY_SOURCE_CREDENTIALS}`, or pass --connection-arn to deploy-ci-build",
    )
