"""Check the installation: each shipped template renders and passes cfn-lint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    CiBuild,
    Cluster,
    Container,
    ContainerBuilder,
    Instance,
    LoadBalancer,
    Registry,
    ReleaseBuild,
    Scope,
    SecurityGroup,
    Service,
    SourceCredentials,
    Space,
    Workspace,
)
from exasol_ci_setup.health.check import TEMPLATES
from exasol_ci_setup.template.lint import lint
from exasol_ci_setup.template.render import render

if TYPE_CHECKING:
    from exasol_ci_setup.constructs.base import Construct
    from exasol_ci_setup.health.check import Check

_ANY_REGION: Final = "eu-central-1"
_REINSTALL: Final = (
    "the installation is damaged, or its version of cfn-lint is untested:"
    " install exasol-ci-setup again, in its own environment"
)


def templates(region: str | None) -> Check:
    """Render and lint a sample of each construct with a template, for `region` or a default region."""
    try:
        return _templates(region or _ANY_REGION)
    except Exception as error:
        logging.getLogger(__name__).debug("the templates could not be checked", exc_info=error)
        message = " ".join(str(error).split())
        return TEMPLATES.problem(f"could not be rendered and linted: {type(error).__name__}: {message}", _REINSTALL)


def _templates(region: str) -> Check:
    from cfnlint.helpers import REGIONS

    # Another check reports an unknown region.
    region = region if region in REGIONS else _ANY_REGION
    rendered = [render(sample) for sample in samples()]
    found = [(template, finding) for template in rendered for finding in lint(template, region)]
    if not found:
        return TEMPLATES.ok(f"all {len(rendered)} of them render, and cfn-lint finds nothing for {region}")
    errors = [(template, finding) for template, finding in found if finding.level == "error"]
    template, first = (errors or found)[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    message = f"{template.name} line {first.line}: {first.message} ({first.rule}){more}"
    return (TEMPLATES.problem if errors else TEMPLATES.warning)(message, _REINSTALL)


def samples() -> tuple[Construct, ...]:
    """Return one construct of each kind, with valid values."""

    class Machine(Instance):
        """An instance that needs no key file on this machine."""

        @property
        def public_key(self) -> str:
            """A key of zeros."""
            return f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"

    url = "https://github.com/exasol/script-languages-release"
    scope = Scope(region=_ANY_REGION, name="health")
    registry = Registry(scope=scope, name="registry")
    asset = Asset(scope=scope, name="asset")
    balancer = LoadBalancer()
    return (
        CiBuild(project="Health", project_url=url),
        ReleaseBuild(project="Health", project_url=url),
        SourceCredentials(secret_name="github", secret_user_key="user", secret_token_key="token"),  # noqa: S106 - names of keys
        registry,
        asset,
        ContainerBuilder(
            name="builder", asset=asset, builder=BuildkitBuilder(scope=scope, name="buildkit"), registry=registry
        ),
        Cluster(
            name="cluster", services=(Service(name="service", container=Container(source=registry, tag="latest")),)
        ),
        SecurityGroup(scope=scope, name="group"),
        Machine(scope=scope, name="machine", instance_type="t3.micro", path_to_key="key"),
        balancer,
        Space(name="space", load_balancer=balancer, image="nginx"),
        Workspace(workspace_id="health"),
    )
