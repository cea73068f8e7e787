"""Command group `secret`: values come from standard input, a file or a hidden prompt; only `get` prints them."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import click

from exasol_ci_setup.cli.options import TAGS, YES
from exasol_ci_setup.cli.platform import acting, done, listing, published_options, published_preview, require_yes
from exasol_ci_setup.cli.session import Session, common_options
from exasol_ci_setup.cli.spelling import typed_name
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError, SetupError

_STDIN = "-"
_REASON = "other users can see it in the list of processes, and the shell saves it in its history"

_name_option = click.option("--name", "-n", required=True, metavar="NAME", help="Name of the secret.")


class RedactedCommand(click.Command):
    """A command that does not print unexpected arguments, because they may be secrets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
        raise click.UsageError("unexpected argument; the value of a secret cannot be an argument", ctx)


def _only_stdin(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value not in {None, _STDIN}:
        name = typed_name(parameter, ctx.ensure_object(Session).arguments)
        raise InputError(
            f"{name} does not accept a secret on the command line: {_REASON}",
            hint=f"use {name} - to read it from standard input, or --file PATH to read a file"
            + ("; without both, the command prompts for it" if parameter.name == "value" else ""),
        )
    return value


_value_option = click.option(
    "--value", "-v", callback=_only_stdin, metavar="-", help="Read the value from standard input."
)
_file_option = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Read the value from a file, unchanged.",
)


@click.group("secret", cls=VerbGroup)
def secret() -> None:
    """Manage a team's secrets in AWS Secrets Manager."""


@secret.command("list")
@published_options
@common_options
def list_(session: Session) -> None:
    """List the names of the secrets."""
    from exasol_ci_setup.platform import secret as verbs

    with acting(session) as context:
        found = verbs.list(context=context)
    listing(session, ["NAME"], [[each.name] for each in found], none=f"no secrets in {context.account.region}")
    for each in found:
        session.output.record({"type": "secret", "name": each.name, "arn": each.arn, "changed": each.changed})
    done(session, "listed", changed=False, secrets=len(found))


@secret.command("create", cls=RedactedCommand)
@published_preview
@_name_option
@_value_option
@_file_option
@TAGS
@common_options
def create(session: Session, name: str, value: str | None, file: Path | None, tags: dict[str, str] | None) -> None:
    """Store a secret.

    Without --value and --file, the command prompts for the value and hides the input. One line break at the end of standard input
    is removed from text; other bytes stay unchanged.
    """
    from exasol_ci_setup.platform import secret as verbs

    with acting(session) as context:
        created = verbs.create(name, _value(session, value, file), tags=tags, context=context)
    session.output.say(f"created secret {created.name}")
    session.output.record({"type": "secret", "name": created.name, "arn": created.arn})
    done(session, "created", changed=True, name=name)


@secret.command("set", cls=RedactedCommand)
@_name_option
@_value_option
@_file_option
@TAGS
@common_options
def set_(session: Session, name: str, value: str | None, file: Path | None, tags: dict[str, str] | None) -> None:
    """Store a secret, or replace the value of an existing one.

    The value is read as for create. Running tasks of spaces keep the old value until they are restarted; the command prints which.
    """
    from exasol_ci_setup.platform import secret as verbs

    with acting(session) as context:
        stored = verbs.set(name, _value(session, value, file), tags=tags, context=context)
        session.output.say(f"stored secret {stored.name}")
        try:
            spaces = verbs.spaces_with(name, context=context)
        except SetupError as error:
            # The value is stored; the caller may have no permissions for stacks.
            spaces = []
            session.output.warn(f"the spaces that read this secret are unknown: {error}")
        for space in spaces:
            session.output.say(
                f"space {space} reads it with its next tasks: `exasol-ci-setup space restart --name {space}`"
            )
    session.output.record({"type": "secret", "name": stored.name, "arn": stored.arn})
    done(session, "stored", changed=True, name=name, spaces=spaces)


@secret.command("bulk-create", cls=RedactedCommand)
@click.option("--secrets", callback=_only_stdin, metavar="-", help="Read the secrets from standard input.")
@click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="PATH",
    help="Read the secrets from a file; - is standard input.",
)
@TAGS
@common_options
def bulk_create(session: Session, secrets: str | None, file: Path | None, tags: dict[str, str] | None) -> None:
    """Store many secrets, or none if one of them cannot be stored.

    The input is a JSON object of names and values, a JSON list of objects with "name" and "value", or the lines of a
    .env file.
    """
    from exasol_ci_setup.platform import secret as verbs
    from exasol_ci_setup.platform import secret_files

    if (secrets is None) == (file is None):
        raise InputError("either --file or --secrets is needed", hint="use --file PATH or --secrets -")
    data = _stdin() if file is None or str(file) == _STDIN else _contents(file)
    with acting(session) as context:
        created = verbs.bulk_create(secret_files.parse(data), tags=tags, context=context)
    for each in created:
        session.output.say(f"created secret {each.name}")
        session.output.record({"type": "secret", "name": each.name, "arn": each.arn})
    done(session, "created", changed=True, secrets=len(created))


@secret.command("get")
@published_preview
@_name_option
@common_options
def get(session: Session, name: str) -> None:
    """Print the value of a secret, and nothing else."""
    from exasol_ci_setup.platform import secret as verbs

    with acting(session) as context:
        found = verbs.get(name, context=context)
    if isinstance(found.value, bytes):
        value: dict[str, Any] = {"value_base64": base64.b64encode(found.value).decode()}
    else:
        value = {"value": found.value}
    session.output.record({"type": "secret", "name": name, "arn": found.arn, **value})
    session.output.raw(found.value.encode() if isinstance(found.value, str) else found.value)


@secret.command("delete")
@_name_option
@YES
@common_options
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete a secret; AWS keeps it for 30 days, but its name is available again."""
    from exasol_ci_setup.platform import secret as verbs

    with acting(session) as context:
        verbs.require_deletable(name, context=context)
        require_yes(session, f"Delete secret {name}?", yes=yes)
        until = verbs.delete(name, context=context)
    session.output.say(f"deleted secret {name}; AWS keeps it until {until:%Y-%m-%d}")
    done(session, "deleted", changed=True, name=name, kept_until=until)


def _value(session: Session, value: str | None, file: Path | None) -> bytes:
    if value is not None and file is not None:
        raise InputError("--value and --file contradict each other")
    if file is not None:
        return _contents(file)
    if value is not None:
        return _without_line_break(_stdin())
    from exasol_ci_setup.cli.consent import require_terminal

    require_terminal(
        session.output,
        needed="the value is needed",
        hint="use --value - to read it from standard input, or --file PATH to read a file",
    )
    typed: str = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
    return typed.encode()


def _stdin() -> bytes:
    # The text stream would change line breaks, and reject bytes that are not text.
    return sys.stdin.buffer.read()


def _without_line_break(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        return data
    return data[:-2] if data.endswith(b"\r\n") else data[:-1] if data.endswith(b"\n") else data


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
