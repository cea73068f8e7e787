"""The request for the stack of a declared construct, with the values of the outputs that it uses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exasol_ci_setup.constructs.output_values import with_values
from exasol_ci_setup.core.stacks import StackSettings
from exasol_ci_setup.programs import load_balancer_notes, missing_images
from exasol_ci_setup.programs.templates import require_valid_parameters, template_of
from exasol_ci_setup.stacks import network, routes
from exasol_ci_setup.stacks.request import request_of
from exasol_ci_setup.stacks.user_template import capability_notes, package_artifacts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.constructs.placeholders import Placeholder
    from exasol_ci_setup.programs.actions import PlannedBuild
    from exasol_ci_setup.stacks.request import Request


def declared_request(
    account: Account,
    construct: Construct,
    settings: StackSettings = StackSettings(),
    *,
    find_network: Callable[[Account, Construct], Mapping[str, str]] = network.find,
    share_lint: bool = False,
    builds: Sequence[PlannedBuild] = (),
    declared: Collection[str] = (),
) -> Request:
    """Return the request for the stack of `construct`; an output of a stack that does not exist yet is a placeholder in it.

    `builds` are those that the program starts for its images, and `declared` the names of the stacks that are deployed or deleted in the same run.

    Raises InputError for a value that breaks the rule of its field or parameter, and for a host and path that a deployed stack has,
    and the errors of `request_of`.
    """
    rendered = template_of(construct)
    template, uploads = package_artifacts(rendered.artifacts, account, bucket=settings.template_bucket)
    # Validated again, because the rules of fields apply to the values.
    known = with_values(construct, value_of)
    request = request_of(
        account,
        known,
        settings,
        template=template,
        find_network=find_network,
        share_lint=share_lint,
    )
    require_valid_parameters(construct, rendered, request.parameters)
    routes.require_free(account, known, request.parameters, declared=declared)
    outputs = {parameter: value_of(output) for parameter, output in rendered.outputs.items()}
    notes = capability_notes(rendered.parsed) if rendered.folder is not None else ()
    notes += missing_images.notes(account, construct, builds)
    notes += load_balancer_notes.notes(account, construct, request.parameters)
    return replace(
        request, parameters={**request.parameters, **outputs}, uploads=uploads, notes=(*request.notes, *notes)
    )


def value_of(output: Placeholder) -> str:
    """Return the value of an output, or another placeholder if its stack does not exist yet."""
    return output.construct.output(output.output)
