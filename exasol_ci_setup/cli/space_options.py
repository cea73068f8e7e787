"""Options of the commands for spaces, and the details of a space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.options import Pairs, merged
from exasol_ci_setup.cli.platform import details
from exasol_ci_setup.cli.session import together

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.platform.space import Space

name_option: Final = click.option(
    "--name", "--space-name", "-n", "-sn", "name", metavar="NAME", required=True, help="Name of the space."
)


def _given(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the values without empty ones, or None if the option is omitted."""
    return tuple(filter(None, values)) if values else None


space_options: Final = together(
    click.option(
        "--domain",
        "-d",
        metavar="DOMAIN",
        help="Domain of the host NAME.DOMAIN; if DOMAIN begins with NAME and a dot, it is the host.",
    ),
    click.option(
        "--extra-host",
        "extra_hosts",
        multiple=True,
        callback=_given,
        metavar="HOST",
        help="Other host name, such as example.com; may be repeated, and replaces all others. An empty text removes them.",
    ),
    click.option(
        "--redirect-host",
        "redirect_hosts",
        multiple=True,
        callback=_given,
        metavar="HOST",
        help="Host name that redirects to the host of the space; may be repeated, and replaces all others. An empty text removes them.",
    ),
    click.option(
        "--env",
        type=Pairs("variable", 'write NAME=VALUE, or a JSON object such as {"NAME": "VALUE"}', json=True),
        multiple=True,
        callback=merged,
        metavar="NAME=VALUE|JSON",
        help="Environment variable, or several as a JSON object; may be repeated. Not for secrets: the values are visible in the stack.",
    ),
    click.option(
        "--secret",
        "secrets",
        type=Pairs("secret", "write NAME=SECRET with the name of a variable, and the name or ARN of a secret"),
        multiple=True,
        callback=merged,
        metavar="NAME=SECRET",
        help="Environment variable with the value of a secret (name or ARN), of a key of its JSON (NAME:KEY), or of an SSM parameter (ssm:NAME); may be repeated.",
    ),
    click.option(
        "--count",
        metavar="N|N-N",
        help="Number of tasks, 0 to 50; 0 stops the space. Or least and greatest number, such as 1-4, by the use of CPU.  [default: 1]",
    ),
    click.option("--cpu", "-c", metavar="VCPUS", help="Number of vCPUs, such as 1, 0.5 or 250m.  [default: 250m]"),
    click.option(
        "--memory", "-m", metavar="SIZE", help="Memory in MiB, or with a unit, such as 512Mi or 1Gi.  [default: 512Mi]"
    ),
    click.option(
        "--port",
        "--container-port",
        "-cp",
        "port",
        type=int,
        metavar="PORT",
        help="Port that the container listens on.  [default: 80]",
    ),
    click.option(
        "--health-path",
        metavar="PATH",
        help="Path of the health check; a status below 500 is healthy.  [default: /]",
    ),
    click.option("--health-interval", type=int, metavar="SECONDS", help="Time between health checks.  [default: 15]"),
    click.option(
        "--grace-period",
        type=int,
        metavar="SECONDS",
        help="Time to start, in which failed health checks stop no task.  [default: 60]",
    ),
    click.option(
        "--policy-arn",
        "managed_policy_arns",
        multiple=True,
        callback=_given,
        metavar="ARN",
        help="Managed policy with permissions of the program in the container; may be repeated, and replaces all others. An empty text removes them.",
    ),
    click.option(
        "--exec/--no-exec",
        "enable_exec",
        default=None,
        help="Allow commands in running tasks with `space exec`.  [default: --no-exec]",
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
"""The options of a space except name and image, as keyword arguments of the platform functions."""


network_options: Final = together(
    click.option(
        "--vpc-id",
        metavar="VPC",
        help="VPC of the load balancer that all spaces share.  [default: the region's default VPC]",
    ),
    click.option(
        "--subnet-id",
        "subnet_ids",
        multiple=True,
        metavar="SUBNET",
        help="Public subnet of the VPC, at least two; may be repeated.  [default: the subnets of the default VPC]",
    ),
)
"""The options for the network of the load balancer."""

unset_option: Final = click.option(
    "--unset",
    multiple=True,
    metavar="NAME",
    help="Remove a variable of --env or --secret; may be repeated.",
)


def show_space(session: Session, space: Space) -> None:
    """Print all details of a space."""
    running = "" if space.running is None else f"{space.running} of {space.desired} tasks"
    values = {
        "name": space.name,
        "status": space.status,
        "url": space.url,
        "host": space.host,
        "other hosts": ", ".join(space.extra_hosts),
        "redirects": ", ".join(space.redirect_hosts),
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
        "tags": ", ".join(f"{key}={text}" for key, text in sorted(space.tags.items())),
    }
    details(session, values)
    session.output.record(space)
