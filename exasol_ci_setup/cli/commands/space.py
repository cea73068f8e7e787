"""Command group `space`: containers that run under host names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.cli.options import ROLE
from exasol_ci_setup.cli.platform import (
    acting,
    change_options,
    details,
    done,
    has_changed,
    listing,
    plan_option,
    planned_deletion,
    require_yes,
    yes_option,
)
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.space import Space

F = TypeVar("F", bound="Callable[..., Any]")

name_option: Final = click.option(
    "--name", "--space-name", "name", metavar="NAME", required=True, help="Name of the space."
)


class _Pairs(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """NAME=VALUE, or a JSON object if `json` is set; converted to a dictionary."""

    def __init__(self, name: str, rule: str, *, json: bool) -> None:
        self.name = name
        self._rule = rule
        self._json = json

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """Return names and values."""
        text = str(value).strip()
        if self._json and text.startswith("{"):
            return self._of_json(text, param, ctx)
        name, equals, rest = str(value).partition("=")
        if not equals or not name:
            # The message does not repeat the value, because it may be a secret.
            self.fail(f"not a {self.name}: {self._rule}", param, ctx)
        return {name: rest}

    def _of_json(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        try:
            values = json.loads(text)
        except ValueError as error:
            self.fail(f"not valid JSON: {error}", param, ctx)
        invalid = next((name for name, each in values.items() if isinstance(each, dict | list) or each is None), None)
        if invalid is not None:
            self.fail(f"the value of {invalid!r} is neither text nor a number: {self._rule}", param, ctx)
        return {name: each if isinstance(each, str) else json.dumps(each) for name, each in values.items()}


def _merged(_ctx: click.Context, param: click.Parameter, values: tuple[Mapping[str, str], ...]) -> Any:
    if not values:
        return None
    merged: dict[str, str] = {}
    for value in values:
        if twice := merged.keys() & value.keys():
            raise InputError(f"--{param.name} sets {min(twice)} twice")
        merged |= value
    return merged


_OPTIONS: Final = (
    click.option(
        "--domain",
        metavar="DOMAIN",
        help="Domain of the host NAME.DOMAIN; if DOMAIN begins with NAME and a dot, it is the host.",
    ),
    click.option(
        "--env",
        type=_Pairs("variable", 'write NAME=VALUE, or a JSON object such as {"NAME": "VALUE"}', json=True),
        multiple=True,
        callback=_merged,
        metavar="NAME=VALUE|JSON",
        help="Environment variable, or several as a JSON object; may be repeated. Not for secrets: the values are visible in the stack.",
    ),
    click.option(
        "--secret",
        "secrets",
        type=_Pairs(
            "secret", "write NAME=SECRET with the name of a variable, and the name or ARN of a secret", json=False
        ),
        multiple=True,
        callback=_merged,
        metavar="NAME=SECRET",
        help="Environment variable with the value of a secret (name or ARN); may be repeated.",
    ),
    click.option("--cpu", metavar="VCPUS", help="Number of vCPUs, such as 1, 0.5 or 250m.  [default: 250m]"),
    click.option(
        "--memory", metavar="SIZE", help="Memory in MiB, or with a unit, such as 512Mi or 1Gi.  [default: 512Mi]"
    ),
    click.option(
        "--port",
        "--container-port",
        "port",
        type=int,
        metavar="PORT",
        help="Port that the container listens on.  [default: 80]",
    ),
    click.option(
        "--certificate-arn",
        metavar="ARN",
        help="ACM certificate for HTTPS.  [default: a certificate of ACM for the host; without one, HTTP only]",
    ),
    click.option(
        "--hosted-zone-id",
        metavar="ID",
        help="Route 53 hosted zone for the DNS record of the host.  [default: no record]",
    ),
)


def space_options(command: F) -> F:
    """Add the options of a space except name and image, as keyword arguments of the platform functions."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def network_options(command: F) -> F:
    """Add the options for the network of the load balancer."""
    for option in (
        click.option(
            "--subnet-id",
            "subnet_ids",
            multiple=True,
            metavar="SUBNET",
            help="Public subnet of the VPC, at least two; may be repeated.  [default: the subnets of the default VPC]",
        ),
        click.option(
            "--vpc-id",
            metavar="VPC",
            help="VPC of the load balancer that all spaces share.  [default: the region's default VPC]",
        ),
    ):
        command = option(command)
    return command


@click.group()
def space() -> None:
    """Run containers under host names, behind a shared load balancer.

    The load balancer and an ECS cluster are created with the first space of an account and region.
    """


@space.command("list")
@common_options
def list_(session: Session) -> None:
    """List the spaces.

    Shows all spaces of the account in the region, with status, address and image.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as context:
        found = verbs.list(context=context)
        rows = [(each.name, each.status, each.url or each.host, each.image) for each in found]
        listing(session, ("NAME", "STATUS", "ADDRESS", "IMAGE"), rows, none=f"no spaces in {context.account.region}")
        for each in found:
            session.output.record(each)
        done(session, "listed", changed=False, spaces=len(found))


@space.command()
@name_option
@click.option("--image", metavar="IMAGE", required=True, help="Image to run, with its tag or digest.")
@space_options
@network_options
@change_options
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
@click.option("--dockerfile-path", metavar="PATH", help="Dockerfile to build with.  [default: Dockerfile]")
@click.option("--docker-context", metavar="PATH", help="Build context.  [default: .]")
@click.option("--image-tag", metavar="TAG", help="Additional tag of the image.  [default: latest]")
@click.option("--registry-name", metavar="NAME", help="Registry of the image.  [default: NAME-registry]")
@click.option("--skip-registry", is_flag=True, help="Create no registry and build no image; needs --image.")
@click.option(
    "--generate-ci/--no-generate-ci", default=True, show_default=True, help="Write the GitHub Actions workflow."
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role of the workflow.  [default: the secret AWS_ROLE_ARN]")
@click.option(
    "--package",
    metavar="TEXT",
    help="Package that pip installs in the workflow, such as git+https://…@COMMIT.  [default: as for generate-pipeline; without one, no workflow is written]",
)
@space_options
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
@click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Remove a variable of --env or --secret; may be repeated.",
)
@change_options
@common_options
def update(session: Session, *, plan_only: bool, yes: bool, allow_data_loss: bool, **values: Any) -> None:
    """Change a space.

    Omitted options keep their values. --env and --secret add or replace variables.
    """
    from exasol_ci_setup.platform import space as verbs

    if all(value in (None, ()) for key, value in values.items() if key != "name"):
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
@plan_option
@yes_option
@common_options
def delete(session: Session, name: str, *, plan_only: bool, yes: bool) -> None:
    """Delete a space and its logs.

    The load balancer is kept for the other spaces. After the last space, the command offers to delete it.
    """
    from exasol_ci_setup.platform import load_balancer, space_stacks
    from exasol_ci_setup.platform import space as verbs

    output = session.output
    with acting(session) as context:
        stack = space_stacks.require(context, name)
        if plan_only:
            session.output.say(f"deleting space {name} also deletes its logs")
            planned_deletion(context, session, stack.name)
            return
        require_yes(session, f"Delete space {name} and its logs?", yes=yes)
        left = verbs.delete(name, context=context)
        output.say(f"deleted space {name}")
        if left:
            output.say(f"kept the load balancer for {counted(left, 'more space')}")
        elif not yes and output.can_ask and output.confirm("That was the last space. Delete the load balancer too?"):
            load_balancer.remove(context=context)
            output.say("deleted the load balancer")
        else:
            context.note(
                f"kept the load balancer, which costs money by the hour; to delete it: `exasol-ci-setup delete {load_balancer.STACK_NAME}`"
            )
        done(session, "deleted", changed=True, name=name, left=left)


def show_space(session: Session, space: Space) -> None:
    """Print all details of a space."""
    running = "" if space.running is None else f"{space.running} of {space.desired} tasks"
    values = {
        "name": space.name,
        "status": space.status,
        "url": space.url,
        "host": space.host,
        "load balancer": space.dns_name,
        "image": space.image,
        "size": f"{space.cpu:g} vCPU, {space.memory} MiB" if space.cpu else "",
        "port": str(space.port or ""),
        "running": running,
        "variables": ", ".join(sorted(space.env)),
        "secrets": ", ".join(sorted(space.secrets)),
        "certificate": space.certificate_arn,
        "log group": space.log_group,
        "stack": space.stack_name,
    }
    details(session, values)
    session.output.record(space)
