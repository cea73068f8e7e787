"""Compare a template with the deployed one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from exasol_ci_setup.stacks import plan, state
from exasol_ci_setup.template.deployed import read

if TYPE_CHECKING:
    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.stacks.request import Request


def diff(context: Context, request: Request) -> list[str]:
    """Return the lines of the unified diff between the deployed template and that of `request`.

    Nothing is changed, and no change set is created. Raises the errors of `translate_aws_errors`.
    """
    name, template = request.name, request.template
    cfn = context.cfn
    stack = state.find(cfn, name)
    deployed = "" if stack is None or state.is_absent(stack) else plan.deployed_body(cfn, stack.name)
    if stack is not None and deployed:
        template = plan.as_deployed(request, read(deployed).template, stack.parameters)
    return list(
        difflib.unified_diff(
            deployed.splitlines(keepends=True),
            template.body.splitlines(keepends=True),
            f"{name} (deployed)" if deployed else "/dev/null",
            f"{name} (new)",
        )
    )
