"""Options of container builders and registries: base images, logins, context and arguments, and the number of images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup import Context
from exasol_ci_setup.constructs import Asset, BuildkitBuilder, ContainerBuilder, Registry, Scope, SecurityGroup
from exasol_ci_setup.constructs.container_secrets import codebuild_secret
from exasol_ci_setup.programs.actions.build import content_hash
from exasol_ci_setup.sandbox.image_builds import is_image_build
from exasol_ci_setup.template.render import parse, render
from tests.constructs.test_parts import SECRET, error_of
from tests.templates import samples

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account


def builder(**values: Any) -> ContainerBuilder:
    base = samples.BUILDER
    given = {"name": "build", "asset": base.asset, "builder": base.builder, "registry": base.registry}
    return ContainerBuilder(**{**given, **values})


def statements_of(construct: ContainerBuilder) -> dict[str, Any]:
    [policy] = parse(render(construct).body)["Resources"]["Role"]["Properties"]["Policies"]
    return {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}


def test_builds_pull_base_images_only_from_named_repositories():
    base = Registry(scope=samples.SCOPE, name="base")
    construct = builder(base_registries=[base, samples.ECR])
    own, other = statements_of(construct)["PullBaseImages"]["Resource"]
    assert construct.parameter_sources["BaseRepository1"] == (base, "RepositoryName")
    assert own["Fn::Sub"][1] == {"Name": {"Ref": "BaseRepository1"}}
    assert other["Fn::Sub"][1] == {"Repository": "ecr:eu-central-1:123456789012:repository/shop/api"}


@pytest.mark.parametrize(("secret", "is_arn"), [("Dockerhub", False), (SECRET, True)])
def test_login_at_docker_hub_reads_secret(secret: str, is_arn: bool):
    construct = builder(docker_secret=secret)
    resource = statements_of(construct)["ReadDockerCredentials"]["Resource"]
    assert resource == SECRET if is_arn else resource["Fn::Sub"][1] == {"Secret": "Dockerhub"}
    properties = parse(render(construct).body)["Resources"]["Project"]["Properties"]
    variables = {each["Name"]: each for each in properties["Environment"]["EnvironmentVariables"]}
    assert variables["DOCKER_PASSWORD"]["Value"] == f"{secret}:AccessToken"
    assert variables["DOCKER_PASSWORD"]["Type"] == "SECRETS_MANAGER"


def test_builder_without_options_has_unchanged_statements():
    assert set(statements_of(builder())) == {"WriteLogs", "ReadSource", "LogInToRegistry", "PushAndPullImages"}


@pytest.mark.parametrize("name", ["python", "docker.io/library/python", f"{samples.ECR}:1"])
def test_base_repository_outside_ecr_is_rejected(name: str):
    base = samples.BUILDER
    values = {"name": "a", "asset": base.asset, "builder": base.builder, "registry": base.registry}
    assert "in ECR" in error_of(ContainerBuilder, **values, base_registries=[name])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("build_context", "/app"),
        ("build_context", "a/../.."),
        ("build_arguments", {"CODEBUILD_X": "1"}),
        ("build_arguments", {"IMAGE_TAG": "1"}),
        ("build_arguments", {"a-b": "1"}),
    ],
)
def test_invalid_context_or_argument_is_rejected(field: str, value: Any):
    base = samples.BUILDER
    values = {"name": "a", "asset": base.asset, "builder": base.builder, "registry": base.registry}
    assert field.replace("_", "-") in error_of(ContainerBuilder, **values, **{field: value})


def test_context_and_arguments_are_part_of_tag():
    assert content_hash("a", ".", {}) == content_hash("a", "./", {}) == "a"
    tags = {content_hash("a", "web", {}), content_hash("a", "web/", {}), content_hash("a", "web", {"V": "1"})}
    assert len(tags) == 2


def test_sandbox_knows_commands_of_each_login():
    construct = builder(docker_secret="Dockerhub", base_registries=[samples.ECR])
    buildspec = parse(parse(render(construct).body)["Resources"]["Project"]["Properties"]["Source"]["BuildSpec"])
    phases = {name: phase["commands"] for name, phase in buildspec["phases"].items()}
    assert is_image_build(phases)
    assert len(phases["pre_build"]) == 6


def test_build_secrets_are_variables_and_not_arguments():
    construct = samples.BUILDER_IN_NETWORK
    found = parse(render(construct).body)["Resources"]["Project"]["Properties"]
    variables = {
        each["Name"]: (each.get("Type"), each["Value"]) for each in found["Environment"]["EnvironmentVariables"]
    }
    assert variables["NPM_TOKEN"] == (
        "SECRETS_MANAGER",
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:npm-a1B2c3:token",
    )
    assert variables["LICENSE"] == ("PARAMETER_STORE", "/shop/license")
    commands = parse(found["Source"]["BuildSpec"])["phases"]
    assert is_image_build({name: phase["commands"] for name, phase in commands.items()})
    assert '--secret id="NPM_TOKEN",env="NPM_TOKEN"' in commands["build"]["commands"][0]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (samples.SECRET, ("SECRETS_MANAGER", samples.SECRET)),
        (f"{samples.SECRET}:a:b:", ("SECRETS_MANAGER", f"{samples.SECRET}:a:b")),
        (samples.PARAMETER, ("PARAMETER_STORE", "/shop/mode")),
        ("arn:aws:ssm:eu-central-1:123456789012:parameter/mode", ("PARAMETER_STORE", "mode")),
    ],
)
def test_secret_has_form_of_codebuild(source: str, found: tuple[str, str]):
    assert codebuild_secret(source) == found


@pytest.mark.live
def test_security_group_of_program_is_that_of_builds(live: Account):
    ec2 = live.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    scope = Scope(name="shop", region="eu-central-1")
    group = SecurityGroup(scope=scope, name="builds")
    construct = ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source"),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="images"),
        vpc_id=vpc["VpcId"],
        subnet_ids=[subnets[0]["SubnetId"]],
        security_groups=[group, "sg-0123456789abcdef0"],
    )
    assert group in construct.dependencies

    construct.deploy(Context(live))

    [project] = live.client("codebuild").batch_get_projects(names=["shop-image"])["projects"]
    assert project["vpcConfig"]["securityGroupIds"] == [group.group_id, "sg-0123456789abcdef0"]


def test_host_without_local_cache_has_none():
    large = builder(builder=samples.BUILDER.builder.model_copy(update={"compute_type": "BUILD_GENERAL1_2XLARGE"}))
    assert (large.has_cache, samples.BUILDER_IN_NETWORK.has_cache, samples.BUILDER.has_cache) == (False, False, True)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (
            {"build_secrets": {"A": samples.SECRET}, "build_arguments": {"A": "1"}},
            "both a build argument and a build secret",
        ),
        ({"build_secrets": {"DOCKER_USER": samples.SECRET}}, "names of the builder and CODEBUILD_ are reserved"),
        (
            {"build_secrets": {"A": "arn:aws:ssm:us-east-1:123456789012:parameter/mode"}},
            "builds read SSM parameters of their own region only, eu-central-1",
        ),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "need all of vpc-id, subnet-id and security-group"),
    ],
)
def test_conflicting_options_of_builder_are_rejected(values: dict[str, Any], rule: str):
    base = samples.BUILDER
    common = {"name": "a", "asset": base.asset, "builder": base.builder, "registry": base.registry}
    assert rule in error_of(ContainerBuilder, **common, **values)


def test_limited_registry_keeps_newest_tagged_images():
    policy = json.loads(Registry(name="images", kept_images=5).lifecycle_policy)
    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == ["untagged", "tagged", "tagged"]
    # A rule with a higher priority, the lower number, protects the images that it selects.
    assert policy["rules"][1]["selection"]["tagPatternList"] == ["release-*"]
    assert policy["rules"][2]["selection"]["countNumber"] == 5


def test_limited_registry_lets_tags_of_releases_move():
    assert Registry(name="images", kept_images=5).tag_patterns == ("latest", "release-*")
    assert Registry(name="images").tag_patterns == ("latest",)
    assert "at most 5" in error_of(Registry, name="images", kept_images=5, mutable_tags=[*"abcde"])
