"""Scopes, and what constructs of a program know of each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    GitHubRepo,
    HangarScope,
    LocalDirectory,
    Registry,
    Scope,
    SecurityGroup,
    Service,
    build,
)
from exasol_ci_setup.errors import InputError

SCOPE = Scope(region="us-west-2", name="my-first-scope")
OTHER = Scope(region="us-west-2", name="other")
ROLE = "arn:aws:iam::123456789012:role/deployer"


def spelled_elsewhere(cls: Any, **values: Any) -> Any:
    """Make a model with names that only the other tool's programs use."""
    return cls(**values)


def test_a_scope_can_be_written_as_the_other_tools_programs_do():
    scope = spelled_elsewhere(
        HangarScope, name="a", region="us-west-2", roleAssumptions=[ROLE], api_key=None, endpoint=None
    )
    assert scope == Scope(name="a", region="us-west-2", role_assumptions=(ROLE,))


def test_the_key_of_the_hosted_service_is_not_shown():
    assert "geheim" not in repr(Scope(region="us-west-2", name="a", api_key="geheim"))


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"name": "a--b"}, "--name"),
        ({"name": "-a"}, "--name"),
        ({"name": "a" * 64}, "--name"),
        ({"name": "ä"}, "--name"),
        ({"name": "<your-name>"}, "--name"),
        ({"region": "europe"}, "--region"),
        ({"role_assumptions": ["deployer"]}, "--role-assumptions.0"),
        ({"subnet_ids": ["subnet-x"]}, "--subnet-ids.0"),
        ({"vpc_id": "vpc"}, "--vpc-id"),
        ({"colour": "red"}, "--colour"),
    ],
)
def test_a_scope_that_aws_would_not_take_is_refused_with_the_name_of_the_field(values: dict[str, Any], option: str):
    with pytest.raises(InputError) as caught:
        build(Scope, **{"region": "us-west-2", "name": "a", **values})
    assert caught.value.message.startswith(f"{option} ")


def test_a_thing_that_is_given_in_both_spellings_is_refused():
    with pytest.raises(ValidationError, match="roleAssumptions"):
        spelled_elsewhere(Scope, region="us-west-2", name="a", role_assumptions=[ROLE], roleAssumptions=[])


def test_stacks_are_named_and_tagged_after_scope_and_construct():
    registry = Registry(scope=SCOPE, name="images")
    assert registry.stack_name == "my-first-scope-images"
    assert (
        registry.tags.items()
        >= {
            "exasol-ci-setup:construct": "Registry",
            "exasol-ci-setup:name": "images",
            "exasol-ci-setup:scope": "my-first-scope",
        }.items()
    )


def test_without_a_scope_as_a_command_makes_it_a_stack_has_the_constructs_name():
    assert Registry(name="images").stack_name == "images"
    assert Registry(name="images").repository_name == "images"
    assert Registry(name="images", stack_name="other").stack_name == "other"
    with pytest.raises(InputError, match="Registry 'images' has no scope"):
        _ = Registry(name="images").own_scope


def test_the_scope_follows_from_what_a_construct_is_made_of():
    registry = Registry(scope=SCOPE, name="images")
    service = Service(name="web", container=Container(source=registry, tag="latest"))
    assert service.own_scope is SCOPE
    assert Cluster(name="cluster", services=(service,)).stack_name == "my-first-scope-cluster"


def test_two_different_scopes_are_refused_and_named():
    builder = ContainerBuilder(
        name="build",
        asset=Asset(scope=SCOPE, name="source"),
        builder=BuildkitBuilder(scope=SCOPE, name="buildkit"),
        registry=Registry(scope=OTHER, name="images"),
    )
    with pytest.raises(InputError, match=r"ContainerBuilder 'build' .* different scopes: 'my-first-scope' and 'other'"):
        _ = builder.own_scope


def test_two_equal_scopes_are_one():
    again = Scope(region="us-west-2", name="my-first-scope")
    asset = Asset(
        scope=SCOPE, name="source", source=GitHubRepo(scope=again, name="repo", repo="your-repo", branch="main")
    )
    assert asset.own_scope == SCOPE


def test_a_construct_depends_on_the_stacks_that_it_names_each_once_and_not_on_what_has_none():
    registry = Registry(scope=SCOPE, name="images")
    group = SecurityGroup(scope=SCOPE, name="group")
    services = tuple(Service(name=name, container=Container(source=registry, tag="1")) for name in ("a", "b"))
    cluster = Cluster(name="cluster", services=services, security_groups=(group, "sg-0123456789abcdef0"))
    assert [each.name for each in cluster.dependencies] == ["images", "group"]
    assert all(each is known for each, known in zip(cluster.dependencies, (registry, group), strict=True))
    source = LocalDirectory(scope=SCOPE, name="here", path=".")
    assert Asset(scope=SCOPE, name="source", source=source).dependencies == ()


def test_parameters_are_outputs_names_and_the_network():
    registry = Registry(scope=SCOPE, name="images")
    cluster = Cluster(
        name="cluster",
        services=(Service(name="a", container=Container(source=registry, tag="1")),),
        security_groups=("sg-0123456789abcdef0",),
    )
    network = {"VpcId": "vpc-1", "SubnetIds": "subnet-1,subnet-2"}
    with pytest.raises(InputError, match="Registry 'images' is not deployed yet"):
        cluster.parameters(network)
    registry.set_outputs({"RepositoryName": "my-first-scope/images"})
    assert cluster.parameters(network) == {
        **network,
        "RepositoryName1": "my-first-scope/images",
        "SecurityGroup1": "sg-0123456789abcdef0",
    }


def test_an_output_that_the_stack_does_not_have_is_told():
    registry = Registry(scope=SCOPE, name="images")
    registry.set_outputs({"RepositoryName": "images"})
    with pytest.raises(InputError, match="stack my-first-scope-images has no output RepositoryUri"):
        _ = registry.uri


def test_the_network_is_the_constructs_own_or_else_its_scopes():
    scope = Scope(
        region="us-west-2", name="a", vpc_id="vpc-0123456789abcdef0", subnet_ids=("subnet-0123456789abcdef0",)
    )
    group = SecurityGroup(scope=scope, name="group")
    assert group.given_network == ("vpc-0123456789abcdef0", ("subnet-0123456789abcdef0",))
    moved = SecurityGroup(scope=scope, name="group", vpc_id="vpc-11111111")
    assert moved.given_network == ("vpc-11111111", ())
    assert SecurityGroup(name="group").given_network == (None, ())
