"""The group `space`: containers that run under host names."""

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
from exasol_ci_setup.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.space import Space

F = TypeVar("F", bound="Callable[..., Any]")

name_option: Final = click.option(
    "--name", "--space-name", "name", metavar="NAME", required=True, help="Name of the space."
)


class _Pairs(click.ParamType):  # type: ignore[type-arg] # generic only in newer releases of click
    """NAME=VALUE, or where `json` says so a JSON object with several; converted to a dictionary."""

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
            # The value is not repeated: what stands there may be meant to be secret.
            self.fail(f"that is no {self.name}: {self._rule}", param, ctx)
        return {name: rest}

    def _of_json(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        try:
            values = json.loads(text)
        except ValueError as error:
            self.fail(f"that is no JSON: {error}", param, ctx)
        strange = next((name for name, each in values.items() if isinstance(each, dict | list) or each is None), None)
        if strange is not None:
            self.fail(f"the value of {strange!r} is neither a text nor a number: {self._rule}", param, ctx)
        return {name: each if isinstance(each, str) else json.dumps(each) for name, each in values.items()}


def _merged(_ctx: click.Context, param: click.Parameter, values: tuple[Mapping[str, str], ...]) -> Any:
    if not values:
        return None
    merged: dict[str, str] = {}
    for value in values:
        if twice := merged.keys() & value.keys():
            raise InputError(f"--{param.name} gives {min(twice)} twice")
        merged |= value
    return merged


_OPTIONS: Final = (
    click.option(
        "--domain",
        metavar="DOMAIN",
        help="The space's host is NAME.DOMAIN, or DOMAIN itself if it begins with NAME and a dot.",
    ),
    click.option(
        "--env",
        type=_Pairs("variable", 'write NAME=VALUE, or a JSON object such as {"NAME": "VALUE"}', json=True),
        multiple=True,
        callback=_merged,
        metavar="NAME=VALUE|JSON",
        help="Environment variable, or several as a JSON object; may be repeated. Not for secrets: everyone who may look at the stack sees it.",
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
        help="Environment variable whose value is that of a secret, by its name or ARN; may be repeated.",
    ),
    click.option("--cpu", metavar="VCPUS", help="Processor, such as 1, 0.5 or 250m.  [default: 250m]"),
    click.option(
        "--memory", metavar="SIZE", help="Memory in MiB, or with its unit, such as 512Mi or 1Gi.  [default: 512Mi]"
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
        help="Certificate of ACM for HTTPS.  [default: one that ACM has for the host, else HTTP alone]",
    ),
    click.option(
        "--hosted-zone-id",
        metavar="ID",
        help="Hosted zone of Route 53 to make the host's record in.  [default: none is made]",
    ),
)


def space_options(command: F) -> F:
    """Add the options of what a space is, but for its name and its image; the command gets them as keyword arguments of the verbs."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def network_options(command: F) -> F:
    """Add the options of where the load balancer is made."""
    for option in (
        click.option(
            "--subnet-id",
            "subnet_ids",
            multiple=True,
            metavar="SUBNET",
            help="Public subnet of the VPC, at least two; may be repeated.  [default: those of the default VPC]",
        ),
        click.option(
            "--vpc-id",
            metavar="VPC",
            help="VPC to make the load balancer of all spaces in.  [default: the region's default VPC]",
        ),
    ):
        command = option(command)
    return command


@click.group()
def space() -> None:
    """Run containers under host names, behind a shared load balancer.

    The load balancer and an ECS cluster are made with the first space of an account and region.
    """


@space.command("list")
@common_options
def list_(session: Session) -> None:
    """List the spaces.

    Those of the account in the region, with their state and what they run.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as place:
        found = verbs.list(place=place)
        rows = [(each.name, each.status, each.url or each.host, each.image) for each in found]
        listing(
            session, ("NAME", "STATUS", "ADDRESS", "IMAGE"), rows, none=f"there are no spaces in {place.account.region}"
        )
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

    Creates the load balancer of all spaces too if the region has none yet, after a question in a terminal. The plan of each stack is shown and
    executed, unless --plan is given.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as place:
        made = verbs.create(**values, place=place)
        show_space(session, made)
        done(session, "created", changed=True, name=made.name)


@space.command()
@name_option
@click.option(
    "--image", "-i", metavar="IMAGE", help="Image to run, with its tag or digest, in place of one that is built."
)
@click.option("--dockerfile-path", metavar="PATH", help="Dockerfile to build with.  [default: Dockerfile]")
@click.option("--docker-context", metavar="PATH", help="Folder to build.  [default: .]")
@click.option(
    "--image-tag", metavar="TAG", help="Tag that the image gets beside the one that is its own.  [default: latest]"
)
@click.option(
    "--registry-name", metavar="NAME", help="Registry that holds the image.  [default: the space's name, -registry]"
)
@click.option("--skip-registry", is_flag=True, help="Make no registry and build nothing; needs --image.")
@click.option(
    "--generate-ci/--no-generate-ci", default=True, show_default=True, help="Write the pipeline of GitHub Actions."
)
@click.option("--role-arn", type=ROLE, metavar="ARN", help="Role of the pipeline.  [default: the secret AWS_ROLE_ARN]")
@click.option(
    "--package",
    metavar="TEXT",
    help="What the pipeline installs to get this program, such as git+https://…@COMMIT.  [default: as for generate-pipeline; no pipeline without]",
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

    Makes a registry, logs docker in, builds and pushes the image, creates the space, and writes the pipeline that does so with each
    push. What is there already is used again: a space is updated to the new image. A failing step ends it with its exit code,
    and says what was made before. With --plan the plans of the stacks are shown, and nothing is built or written.
    """
    from exasol_ci_setup.platform import space as verbs

    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as place:
        made = verbs.add(name, container_port=port, plan_only=plan_only, **values, place=place)
        if plan_only:
            session.output.say(f"plan only: space {name} does not change")
            done(session, "planned", changed=False)
            return
        show_space(session, made)
        done(session, "added", changed=True, name=made.name)


@space.command()
@name_option
@common_options
def get(session: Session, name: str) -> None:
    """Show a space."""
    from exasol_ci_setup.platform import space as verbs

    with acting(session) as place:
        show_space(session, verbs.get(name, place=place))
        done(session, "shown", changed=False, name=name)


@space.command()
@name_option
@click.option("--image", metavar="IMAGE", help="Image to run, with its tag or digest.")
@space_options
@click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Remove a variable, be its value given or that of a secret; may be repeated.",
)
@change_options
@common_options
def update(session: Session, *, plan_only: bool, yes: bool, allow_data_loss: bool, **values: Any) -> None:
    """Change a space.

    What is not given keeps its value. --env and --secret add or replace the variables that they name.
    """
    from exasol_ci_setup.platform import space as verbs

    if all(value in (None, ()) for key, value in values.items() if key != "name"):
        raise InputError("nothing to change is given", hint="give --image, --env, --memory or another option")
    with acting(session, plan_only=plan_only, yes=yes, allow_data_loss=allow_data_loss) as place:
        made = verbs.update(**values, place=place)
        changed = has_changed(place)
        if not changed:
            session.output.say(f"space {made.name} is up to date: nothing to do")
        show_space(session, made)
        done(session, "updated" if changed else "unchanged", changed=changed, name=made.name)


@space.command()
@name_option
@plan_option
@yes_option
@common_options
def delete(session: Session, name: str, *, plan_only: bool, yes: bool) -> None:
    """Delete a space.

    With its logs. The load balancer stays for the other spaces; when the last one goes, its removal is offered.
    """
    from exasol_ci_setup.platform import load_balancer, space_stacks
    from exasol_ci_setup.platform import space as verbs

    output = session.output
    with acting(session) as place:
        stack = space_stacks.require(place, name)
        if plan_only:
            session.output.say(f"the logs of space {name} are deleted with it")
            planned_deletion(place, session, stack.name)
            return
        require_yes(session, f"Delete space {name} with its logs?", yes=yes)
        left = verbs.delete(name, place=place)
        output.say(f"space {name} is deleted")
        if left:
            output.say(f"the load balancer stays, for {left} more space{'' if left == 1 else 's'}")
        elif not yes and output.can_ask and output.confirm("That was the last space. Delete the load balancer too?"):
            load_balancer.remove(place=place)
            output.say("the load balancer is deleted")
        else:
            place.report.say(
                f"the load balancer stays, which costs money by the hour; `exasol-ci-setup delete {load_balancer.STACK_NAME}` deletes it"
            )
        done(session, "deleted", changed=True, name=name, left=left)


def show_space(session: Session, space: Space) -> None:
    """Print what there is to know of a space."""
    running = "" if space.running is None else f"{space.running} of {space.desired} tasks"
    shown = {
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
    details(session, shown)
    session.output.record(space)
