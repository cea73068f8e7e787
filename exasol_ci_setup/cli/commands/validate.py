"""Commands `validate-*`: check a template."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options, resolve_secrets  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.constructs import (  # noqa: TID253 - the options are those of the models
    Asset,
    CiBuild,
    Cluster,
    ContainerBuilder,
    Instance,
    Registry,
    ReleaseBuild,
    SecurityGroup,
    SourceCredentials,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct

F = TypeVar("F", bound="Callable[..., Any]")

# cfn-lint needs a region to know the available types; this one has the most.
_DEFAULT_REGION: Final = "us-east-1"


def _options(command: F) -> F:
    for option in (
        click.option("--print-template", is_flag=True, help="Print the template."),
        click.option("--offline", is_flag=True, help="Only render and lint; needs no credentials and no network."),
    ):
        command = option(command)
    return command


def _validate(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.template import lint
    from exasol_ci_setup.template.render import render

    construct, own = construct_of(kind, values)
    output = session.output
    if own["offline"]:
        template = render(construct)
        region = (
            session.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
        )
        findings = lint.lint(template, region)
    else:
        from exasol_ci_setup.cli.deployment import validate

        linting = lint.Background()
        account = session.account
        template = render(resolve_secrets(construct, account))
        linting.start(template, account.region)
        validate(account, template)
        findings = linting.findings()
    if own["print_template"]:
        report.template(output, template)
    for finding in findings:
        report.finding(output, finding, template.name)
    lint.reject_errors(template, findings)
    output.say(
        f"the template of stack {construct.stack_name} is valid" + (" (not checked by AWS)" if own["offline"] else "")
    )
    report.result(output, "valid", construct.stack_name, changed=False)


def _command(kind: type[Construct]) -> click.Command:
    text = f"""Check the template of {STACKS[kind]}.

    cfn-lint and CloudFormation check it; nothing is created or changed.
    """

    @click.command(f"validate-{NAMES[kind]}", help=text)
    @construct_options(kind)
    @_options
    @common_options
    def command(session: Session, **values: Any) -> None:
        _validate(session, kind, values)

    return command


validate_ci_build = _command(CiBuild)
validate_release_build = _command(ReleaseBuild)
validate_source_credentials = _command(SourceCredentials)
validate_registry = _command(Registry)
validate_asset = _command(Asset)
validate_container_builder = _command(ContainerBuilder)
validate_cluster = _command(Cluster)
validate_security_group = _command(SecurityGroup)
validate_instance = _command(Instance)
