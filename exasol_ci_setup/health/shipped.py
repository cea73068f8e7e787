"""Checks that what is installed is whole: every shipped template renders and passes cfn-lint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.health.check import TEMPLATES

if TYPE_CHECKING:
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.health.check import Check

_ANY_REGION: Final = "eu-central-1"
_REINSTALL: Final = (
    "the installation is damaged, or its cfn-lint is one it was not tested with:"
    " install exasol-ci-setup again, in an environment of its own"
)


def templates(region: str | None) -> Check:
    """Render and lint a sample of every construct that has a template, for `region` or for any."""
    try:
        return _templates(region or _ANY_REGION)
    except Exception as error:
        logging.getLogger(__name__).debug("the templates could not be checked", exc_info=error)
        said = " ".join(str(error).split())
        return TEMPLATES.problem(f"could not be rendered and linted: {type(error).__name__}: {said}", _REINSTALL)


def _templates(region: str) -> Check:
    from cfnlint.helpers import REGIONS

    from exasol_ci_setup.lint import lint
    from exasol_ci_setup.templates import render

    # Whether the region exists is another check's matter.
    region = region if region in REGIONS else _ANY_REGION
    rendered = [render(sample) for sample in samples()]
    found = [(template, finding) for template in rendered for finding in lint(template, region)]
    names = ", ".join(template.name for template in rendered)
    if not found:
        return TEMPLATES.ok(f"{names}: no finding in {region}")
    errors = [(template, finding) for template, finding in found if finding.level == "error"]
    template, first = (errors or found)[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    message = f"{template.name} line {first.line}: {first.message} ({first.rule}){more}"
    return (TEMPLATES.problem if errors else TEMPLATES.warning)(message, _REINSTALL)


def samples() -> tuple[Construct, ...]:
    """Return one construct of each kind, with values as a user gives them."""
    from exasol_ci_setup.constructs.ci import CiBuild, ReleaseBuild
    from exasol_ci_setup.constructs.source import SourceCredentials

    url = "https://github.com/exasol/script-languages-release"
    return (
        CiBuild(project="Health", project_url=url),
        ReleaseBuild(project="Health", project_url=url),
        SourceCredentials(secret_name="github", secret_user_key="user", secret_token_key="token"),  # noqa: S106 - names of keys
    )
