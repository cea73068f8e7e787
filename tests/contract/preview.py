"""What a run creates, what it costs, and the policy that it needs: all without an account."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exasol_ci_setup.access.deployer import StackToDeploy, deployer_policy
from exasol_ci_setup.access.resource_arns import Place
from exasol_ci_setup.cli.constructs import NAMES, construct_of
from exasol_ci_setup.cli.main import cli
from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    ContainerBuilder,
    LoadBalancer,
    LocalDirectory,
    Registry,
    Scope,
)
from exasol_ci_setup.constructs.space import Space
from exasol_ci_setup.constructs.workspace import Workspace
from exasol_ci_setup.costs.estimate import estimate
from exasol_ci_setup.costs.model import HOURS_A_MONTH
from exasol_ci_setup.programs.templates import template_of
from exasol_ci_setup.stacks.permissions import of_construct
from exasol_ci_setup.template.render import parse
from tests.contract import scenario
from tests.contract.scenario import KINDS, PREFIX, STACKS_OF_TEMPLATES
from tests.costs.price_list import found_in_frankfurt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exasol_ci_setup.constructs.base import Construct

# More than any stack of a run exists.
_HOURS: Final = 1
_ZONES: Final = 3
# Two batches of two builds and their first build, and an image; each less than this.
_BUILDS, _BUILD_MINUTES = 4, 5
_PRICE_OF_MINUTE: Final = Decimal("0.02")
"""Of a host of the size large, the largest that a run uses: https://aws.amazon.com/codebuild/pricing/."""


@contextmanager
def _folder() -> Iterator[Path]:
    """Change to a folder with the files of the commands."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS.values():
            scenario.write(Path(name), kind.files)
        scenario.write(Path(name), {"inner.yaml": scenario.INNER, "context/Dockerfile": scenario.DOCKERFILE})
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def _construct(kind: str, *more: str) -> Construct:
    """Return the construct of a `deploy-` command."""
    command = cli.get_command(click.Context(cli), f"deploy-{kind}")
    assert command is not None
    values = command.make_context(kind, [*KINDS[kind].options, *more]).params
    model = next(each for each, name in NAMES.items() if name == kind)
    return construct_of(model, dict(values))[0]


def _constructs(region: str) -> list[Construct]:
    # The templates do not depend on the region.
    scope = Scope(name=PREFIX, region=region if region != "*" else "eu-central-1")
    source = Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="context", path="context"))
    built = Registry(scope=scope, name="built")
    host = BuildkitBuilder(scope=scope, name="host")
    image = ContainerBuilder(name="image", asset=source, builder=host, registry=built)
    balancer = LoadBalancer(open_ports=True)
    return [
        *(_construct(kind) for kind in KINDS if kind != "template"),
        _construct("source-credentials", "--stack-name", f"{PREFIX}-credentials-2"),
        _construct("release-build", "--project", f"{PREFIX}-batch", "--stack-name", f"{PREFIX}-batch"),
        *(source, built, image, balancer),
        Space(name=scenario.SPACE, image=scenario.IMAGE, load_balancer=balancer),
        Workspace(workspace_id=scenario.WORKSPACE),
        Registry(name=PREFIX, stack_name=f"registry-{PREFIX}"),
        Registry(name=f"{PREFIX}-of-deployer"),
    ]


def stacks(place: Place) -> list[StackToDeploy]:
    """Return the stacks of a run."""
    with _folder():
        found = []
        for construct in _constructs(place.region):
            declared = template_of(construct)
            found.append(of_construct(construct, declared.artifacts, declared.parsed, place))
    found.append(StackToDeploy(KINDS["template"].stack, parse(scenario.TEMPLATE)))
    for name, text in STACKS_OF_TEMPLATES.items():
        nested = {"Inner": parse(scenario.INNER)} if text == scenario.OUTER else {}
        bucket = f"{scenario.TEMPLATE_BUCKET}{place.account}-{place.region}"
        found.append(StackToDeploy(name, parse(text), has_uploads=bool(nested), bucket=bucket, nested=nested))
    return found


@dataclass(frozen=True)
class Cost:
    """The cost of one run in USD: of each stack that costs anything, and of builds."""

    by_stack: Mapping[str, Decimal]
    builds: Decimal

    @property
    def total(self) -> Decimal:
        """The sum."""
        return sum(self.by_stack.values(), self.builds)


def cost(created: Sequence[StackToDeploy], region: str) -> Cost:
    """Return the cost of a run, with the part of AWS's price list of eu-central-1 that the tests contain.

    Each stack is counted for an hour, although most exist for minutes.
    """
    found: dict[str, Decimal] = {}
    for stack in created:
        lines = estimate(stack.name, region, stack.template, stack.parameters, found_in_frankfurt).lines
        total = Decimal(0)
        for line in lines:
            if line.basis == "always" and line.unit_price is not None:
                # The number of addresses of a load balancer depends on its zones.
                units = Decimal(_ZONES * HOURS_A_MONTH) if line.quantity is None else line.quantity
                total += line.unit_price / line.per * units / HOURS_A_MONTH * _HOURS
        if total:
            found[stack.name] = total.quantize(Decimal("0.001"), ROUND_UP)
    return Cost(found, _BUILDS * _BUILD_MINUTES * _PRICE_OF_MINUTE)


def policy(created: Sequence[StackToDeploy], place: Place) -> list[dict[str, Any]]:
    """Return the documents of the policy for a run: that of `iam-policy` for its stacks, and the further calls of the cases."""
    calls = dict(_calls(place))
    documents = deployer_policy([*created, StackToDeploy("contract-calls", {}, calls=calls)], place).documents
    return [dict(each) for each in documents]


def _calls(place: Place) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the calls of the platform's commands and of the cases themselves, with their ARNs."""
    anywhere = ("*",)
    role = (
        place.arn("iam", f"role/{PREFIX}-deployer", is_global=True),
        place.arn("iam", f"role/{PREFIX}-*", is_global=True),
    )
    storage_role = (place.arn("iam", f"role/workspace-{scenario.WORKSPACE}*", is_global=True),)
    templates = f"arn:{place.partition}:s3:::{scenario.TEMPLATE_BUCKET}*"
    buckets = tuple(f"arn:{place.partition}:s3:::{each}*" for each in (PREFIX, "workspace-"))
    groups = tuple(
        place.arn("logs", f"log-group:{each}*") for each in ("/contract/", f"/aws/codebuild/{PREFIX}", "/ecs/")
    )
    repositories = (place.arn("ecr", f"repository/{PREFIX}*"),)
    secrets = tuple(place.arn("secretsmanager", f"secret:{each}*") for each in (f"{PREFIX}-", f"naas/{PREFIX}-"))
    projects = (place.arn("codebuild", f"project/{PREFIX}*"),)
    for service, names, arns in (
        ("cloudformation", "DescribeAccountLimits", anywhere),
        ("sts", "GetCallerIdentity", anywhere),
        ("sts", "AssumeRole", (role[0], *storage_role)),
        ("iam", "CreateRole DeleteRole GetRole PutRolePolicy DeleteRolePolicy", (role[0],)),
        ("iam", "ListRoles", anywhere),
        ("s3", "CreateBucket DeleteBucket ListBucket ListBucketVersions PutBucketVersioning", (templates, *buckets)),
        ("s3", "ListAllMyBuckets", anywhere),
        (
            "s3",
            "GetObject PutObject DeleteObject DeleteObjectVersion AbortMultipartUpload GetObjectAttributes",
            tuple(f"{each}/*" for each in (templates, *buckets)),
        ),
        (
            "logs",
            "CreateLogGroup DeleteLogGroup PutRetentionPolicy GetLogEvents FilterLogEvents DescribeLogStreams",
            groups,
        ),
        ("logs", "DescribeLogGroups", anywhere),
        (
            "ecr",
            "CreateRepository DeleteRepository PutImageTagMutability DescribeImages ListImages BatchDeleteImage",
            repositories,
        ),
        ("ecr", "GetAuthorizationToken DescribeRepositories", anywhere),
        ("ec2", "AuthorizeSecurityGroupIngress DeleteKeyPair ImportKeyPair", anywhere),
        (
            "secretsmanager",
            "CreateSecret DeleteSecret DescribeSecret GetSecretValue PutSecretValue RestoreSecret TagResource UpdateSecret",
            secrets,
        ),
        ("secretsmanager", "ListSecrets", anywhere),
        (
            "codebuild",
            "StartBuildBatch StartBuild StopBuild BatchGetBuildBatches BatchGetBuilds ListBuildBatchesForProject ListBuildsForProject",
            projects,
        ),
        ("codebuild", "ListSourceCredentials ListBuildBatches", anywhere),
        ("ecs", "DescribeServices UpdateService", anywhere),
        (
            "elasticloadbalancing",
            "DescribeListeners DescribeLoadBalancers DescribeRules DescribeTargetGroups",
            anywhere,
        ),
        ("elasticloadbalancing", "DescribeListenerCertificates DescribeAccountLimits", anywhere),
        ("acm", "ListCertificates", anywhere),
        ("lambda", "GetFunctionConfiguration", (place.arn("lambda", f"function:{PREFIX}-*"),)),
    ):
        for name in names.split():
            yield f"{service}:{name}", arns


def text(place: Place) -> str:
    """Return the preview of a run."""
    created = stacks(place)
    charges = cost(created, place.region)
    lines = [f"A run creates and deletes these {len(created)} stacks:", ""]
    for stack in sorted(created, key=lambda each: each.name):
        kinds = sorted({str(each["Type"]).removeprefix("AWS::") for each in stack.template["Resources"].values()})
        lines.append(f"  {stack.name}: {', '.join(kinds)}")
    key, value = scenario.TAG
    lines += [
        "",
        f"and a secret, log groups, a role and a bucket. All names contain {PREFIX!r}, and the stacks have the tag {key}={value},",
        "except those of the commands of the platform. All are deleted at the end.",
        "",
        f"Cost: at most {charges.total:.2f} USD at the prices of eu-central-1, if each stack exists for an hour:",
        "",
        *(f"  {name}: {amount} USD" for name, amount in charges.by_stack.items()),
        f"  builds, {_BUILDS} of {_BUILD_MINUTES} minutes: {charges.builds} USD",
        "",
        "Policies that the run needs. Attach all of them to the user or role of the profile:",
        "",
    ]
    return "\n".join(lines)
