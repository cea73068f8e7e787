"""Secrets of a team: values in Secrets Manager under one prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import secretsmanager
from exasol_ci_setup.aws.session import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.constructs.container_secrets import secret_arns
from exasol_ci_setup.core.errors import InputError, SecretConflictError, SecretNotFoundError, SetupError
from exasol_ci_setup.core.text import is_text
from exasol_ci_setup.platform import space_stacks
from exasol_ci_setup.platform.stacks import checked_tags
from exasol_ci_setup.stacks import users
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    import builtins
    from datetime import datetime

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import TagTypeDef

    from exasol_ci_setup.aws.context import Context

_TAGS: Final = {"exasol-ci-setup:construct": "Secret"}
_DESCRIPTION: Final = "Made by exasol-ci-setup secret create"
_MOST_BYTES: Final = 65_536
"""Of a value: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html."""

_LONGEST_NAME: Final = 512 - len(secretsmanager.TEAM_PREFIX)
_NAME: Final = re.compile(r"[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*")
"""Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret with its value: text, or bytes that are not UTF-8. Its `repr` does not show the value."""

    name: str
    arn: str
    value: str | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A secret without its value; `changed` is the time of its last change."""

    name: str
    arn: str
    changed: datetime | None = None


def create(
    name: str, value: str | bytes, *, tags: Mapping[str, str] | None = None, context: Context | None = None
) -> SecretEntry:
    """Store a secret. A deleted one of the same name that AWS still keeps is restored with this value, and `tags` are added to its own.

    `value` has at most 65,536 bytes; bytes that are UTF-8 are stored as text. Without `context` the default account and region of the AWS
    configuration are used. Raises SecretConflictError if the secret exists, InputError for an invalid name or value, and the errors of the
    AWS boundary. Errors and logs never contain the value.
    """
    _require(name, value)
    own_tags = checked_tags(tags)
    client = (context or default_context()).account.client("secretsmanager")
    return _create(client, name, value, own_tags)


def bulk_create(
    secrets: Mapping[str, str | bytes] | Iterable[Mapping[str, Any]],
    *,
    tags: Mapping[str, str] | None = None,
    context: Context | None = None,
) -> builtins.list[SecretEntry]:
    """Store several secrets with the same tags, values by name or mappings with ``name`` and ``value``; none of them if one is invalid.

    All are checked before the first is stored. Raises InputError without secrets or for an invalid one, and SecretConflictError with the
    names that already exist. If AWS rejects one after others were stored, the hint of the error names these.
    """
    secrets = _by_name(secrets)
    if not secrets:
        raise InputError("the input contains no secrets")
    for name, value in secrets.items():
        _require(name, value)
    own_tags = checked_tags(tags)
    client = (context or default_context()).account.client("secretsmanager")
    taken = [name for name in secrets if _is_live(secretsmanager.find(client, _full(name)))]
    if taken:
        raise SecretConflictError(
            f"{_named(taken)} already: none of the {len(secrets)} was created",
            hint=f"omit them; `exasol-ci-setup secret set --name {taken[0]}` replaces a value",
        )
    made: builtins.list[SecretEntry] = []
    for name, value in secrets.items():
        try:
            made.append(_create(client, name, value, own_tags))
        except SetupError as error:  # noqa: PERF203 - each may fail, and the hint names those created before
            if made:
                error.hint = f"{error.hint}\ncreated before that: {', '.join(each.name for each in made)}".strip()
            raise
    return made


def set(  # noqa: A001 - the command's name
    name: str, value: str | bytes, *, tags: Mapping[str, str] | None = None, context: Context | None = None
) -> SecretEntry:
    """Store a secret, or replace the value of an existing one; its ARN stays the same, and `tags` are added to its own.

    Running tasks keep the old value: `spaces_with` returns the spaces to restart. Raises InputError for an invalid name or value, and the
    errors of the AWS boundary. Errors and logs never contain the value.
    """
    _require(name, value)
    own_tags = checked_tags(tags)
    client = (context or default_context()).account.client("secretsmanager")
    try:
        return _create(client, name, value, own_tags)
    except SecretConflictError:
        with translate_aws_errors():
            _add_tags(client, name, own_tags)
            stored = client.put_secret_value(SecretId=_full(name), **_as_stored(value))
        return SecretEntry(name, stored["ARN"])


def spaces_with(name: str, *, context: Context | None = None) -> builtins.list[str]:
    """Return the names of the spaces whose current release reads a secret. Raises SecretNotFoundError."""
    _require_name(name)
    context = context or default_context()
    found = secretsmanager.find(context.account.client("secretsmanager"), _full(name))
    if found is None:
        raise _not_found(context.account.client("secretsmanager"), name)
    return sorted(
        space_stacks.describe(stack).name
        for stack in users.of_secret(context.cfn, found["ARN"], _full(name))
        if space_stacks.is_of_space(stack)
        and found["ARN"] in secret_arns(space_stacks.record(space_stacks.metadata(context, stack))["secrets"].values())
    )


def _by_name(secrets: object) -> Mapping[str, str | bytes]:
    """Return values by name, also of a list of mappings with name and value. Raises InputError."""
    if isinstance(secrets, Mapping):
        return secrets
    found: dict[str, str | bytes] = {}
    for each in secrets if isinstance(secrets, Iterable) and not isinstance(secrets, str | bytes) else (None,):
        if not isinstance(each, Mapping) or each.keys() != {"name", "value"}:
            raise InputError("secrets: use a mapping of names and values, or mappings with the keys name and value")
        if each["name"] in found:
            raise InputError(f"secrets: {each['name']!r} is set twice")
        found[each["name"]] = each["value"]
    return found


def get(name: str, *, context: Context | None = None) -> Secret:
    """Return a secret with its value. Raises SecretNotFoundError, and the errors of the AWS boundary."""
    _require_name(name)
    client = (context or default_context()).account.client("secretsmanager")
    with translate_aws_errors():
        try:
            found = client.get_secret_value(SecretId=_full(name))
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                raise _not_found(client, name) from None
            # The error code for a secret that is being deleted.
            if error_code(error) == "InvalidRequestException" and not _is_live(
                secretsmanager.find(client, _full(name))
            ):
                raise _not_found(client, name, is_deleted=True) from None
            raise
    return Secret(name, found["ARN"], found.get("SecretString") or found["SecretBinary"])


def list(*, context: Context | None = None) -> builtins.list[SecretEntry]:  # noqa: A001 - the command's name
    """Return all secrets, sorted by name; their values are not read. Raises the errors of the AWS boundary."""
    client = (context or default_context()).account.client("secretsmanager")
    prefix = secretsmanager.TEAM_PREFIX
    with translate_aws_errors():
        pages = client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [prefix]}])
        found = [
            SecretEntry(each["Name"].removeprefix(prefix), each["ARN"], each.get("LastChangedDate"))
            for page in pages
            for each in page["SecretList"]
            if each["Name"].startswith(prefix) and "DeletedDate" not in each
        ]
    return sorted(found, key=lambda each: each.name)


def require_deletable(name: str, *, context: Context | None = None) -> SecretsManagerClient:
    """Return the client of Secrets Manager if the secret exists and no stack of this tool reads it.

    Raises SecretNotFoundError, without reading the value, and InUseError.
    """
    _require_name(name)
    account = (context or default_context()).account
    client = account.client("secretsmanager")
    found = secretsmanager.find(client, _full(name))
    if found is None or not _is_live(found):
        raise _not_found(client, name)
    readers = users.of_secret(account.client("cloudformation"), found["ARN"], _full(name))
    # The deletion of a stack is no remedy for one of its secrets.
    users.require_none(
        f"secret {name!r}",
        readers,
        hint="remove it from these stacks first; from a space with its variable: "
        "`exasol-ci-setup space update --name NAME --unset VARIABLE`",
    )
    return client


def delete(name: str, *, context: Context | None = None) -> datetime:
    """Delete a secret, and return until when AWS keeps it. `create` accepts its name before and after that time.

    Raises SecretNotFoundError, InUseError while a stack of this tool reads it, and the errors of the AWS boundary.
    """
    client = require_deletable(name, context=context)
    with translate_aws_errors():
        # The default recovery window is the longest: 30 days.
        return client.delete_secret(SecretId=_full(name))["DeletionDate"]


def _create(client: SecretsManagerClient, name: str, value: str | bytes, tags: Mapping[str, str]) -> SecretEntry:
    stored = _as_stored(value)
    with translate_aws_errors():
        try:
            made = client.create_secret(
                Name=_full(name),
                Description=_DESCRIPTION,
                Tags=_listed({**tags, **_TAGS}),
                **stored,
            )
        except ClientError as error:
            # AWS answers with either code if a deleted secret has the name.
            if error_code(error) not in {"ResourceExistsException", "InvalidRequestException"}:
                raise
            found = secretsmanager.find(client, _full(name))
            if found is None:
                raise
            if _is_live(found):
                raise SecretConflictError(
                    f"secret {name!r} already exists in {client.meta.region_name}",
                    hint=f"`exasol-ci-setup secret set --name {name}` replaces its value",
                ) from None
            return _restore(client, name, stored, tags)
    return SecretEntry(name, made["ARN"])


def _restore(
    client: SecretsManagerClient, name: str, stored: Mapping[str, Any], tags: Mapping[str, str]
) -> SecretEntry:
    client.restore_secret(SecretId=_full(name))
    try:
        _add_tags(client, name, tags)
        made = client.put_secret_value(SecretId=_full(name), **stored)
    except BaseException:
        # Delete it again: the old value must not reappear after its deletion.
        client.delete_secret(SecretId=_full(name))
        raise
    return SecretEntry(name, made["ARN"])


def _add_tags(client: SecretsManagerClient, name: str, tags: Mapping[str, str]) -> None:
    if tags:
        client.tag_resource(SecretId=_full(name), Tags=_listed(tags))


def _listed(tags: Mapping[str, str]) -> builtins.list[TagTypeDef]:
    return [{"Key": key, "Value": text} for key, text in tags.items()]


def _as_stored(value: str | bytes) -> dict[str, Any]:
    if isinstance(value, bytes):
        try:
            return {"SecretString": value.decode()}
        except UnicodeDecodeError:
            return {"SecretBinary": value}
    return {"SecretString": value}


def _is_live(found: Mapping[str, Any] | None) -> bool:
    return found is not None and "DeletedDate" not in found


def _not_found(client: SecretsManagerClient, name: str, *, is_deleted: bool = False) -> SecretNotFoundError:
    return SecretNotFoundError(
        f"secret {name!r} {'was deleted' if is_deleted else 'does not exist'} in {client.meta.region_name}",
        hint="list the secrets with `exasol-ci-setup secret list`; check --region and --aws-profile",
    )


def _full(name: str) -> str:
    return f"{secretsmanager.TEAM_PREFIX}{name}"


def _named(names: builtins.list[str]) -> str:
    return f"secret {names[0]!r} exists" if len(names) == 1 else f"secrets {', '.join(map(repr, names))} exist"


def _require(name: str, value: object) -> None:
    _require_name(name)
    if not isinstance(value, str | bytes):
        raise InputError(f"the value of secret {name!r} is neither text nor bytes")
    try:
        size = len(value.encode() if isinstance(value, str) else value)
    except UnicodeEncodeError:
        # The message and the chain of this exception would show the value.
        size = -1
    if size < 0:
        raise InputError(f"the value of secret {name!r} is not valid Unicode")
    if not size:
        raise InputError(f"the value of secret {name!r} is empty")
    if size > _MOST_BYTES:
        raise InputError(f"the value of secret {name!r} has {size} bytes: AWS accepts at most {_MOST_BYTES}")


def _require_name(name: str) -> None:
    if not is_text(name) or not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"invalid name of a secret: {name!a}",
            hint=f"use letters, digits and _+=.@-, with single / between parts, at most {_LONGEST_NAME} characters",
        )
