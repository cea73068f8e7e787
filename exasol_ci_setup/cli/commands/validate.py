"""Commands `validate-*`: check a template."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.cli.constructs import NAMES, STACKS, construct_of, construct_options  # noqa: TID253 - the options are those of the models
from exasol_ci_setup.cli.session import markdown_options, together
from exasol_ci_setup.cli.spelling import option_of
from exasol_ci_setup.cli.templates import TEMPLATE, rendered, template_of, template_options

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.core.errors.details import Finding
    from exasol_ci_setup.stacks.user_template import TemplateStack
    from exasol_ci_setup.template.render import Template

# cfn-lint needs a region to know the available types; this one has the most.
_DEFAULT_REGION: Final = "us-east-1"


_options: Final = together(
    click.option("--offline", is_flag=True, help="Only render and lint; needs no credentials and no network."),
    click.option("--print-template", is_flag=True, help="Print the template."),
)


def _validate(session: Session, kind: type[Construct], values: dict[str, Any]) -> None:
    from exasol_ci_setup.template import lint
    from exasol_ci_setup.template.render import render

    construct, own = construct_of(kind, values)
    if own["offline"]:
        template = render(construct)
        findings = lint.lint(template, _offline_region(session))
    else:
        from exasol_ci_setup.stacks.check import check
        from exasol_ci_setup.stacks.request import resolve_secrets

        context = session.context()
        template = render(resolve_secrets(construct, context.account, spelled=option_of))
        findings = check(context, template)
    _report(session, construct.stack_name, template, findings, own)


def _offline_region(session: Session) -> str:
    return session.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION


def _report(session: Session, name: str, template: Template, findings: list[Finding], own: dict[str, Any]) -> None:
    """Print the findings, and the template if wanted. Raises TemplateRejectedError if one is an error."""
    from exasol_ci_setup.cli.render import report
    from exasol_ci_setup.template import lint

    output = session.output
    if own["print_template"]:
        report.template(output, template)
    for finding in findings:
        report.finding(output, finding, template.name)
    lint.reject_errors(template, findings)
    output.say(f"the template of stack {name} is valid" + (" (not checked by AWS)" if own["offline"] else ""))
    report.result(output, "valid", name, changed=False)


def _validate_own(session: Session, stack: TemplateStack, own: dict[str, Any]) -> None:
    from exasol_ci_setup.stacks.user_template import capability_notes, offline_template, require_valid_values
    from exasol_ci_setup.template import lint

    require_valid_values(stack)
    template = offline_template(stack)
    if own["offline"]:
        findings = lint.lint(template, _offline_region(session))
    else:
        from exasol_ci_setup.stacks.check import check

        findings = check(session.context(), template)
    for note in capability_notes(stack.loaded.parsed):
        session.output.say(f"needs {note}")
    _report(session, stack.name, template, findings, own)


@click.command("validate-template")
@template_options
@_options
@markdown_options
def validate_template(session: Session, **values: Any) -> None:
    """Check your own CloudFormation template.

    cfn-lint and CloudFormation check FILE; nothing is created or changed. The values of parameters are checked if they are given.
    """
    if values["print_template"] and values["file"].endswith(".j2"):
        # First, because the lines in errors are those of the rendered text.
        from exasol_ci_setup.cli.render import report

        report.template(session.output, rendered(values))
        values["print_template"] = False
    _validate_own(session, *template_of(values, fallback_name=TEMPLATE))


def _command(kind: type[Construct]) -> click.Command:
    text = f"""Check the template of {STACKS[kind]}.

    cfn-lint and CloudFormation check it; nothing is created or changed.
    """

    @click.command(f"validate-{NAMES[kind]}", help=text)
    @construct_options(kind)
    @_options
    @markdown_options
    def command(session: Session, **values: Any) -> None:
        _validate(session, kind, values)

    return command


COMMANDS: Final = {f"validate-{name}": _command(kind) for kind, name in NAMES.items()}
