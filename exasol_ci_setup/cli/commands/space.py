"""Command group `space`: containers that run under host names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from exasol_ci_setup.cli.commands import space_operations
from exasol_ci_setup.cli.options import ROLE, TAGS
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    deletion_options,
    done,
    has_changed,
    listing,
    planned_deletion,
    published_options,
    require_yes,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.cli.space_options import name_option, network_options, show_space, space_options, unset_option
from exasol_ci_setup.cli.verbs import VerbGroup
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session

_LAST = "This is the last space: the load balancer then serves no space, and continues to cost money by the hour"


@click.group(cls=VerbGroup)
def space() -> None:
    """Run containers under host names, behind a shared load balancer.

    The load balancer and an ECS cluster are created with the first space of an account and region.
    """


@space.command("list")
@published_options
@common_options
def list_(session: Session) -> None:
    """List the spaces.

    Shows all spaces of the account in the region, with status, address and image.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        found = verbs.list(context=context)
        rows = [(each.name, each.status, each.url, each.image) for each in found]
        listing(session, ("NAME", "STATUS", "ADDRESS", "IMAGE"), rows, none=f"no spaces in {context.account.region}")
        session.output.record(*found)
        done(session, "listed", changed=False, spaces=len(found))


@space.command()
@name_option
@click.option("--image", metavar="IMAGE", required=True, help="Image to run, with its tag or digest.")
@space_options
@TAGS
@network_options
@change_options
@published_options
@common_options
def create(session: Session, *, plan_only: bool, yes: bool, allow_data_loss: bool, **values: Any) -> None:
    """Run a container under a host name.

    If the region has no load balancer for spaces yet, it is created too, after confirmation in a terminal. The plan of each stack is shown and
    executed; with --plan it is only shown.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        created = verbs.create(**values, context=context)
        show_space(session, created)
        done(session, "created", changed=True, name=created.name)


@space.command()
@name_option
@click.option("--image", "-i", metavar="IMAGE", help="Image to run, with its tag or digest, instead of building one.")
@click.option("--dockerfile-path", "-dfp", metavar="PATH", help="Dockerfile to build with.  [default: Dockerfile]")
@click.option("--docker-context", "-dc", metavar="PATH", help="Build context.  [default: .]")
@click.option("--image-tag", "-it", metavar="TAG", help="Additional tag of the image.  [default: latest]")
@click.option("--registry-name", "-rn", metavar="NAME", help="Registry of the image.  [default: NAME-registry]")
@click.option("--skip-registry", "-sr", is_flag=True, help="Create no registry and build no image; needs --image.")
@click.option(
    "--space-type", "-st", type=click.Choice(["docker"]), expose_value=False, hidden=True, help="Without effect."
)
@click.option(
    "--ci-type", "-ct", type=click.Choice(["github-actions"]), expose_value=False, hidden=True, help="Without effect."
)
@click.option(
    "--generate-ci/--no-generate-ci", "-gci", default=True, show_default=True, help="Write the GitHub Actions workflow."
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role of the workflow.  [default: the secret AWS_ROLE_ARN]")
@click.option(
    "--package",
    metavar="TEXT",
    help="Package that pip installs in the workflow, such as git+https://…@COMMIT.  [default: as for generate-pipeline; without one, no workflow is written]",
)
@space_options
@TAGS
@unset_option
@network_options
@change_options
@common_options
def add(
    session: Session,
    name: str,
    port: int | None,
    *,
    plan_only: bool,
    yes: bool,
    allow_data_loss: bool,
    **values: Any,
) -> None:
    """Build the image of this folder and run it under a host name.

    Creates a registry, builds and pushes the image, creates the space, and writes a GitHub Actions workflow that updates it with each
    push. Existing resources are reused; an existing space gets the new image. If a step fails, the command prints what was created
    before, and exits with the code of that step. With --plan, only the plans of the stacks are shown; nothing is built or written.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        added = verbs.add(name, container_port=port, plan_only=plan_only, **values, context=context)
        if plan_only:
            session.output.say(f"plan only: space {name} does not change")
            done(session, "planned", changed=False)
            return
        show_space(session, added)
        done(session, "added", changed=True, name=added.name)


@space.command()
@name_option
@published_options
@common_options
def get(session: Session, name: str) -> None:
    """Show a space."""
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        show_space(session, verbs.get(name, context=context))
        done(session, "shown", changed=False, name=name)


@space.command()
@name_option
@click.option("--image", metavar="IMAGE", help="Image to run, with its tag or digest.")
@space_options
@TAGS
@unset_option
@change_options
@published_options
@common_options
def update(session: Session, *, plan_only: bool, yes: bool, allow_data_loss: bool, **values: Any) -> None:
    """Change a space.

    Omitted options keep their values. --env and --secret add or replace variables.
    """
    from exasol_ci_setup.platform import space as verbs

    if not values["unset"] and all(value is None for key, value in values.items() if key not in {"name", "unset"}):
        raise InputError("nothing to change: no option is set", hint="set --image, --env, --memory or another option")
    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as context:
        updated = verbs.update(**values, context=context)
        changed = has_changed(context)
        if not changed:
            session.output.say(f"space {updated.name} is up to date")
        show_space(session, updated)
        done(session, "updated" if changed else "unchanged", changed=changed, name=updated.name)


@space.command()
@name_option
@click.option(
    "--with-load-balancer", is_flag=True, help="Also delete the load balancer of the spaces, if nothing else uses it."
)
@deletion_options
@common_options
def delete(session: Session, name: str, *, with_load_balancer: bool, plan_only: bool, yes: bool) -> None:
    """Delete a space and its logs.

    The load balancer is kept for other spaces and services. For the last space, the command offers in a terminal to delete it too.
    """
    from exasol_ci_setup.platform import load_balancer, space_stacks
    from exasol_ci_setup.platform import space as verbs

    output = session.output
    with acting(session) as context:
        stack = space_stacks.require(context, name)
        others = load_balancer.other_users(context, without=stack.name)
        is_last = not others and load_balancer.find(context) is not None
        if plan_only:
            output.say(f"deleting space {name} also deletes its logs")
            if is_last and not with_load_balancer:
                context.note(f"{_LAST}; --with-load-balancer deletes it too")
            more = [load_balancer.STACK_NAME] if is_last and with_load_balancer else []
            planned_deletion(context, session, stack.name, *more)
            return
        what = "its logs, and the load balancer of the spaces" if is_last and with_load_balancer else "its logs"
        require_yes(session, f"Delete space {name} and {what}?", yes=yes)
        if is_last and not with_load_balancer and not yes:
            with_load_balancer = output.confirm(f"{_LAST}. Delete it too?")
        left = verbs.delete(name, context=context)
        output.say(f"deleted space {name}")
        if left:
            output.say(f"kept the load balancer for {counted(left, 'more space')}")
        elif others:
            output.say(f"kept the load balancer for {', '.join(others)}")
        elif is_last and with_load_balancer:
            load_balancer.remove(context=context)
            output.say("deleted the load balancer")
        elif is_last:
            context.note(
                f"kept the load balancer, which costs money by the hour; to delete it: `exasol-ci-setup delete {load_balancer.STACK_NAME}`"
            )
        done(session, "deleted", changed=True, name=name, left=left)


for _command in space_operations.COMMANDS:
    space.add_command(_command)
