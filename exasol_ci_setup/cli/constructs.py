"""The command-line options of each construct, and the construct that they describe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, get_args

import click

from exasol_ci_setup.cli.construct_types import EGRESS, INGRESS, SERVICE, STATEMENTS
from exasol_ci_setup.cli.session import together
from exasol_ci_setup.cli.spelling import option_of
from exasol_ci_setup.constructs import (  # noqa: TID253 - the options are those of the models
    Asset,
    BuildkitBuilder,
    CiBuild,
    Cluster,
    Construct,
    ContainerBuilder,
    Instance,
    Registry,
    ReleaseBuild,
    SecurityGroup,
    SourceCredentials,
    build,
)
from exasol_ci_setup.constructs.ci import Cache  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.constructs.host import Architecture  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.core.build_settings import COMPUTE_TYPES_IN_WORDS
from exasol_ci_setup.core.text import kebab_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.constructs.values import Value


F = TypeVar("F", bound="Callable[..., Any]")
Option: TypeAlias = "Callable[[Any], Any]"


def _field(
    model: type[Value],
    field: str,
    *names: str,
    default: str = "",
    more: str = "",
    called: str = "construct",
    **settings: Any,
) -> Option:
    """Return the option for a field of a model. Its help is the description of the field, and its default.

    `names` are the names of the option if they are not that of the field, `default` describes the default if it is another than that of the
    field, and `more` follows the description. `called` is what the help calls the construct. Other settings are those of `click.option`.
    """
    info = model.model_fields[field]
    text, _, described = (info.description or "").partition(" Default: ")
    # In a text, a field is written as its option.
    text = re.sub(r"`(\w+)`", lambda match: option_of(match[1]), text)
    text = text.replace("the construct", f"the {called}")
    if info.annotation is bool:
        # Without the option, the default of the field applies.
        settings["default"] = None
    if settings.get("multiple"):
        text = f"{text.removesuffix('.')}; may be repeated."
    default = default or described.removesuffix(".") or _text_of(info.default)
    return click.option(
        *(names or (option_of(field),)),
        help=f"{text}{more and ' '}{more}" + (f"  [default: {default}]" if default and not info.is_required() else ""),
        required=info.is_required(),
        **settings,
    )


def _text_of(default: object) -> str:
    """Return a default value as text; empty if the option has none."""
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return "" if default is None or default is False else str(default)


def _number(model: type[Value], field: str) -> Option:
    return _field(model, field, type=int, metavar="N")


def _multiple(model: type[Value], field: str, name: str, **settings: Any) -> Option:
    """Return a repeatable option; its value is None if it is omitted."""
    return _field(
        model,
        field,
        name,
        field,
        multiple=True,
        callback=lambda _context, _option, values: values or None,
        **settings,
    )


def _stack_name(model: type[Construct], default: str) -> Option:
    return _field(model, "stack", "--stack-name", default=default, metavar="NAME")


def _names(model: type[Construct], called: str) -> tuple[Option, ...]:
    return (_field(model, "name", metavar="NAME", called=called), _stack_name(model, "the name"))


def _compute_type(model: type[Value]) -> Option:
    more = f"Use {COMPUTE_TYPES_IN_WORDS}."
    return _field(model, "compute_type", metavar="TYPE", more=more)


def _architecture(model: type[Value]) -> Option:
    return _field(model, "architecture", type=click.Choice(get_args(Architecture)))


def _network(model: type[Construct]) -> tuple[Option, ...]:
    return (
        _field(model, "vpc_id", metavar="VPC"),
        _multiple(model, "subnet_ids", "--subnet-id", metavar="SUBNET"),
        _multiple(model, "security_groups", "--security-group", metavar="GROUP"),
    )


def _build_options(model: type[CiBuild | ReleaseBuild], *, stack: str) -> tuple[Option, ...]:
    return (
        _field(model, "project", metavar="NAME"),
        _field(model, "project_url", metavar="URL"),
        _stack_name(model, stack),
        _field(model, "codebuild", "--codebuild-name", default=f"the project's name + {model.suffix}", metavar="NAME"),
        _field(model, "buildspec", metavar="PATH"),
        _field(model, "image", metavar="IMAGE"),
        _compute_type(model),
        _architecture(model),
        _field(model, "gpu", is_flag=True),
        _field(model, "privileged", "--privileged/--no-privileged", default="privileged"),
        _number(model, "timeout_in_minutes"),
        _number(model, "batch_timeout_in_minutes"),
        _number(model, "queued_timeout_in_minutes"),
        _number(model, "batch_limit"),
        _number(model, "concurrent_build_limit"),
        _number(model, "auto_retry_limit"),
        _field(model, "cache", type=click.Choice(get_args(Cache))),
        _field(model, "docker_secret", metavar="SECRET"),
        _field(
            model,
            "policy_statements",
            type=STATEMENTS,
            metavar="FILE",
            more="FILE has a list of them in JSON; - is stdin.",
        ),
        _multiple(model, "managed_policy_arns", "--managed-policy-arn", metavar="ARN"),
        _field(model, "test_reports", is_flag=True),
        _field(model, "boundary", "--permissions-boundary", metavar="ARN"),
        _field(model, "role_path", metavar="PATH"),
        _field(model, "kms_key_arn", metavar="ARN"),
        *_network(model),
        _field(model, "connection_arn", metavar="ARN"),
        _field(model, "bucket_name", metavar="NAME"),
        _number(model, "log_retention_in_days"),
        _number(model, "artifact_retention_in_days"),
    )


OPTIONS: Final[dict[type[Construct], tuple[Option, ...]]] = {
    CiBuild: (
        *_build_options(CiBuild, stack="the project's name"),
        *(
            _field(CiBuild, name, metavar="REGEX")
            for name in (
                *("branch_filter", "path_filter", "exclude_path_filter"),
                *("commit_message_filter", "exclude_commit_message_filter"),
            )
        ),
    ),
    ReleaseBuild: _build_options(ReleaseBuild, stack="the project's name + Release"),
    SourceCredentials: (
        _field(SourceCredentials, "secret_name", metavar="SECRET"),
        _field(SourceCredentials, "secret_user_key", metavar="KEY"),
        _field(SourceCredentials, "secret_token_key", metavar="KEY"),
        _stack_name(SourceCredentials, "SLCSourceCredentials"),
    ),
    Registry: (
        *_names(Registry, "repository"),
        _multiple(Registry, "mutable_tags", "--mutable-tag", metavar="TAG"),
        _number(Registry, "untagged_retention_in_days"),
        _number(Registry, "kept_images"),
    ),
    Asset: (*_names(Asset, "asset"), _number(Asset, "noncurrent_retention_in_days")),
    ContainerBuilder: (
        *_names(ContainerBuilder, "builder"),
        _field(ContainerBuilder, "asset", "--bucket-name", "asset", metavar="NAME"),
        _field(ContainerBuilder, "registry", "--repository", "registry", metavar="NAME"),
        _field(BuildkitBuilder, "image", metavar="IMAGE"),
        _compute_type(BuildkitBuilder),
        _architecture(BuildkitBuilder),
        _number(BuildkitBuilder, "timeout_in_minutes"),
        _number(ContainerBuilder, "log_retention_in_days"),
        _field(ContainerBuilder, "docker_secret", metavar="SECRET"),
        _multiple(ContainerBuilder, "base_registries", "--base-repository", metavar="NAME"),
        *_network(ContainerBuilder),
    ),
    Cluster: (
        *_names(Cluster, "cluster"),
        _multiple(
            Cluster,
            "services",
            "--service",
            type=SERVICE,
            metavar="PAIRS",
            more="Write name=web,image=public.ecr.aws/nginx/nginx:1.27,port=80. Other keys: count, cpu, memory (MiB), command, env.NAME, "
            "secret.NAME (an ARN).",
        ),
        *_network(Cluster),
        _field(Cluster, "private_domain", metavar="DOMAIN"),
        _field(Cluster, "public_ip", "--public-ip/--no-public-ip", default="public"),
        _number(Cluster, "log_retention_in_days"),
    ),
    SecurityGroup: (
        *_names(SecurityGroup, "security group"),
        _multiple(
            SecurityGroup,
            "ingresses",
            "--ingress",
            type=INGRESS,
            metavar="RULE",
            more="Write PROTOCOL:PORT:CIDR, such as tcp:443:10.0.0.0/8.",
        ),
        _multiple(SecurityGroup, "egresses", "--egress", type=EGRESS, metavar="RULE"),
        _field(SecurityGroup, "vpc_id", metavar="VPC"),
    ),
    Instance: (
        *_names(Instance, "instance"),
        _field(Instance, "instance_type", metavar="TYPE"),
        _field(Instance, "path_to_key", metavar="FILE"),
        *_network(Instance),
        _field(Instance, "ssh", is_flag=True),
        _field(Instance, "ssh_cidr", metavar="CIDR"),
        _number(Instance, "disk_in_gib"),
        _field(Instance, "image_id", metavar="AMI"),
        _field(Instance, "root_device", metavar="DEVICE"),
        _field(Instance, "update_image", is_flag=True),
        _field(Instance, "private", is_flag=True),
        _field(Instance, "elastic_ip", is_flag=True),
    ),
}
"""The options of each construct, by the names of its fields. A test compares them with the models."""

NAMES: Final = {kind: kebab_case(kind.__name__) for kind in OPTIONS}
"""Names of constructs in commands."""

STACKS: Final[dict[type[Construct], str]] = {
    CiBuild: "a CI stack",
    ReleaseBuild: "a release stack",
    SourceCredentials: "the source-credentials stack",
    Registry: "a repository for container images",
    Asset: "a bucket for source archives",
    ContainerBuilder: "a project that builds a container image",
    Cluster: "a cluster with services",
    SecurityGroup: "a security group",
    Instance: "a virtual machine",
}
"""Names of constructs in help texts."""


BUILDER_OPTIONS: Final = ("image", "compute_type", "architecture", "timeout_in_minutes")
"""Options of a container builder that are fields of its build environment."""

_BUILDER: Final = "builder"


def construct_options(kind: type[Construct]) -> Callable[[F], F]:
    """Add the options of `kind` to a command. The value of an omitted option is None."""
    return together(*OPTIONS[kind])


def construct_of(kind: type[Construct], values: dict[str, Any]) -> tuple[Construct, dict[str, Any]]:
    """Create a construct from its fields in `values`; return it and the other values. Raises InputError."""
    fields = {*kind.model_fields, "stack_name", "codebuild_name", "permissions_boundary"}
    if kind is ContainerBuilder:
        # The command has the options of the build environment too.
        builder = {name: values.pop(name) for name in BUILDER_OPTIONS}
        values["builder"] = build(BuildkitBuilder, name=_BUILDER, **builder)
    construct = build(kind, **{name: value for name, value in values.items() if name in fields})
    return construct, {name: value for name, value in values.items() if name not in fields}
