"""Command group `registry`: image repositories in ECR, and the docker login for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.options import TAGS
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    deletion_options,
    details,
    done,
    listing,
    planned_deletion,
    published_options,
    published_preview,
    require_yes,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.verbs import VerbGroup

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.registry import Registry

_name_option: Final = click.option(
    "--name", "--registry-name", "-n", "name", required=True, metavar="NAME", help="Name of the registry."
)


@click.group(cls=VerbGroup)
def registry() -> None:
    """Manage container images in Amazon ECR."""


@registry.command("list")
@published_options
@common_options
def list_(session: Session) -> None:
    """List the registries."""
    from exasol_ci_setup.platform import registry as verbs

    with acting(session) as context:
        found = verbs.list(context=context)
        rows = [(each.name, each.status, each.uri) for each in found]
        listing(session, ("NAME", "STATUS", "URI"), rows, none=f"no registries in {context.account.region}")
        session.output.record(*found)
        done(session, "listed", changed=False, registries=len(found))


@registry.command()
@_name_option
@click.option(
    "--keep",
    # The name of the field, so that an error names this option.
    "kept_images",
    type=int,
    metavar="N",
    help="Newest images to keep, besides those of the last ten releases of each space; others are deleted.  [default: all]",
)
@TAGS
@change_options
@published_preview
@common_options
def create(
    session: Session,
    name: str,
    *,
    kept_images: int | None,
    tags: dict[str, str] | None,
    plan_only: bool,
    yes: bool,
    allow_data_loss: bool,
) -> None:
    """Create a registry.

    Tags other than latest are immutable. Images are scanned on push. Untagged images are deleted after two weeks.
    """
    from exasol_ci_setup.platform import registry as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        _show(session, verbs.create(name, keep=kept_images, tags=tags, context=context))
        done(session, "created", changed=True, name=name)


@registry.command()
@_name_option
@published_preview
@common_options
def get(session: Session, name: str) -> None:
    """Show a registry."""
    from exasol_ci_setup.platform import registry as verbs

    with acting(session) as context:
        _show(session, verbs.get(name, context=context))
        done(session, "shown", changed=False, name=name)


@registry.command()
@_name_option
@click.option("--empty", is_flag=True, help="Also delete the images in it.")
@deletion_options
@common_options
def delete(session: Session, name: str, *, empty: bool, plan_only: bool, yes: bool) -> None:
    """Delete a registry; if it holds images, only with --empty."""
    from exasol_ci_setup.platform import registry as verbs

    with acting(session) as context:
        found = verbs.get(name, context=context)
        if plan_only:
            planned_deletion(context, session, found.stack_name, empty=empty)
            return
        images = " with all its images" if empty else ""
        require_yes(session, f"Delete registry {name}{images} at {found.uri}?", yes=yes)
        verbs.delete(name, empty=empty, context=context)
        session.output.say(f"deleted registry {name}")
        done(session, "deleted", changed=True, name=name)


@registry.command("get-credentials")
@_name_option
@common_options
def get_credentials(session: Session, name: str) -> None:
    """Print user name, password and address for a docker login.

    The password is valid for 12 hours, for all registries of the account that you have access to. docker-login does not need it.
    """
    from exasol_ci_setup.platform import registry as verbs

    with acting(session) as context:
        found = verbs.get_credentials(name, context=context)
        details(session, {**asdict(found), "expires": found.expires.isoformat()})
        session.output.record(found)


@registry.command("docker-login")
@_name_option
@common_options
def docker_login(session: Session, name: str) -> None:
    """Log in docker on this machine to a registry."""
    from exasol_ci_setup.platform import registry as verbs

    with acting(session) as context:
        host = verbs.docker_login(name, context=context)
        session.output.say(f"logged in docker to {host}")
        done(session, "logged-in", changed=True, name=name, host=host)


def _show(session: Session, found: Registry) -> None:
    details(session, {field.removesuffix("_name"): value for field, value in asdict(found).items()})
    session.output.record(found)
