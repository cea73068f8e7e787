"""Check the AWS account: profile, region, credentials, clock, and the services and secrets of the stacks."""

from __future__ import annotations

import json
import logging
import os
import shlex
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, connect, error_code, translate_aws_errors
from exasol_ci_setup.core.build_settings import NO_DOCKER_SECRET
from exasol_ci_setup.core.commands import DEPLOY_SOURCE_CREDENTIALS
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AwsUnavailableError,
    CredentialsInvalidError,
    ProfileNotFoundError,
    RegionMissingError,
    SetupError,
)
from exasol_ci_setup.health.check import (
    CLOCK,
    CLOUDFORMATION,
    CODEBUILD,
    CREDENTIALS,
    DOCKER_SECRET,
    PROFILE,
    REGION,
    SECRETS_MANAGER,
    SERVICE_ROLE,
    SOURCE_CREDENTIALS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.health.check import Check, Subject

# AWS rejects a signature whose time differs by more than five minutes:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signing-elements.html.
_MAX_SKEW: Final = timedelta(minutes=5)
_SKEW_WARNING: Final = timedelta(minutes=1)
_EXPIRY_WARNING: Final = timedelta(minutes=15)
# Fewer attempts than in a deployment, so that a missing connection is reported sooner.
_MAX_CONNECTION_ATTEMPTS: Final = 2

# The subjects whose checks call AWS.
_SERVICES: Final = (
    *(CLOCK, CLOUDFORMATION, CODEBUILD, SECRETS_MANAGER, DOCKER_SECRET, SOURCE_CREDENTIALS, SERVICE_ROLE),
)

_KEYS: Final = ("User", "AccessToken")
_NO_LOGIN: Final = "not used: builds do not log in to Docker Hub"
_SOURCE_STACK: Final = "SLCSourceCredentials"
_ROLE: Final = "AWSServiceRoleForECS"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The result of a call: a reply or an error, and how far the clock of AWS is ahead, if known."""

    reply: Mapping[str, Any] | None = None
    error: SetupError | None = None
    ahead: timedelta | None = None

    @property
    def code(self) -> str:
        """The error code of AWS, or an empty string."""
        return error_code(self.error.__cause__) if self.error and self.error.__cause__ else ""


def checks(
    opened: Account | SetupError,
    pool: Executor,
    *,
    profile: str | None,
    sandbox: bool,
    docker_secret: str,
    now: Callable[[], datetime],
) -> Iterator[Check]:
    """Start the calls in `pool` and return the checks in order. `opened` is the account, or the error of opening it."""
    credentials = _find_credentials(opened, profile)
    if isinstance(opened, SetupError):
        return _unopened(opened, profile, credentials, sandbox=sandbox)
    first = (_profile(None, profile, sandbox=sandbox), _region(opened))
    if isinstance(credentials, SetupError):
        lost = CREDENTIALS.problem(credentials.message, credentials.hint)
        return chain(first, (lost,), (subject.skipped(CREDENTIALS) for subject in _SERVICES))
    services = _check_services(opened, credentials, pool, _Place(opened.region, profile, docker_secret), now)
    return chain(first, services)


@dataclass(frozen=True, slots=True)
class _Place:
    """The region, profile and secret for the commands of a fix. `lost` is why AWS did not confirm the credentials, if it did not."""

    region: str
    profile: str | None
    secret: str
    lost: SetupError | None = None

    @property
    def options(self) -> str:
        """The options of the AWS CLI for this region and profile."""
        return f" --region {self.region}" + (f" --profile {shlex.quote(self.profile)}" if self.profile else "")

    def has_lost(self, error: SetupError) -> bool:
        """Return whether `error` has the cause for which AWS did not confirm the credentials."""
        return type(error) is type(self.lost) and isinstance(error, (CredentialsInvalidError, AwsUnavailableError))


def _find_credentials(opened: Account | SetupError, profile: str | None) -> Any:
    """Return the credentials that botocore finds, without using them, or a SetupError."""
    try:
        if isinstance(opened, RegionMissingError):
            # Credentials do not depend on the region, so both can be reported as missing in one run.
            opened = connect(profile, "us-east-1")
        if isinstance(opened, SetupError):
            return opened
        with translate_aws_errors():
            found = opened.session.get_credentials()
    except Exception as error:  # noqa: BLE001 - a provider of credentials may raise anything
        return as_setup_error(error)
    return found or CredentialsInvalidError(
        "no AWS credentials were found",
        hint="set --aws-profile, or run `aws configure` or `aws sso login`; --sandbox needs none",
    )


def _profile(error: SetupError | None, profile: str | None, *, sandbox: bool) -> Check:
    name = profile or os.environ.get("AWS_PROFILE")
    if sandbox:
        return PROFILE.ok("not used: the sandbox has its own credentials")
    if isinstance(error, ProfileNotFoundError):
        return PROFILE.problem(error.message, error.hint)
    if error is not None and not isinstance(error, RegionMissingError):
        return PROFILE.problem(error.message, error.hint or "fix this error, then run the check again")
    return PROFILE.ok(f"{name!r} exists" if name else "not set: the default credential chain of AWS is used")


def _region(account: Account) -> Check:
    try:
        partition = account.session.get_partition_for_region(account.region)
        known = account.session.get_available_regions("codebuild", partition_name=partition)
    except Exception:  # noqa: BLE001 - botocore raises it for a name that matches no partition
        known = []
    if account.endpoint_url is None and account.region not in known:
        return REGION.warning(
            f"{account.region} is not a known region of CodeBuild",
            "check the spelling in --region, AWS_REGION or the profile; a region newer than the installed boto3 may still work",
        )
    return REGION.ok(account.region)


def _unopened(error: SetupError, profile: str | None, credentials: Any, *, sandbox: bool) -> Iterator[Check]:
    """Yield the checks if the account could not be opened: one problem for each cause, and the rest skipped."""
    yield _profile(error, profile, sandbox=sandbox)
    if isinstance(error, RegionMissingError):
        cause = REGION
        yield REGION.problem(error.message, error.hint)
        is_lost = isinstance(credentials, SetupError)
        yield CREDENTIALS.problem(credentials.message, credentials.hint) if is_lost else CREDENTIALS.skipped(cause)
    elif sandbox:
        cause = CREDENTIALS
        yield REGION.skipped(cause)
        yield CREDENTIALS.problem(error.message, error.hint or "fix this error, then run the check again")
    else:
        cause = PROFILE
        yield REGION.skipped(cause)
        yield CREDENTIALS.skipped(cause)
    yield from (subject.skipped(cause) for subject in _SERVICES)


def _unchecked(subject: Subject, error: SetupError, place: _Place) -> Check:
    if place.has_lost(error):
        return subject.skipped(CREDENTIALS)
    return subject.problem(
        f"could not be checked: {error.message}", error.hint or "fix this error, then run the check again"
    )


def _check_services(
    account: Account, credentials: Any, pool: Executor, asked: _Place, now: Callable[[], datetime]
) -> Iterator[Check]:
    def start(service: Any, operation: str, **params: Any) -> Callable[[], _Answer]:
        try:
            # Clients are created sequentially here: boto3 clients are thread-safe, but sessions are not.
            client: Any = account.client(service)
        except SetupError as error:
            unusable = _Answer(error=error)
            return lambda: unusable
        # Registered before the retries of botocore, because the first response decides.
        retries = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}"
        client.meta.events.register_first(retries, _limit_connection_attempts, unique_id="health")
        return pool.submit(_ask, lambda: getattr(client, operation)(**params), now).result

    identity = start("sts", "get_caller_identity")
    stacks = start("cloudformation", "describe_stacks", StackName=_SOURCE_STACK)
    projects = start("codebuild", "list_projects")
    sources = start("codebuild", "list_source_credentials")
    role = start("iam", "get_role", RoleName=_ROLE)
    has_login = asked.secret != NO_DOCKER_SECRET
    described = start("secretsmanager", "describe_secret", SecretId=asked.secret) if has_login else _Answer
    keys = pool.submit(_filled_keys, account, asked.secret).result if has_login else lambda: None

    def in_order() -> Iterator[Check]:
        yield _identity(identity(), credentials, now())
        place = replace(asked, lost=identity().error)
        yield _clock([answer() for answer in (identity, stacks, projects, sources, described)], place)
        yield _service(CLOUDFORMATION, stacks(), "cloudformation:DescribeStacks", place, absent="ValidationError")
        yield _service(CODEBUILD, projects(), "codebuild:ListProjects", place)
        if has_login:
            yield _service(
                SECRETS_MANAGER, described(), "secretsmanager:DescribeSecret", place, absent="ResourceNotFoundException"
            )
            yield _docker_secret(described(), keys(), place)
        else:
            yield from (subject.ok(_NO_LOGIN) for subject in (SECRETS_MANAGER, DOCKER_SECRET))
        yield _source_credentials(sources(), place)
        yield _service_role(role(), place)

    return in_order()


def _limit_connection_attempts(attempts: int, caught_exception: Exception | None, **_: Any) -> bool | None:
    return False if caught_exception is not None and attempts >= _MAX_CONNECTION_ATTEMPTS else None


def _ask(call: Callable[[], Mapping[str, Any]], now: Callable[[], datetime]) -> _Answer:
    reply: Mapping[str, Any] | None = None
    error: SetupError | None = None
    try:
        with translate_aws_errors():
            reply = call()
    except Exception as caught:  # noqa: BLE001 - a failed check must not stop the others
        error = as_setup_error(caught)
    # Error responses also have the time: a wrong clock is one of their causes.
    cause = error.__cause__ if error else None
    response = cause.response if isinstance(cause, ClientError) else reply or {}
    return _Answer(reply, error, _ahead(response, now()))


def as_setup_error(error: Exception) -> SetupError:
    """Return any exception as a SetupError, so that a check can report it."""
    if isinstance(error, SetupError):
        return error
    logging.getLogger(__name__).debug("a check failed", exc_info=error)
    message = " ".join(str(error).split())
    return SetupError(f"{type(error).__name__}: {message}")


def _ahead(response: Mapping[str, Any], now: datetime) -> timedelta | None:
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        time = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)) - now


def _identity(answer: _Answer, credentials: Any, now: datetime) -> Check:
    if answer.error is not None:
        return CREDENTIALS.problem(answer.error.message, answer.error.hint or "check the network and the credentials")
    reply = answer.reply or {}
    message = f"{reply.get('Arn', 'an unknown identity')} in account {reply.get('Account', '')}"
    source = getattr(credentials, "method", "")
    if source and source != "explicit":
        message += f", from {source}"
    # A private attribute of botocore; permanent credentials do not have it.
    expiry: datetime | None = getattr(credentials, "_expiry_time", None)
    if expiry is None:
        return CREDENTIALS.ok(message)
    message += f", valid until {expiry.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    # botocore renews refreshable credentials 15 minutes before they expire.
    if expiry - now < _EXPIRY_WARNING:
        return CREDENTIALS.warning(
            message, "sign in again before you deploy: a deployment may take longer than they are valid"
        )
    return CREDENTIALS.ok(message)


def _clock(answers: list[_Answer], place: _Place) -> Check:
    ahead = next((answer.ahead for answer in answers if answer.ahead is not None), None)
    if ahead is None:
        error = next((answer.error for answer in answers if answer.error is not None), None)
        return _unchecked(CLOCK, error or SetupError("AWS did not return its time"), place)
    seconds = round(abs(ahead.total_seconds()))
    message = f"{seconds} s {'behind' if ahead > timedelta() else 'ahead of'} AWS"
    fix = "set this machine's clock by a time server (on Linux: `sudo timedatectl set-ntp true`)"
    if abs(ahead) > _MAX_SKEW:
        return CLOCK.problem(f"{message}, which rejects requests signed more than 5 min off", fix)
    if abs(ahead) > _SKEW_WARNING:
        return CLOCK.warning(message, fix)
    return CLOCK.ok("within a minute of AWS")


def _service(subject: Subject, answer: _Answer, action: str, place: _Place, *, absent: str = "") -> Check:
    """Check that `action` is allowed; the error code `absent` means allowed, but the resource does not exist."""
    if answer.error is None or (absent and answer.code == absent):
        return subject.ok(f"answers in {place.region} and allows {action}")
    if place.has_lost(answer.error):
        return subject.skipped(CREDENTIALS)
    if isinstance(answer.error, AccessDeniedError):
        fix = f"request {action} from the administrator of the account, or use another --aws-profile"
        return subject.problem(answer.error.message, fix)
    return subject.problem(answer.error.message, answer.error.hint or "check the region and the network, and try again")


def _filled_keys(account: Account, name: str) -> frozenset[str] | SetupError | None:
    """Return the required keys that have text in the secret, or None if its value is not a JSON object.

    Only this function reads the value of the secret; the value is not returned or logged.
    """
    try:
        with translate_aws_errors():
            text = account.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString", "")
    except Exception as error:  # noqa: BLE001 - a failed check must not stop the others
        return as_setup_error(error)
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
    if isinstance(keys, SetupError) and not isinstance(keys, AccessDeniedError):
        if isinstance(keys, CredentialsInvalidError) or described.error is not None:
            return _unchecked(DOCKER_SECRET, keys, place)
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
            "check the keys yourself, or request secretsmanager:GetSecretValue on it and kms:Decrypt on its key",
        )
    if keys is None:
        return DOCKER_SECRET.problem(
            f"secret {name!r} is not a JSON object with the keys {wanted}", _put_value(place, "its value")
        )
    missing = [key for key in _KEYS if key not in keys]
    if missing:
        return DOCKER_SECRET.problem(
            f"secret {name!r} has no text under the key{'s' if len(missing) > 1 else ''} {' and '.join(missing)}",
            _put_value(place, "the missing keys"),
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
        f"CodeBuild has no access to GitHub in {place.region}: deploy-ci-build needs --connection-arn",
        f"run `{DEPLOY_SOURCE_CREDENTIALS}`, or pass --connection-arn to deploy-ci-build",
    )


def _service_role(answer: _Answer, place: _Place) -> Check:
    """Check the service-linked role of ECS: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html."""
    if answer.error is None:
        return SERVICE_ROLE.ok(f"{_ROLE} exists")
    if answer.code == "NoSuchEntity":
        return SERVICE_ROLE.ok(f"{_ROLE} does not exist yet: the deployment of the first cluster creates it")
    if place.has_lost(answer.error):
        return SERVICE_ROLE.skipped(CREDENTIALS)
    return SERVICE_ROLE.warning(
        f"{_ROLE} cannot be read: {answer.error.message}",
        "request the permission iam:GetRole; only the deployment of clusters and spaces needs it",
    )
