"""Scopes, and the relations between constructs of a program."""

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
from exasol_ci_setup.core.errors import InputError

SCOPE = Scope(region="us-west-2", name="my-first-scope")
OTHER = Scope(region="us-west-2", name="other")
ROLE = "arn:aws:iam::123456789012:role/deployer"


def with_alias_names(cls: Any, **values: Any) -> Any:
    """Create a model with names that only another tool's programs use."""
    return cls(**values)


def test_scope_accepts_camel_case_names():
    scope = with_alias_names(
        HangarScope, name="a", region="us-west-2", roleAssumptions=[ROLE], api_key=None, endpoint=None
    )
    assert scope == Scope(name="a", region="us-west-2", role_assumptions=(ROLE,))


def test_repr_does_not_show_api_key():
    assert "hidden" not in repr(Scope(region="us-west-2", name="a", api_key="hidden"))


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
        ({"color": "red"}, "--color"),
    ],
)
def test_invalid_scope_is_rejected_with_field_name(values: dict[str, Any], option: str):
    with pytest.raises(InputError) as caught:
        build(Scope, **{"region": "us-west-2", "name": "a", **values})
    assert caught.value.message.startswith(f"{option} ")


def test_value_in_both_spellings_is_rejected():
    with pytest.raises(ValidationError, match="roleAssumptions"):
        with_alias_names(Scope, region="us-west-2", name="a", role_assumptions=[ROLE], roleAssumptions=[])


def test_stack_name_and_tags_derive_from_scope():
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


def test_stack_without_scope_has_name_of_construct():
    assert Registry(name="images").stack_name == "images"
    assert Registry(name="images").repository_name == "images"
    assert Registry(name="images", stack_name="other").stack_name == "other"
    with pytest.raises(InputError, match="Registry 'images' has no scope"):
        _ = Registry(name="images").resolved_scope


def test_scope_is_taken_from_parts():
    registry = Registry(scope=SCOPE, name="images")
    service = Service(name="web", container=Container(source=registry, tag="latest"))
    assert service.resolved_scope is SCOPE
    assert Cluster(name="cluster", services=(service,)).stack_name == "my-first-scope-cluster"


def test_two_different_scopes_are_rejected():
    builder = ContainerBuilder(
        name="build",
        asset=Asset(scope=SCOPE, name="source"),
        builder=BuildkitBuilder(scope=SCOPE, name="buildkit"),
        registry=Registry(scope=OTHER, name="images"),
    )
    with pytest.raises(InputError, match=r"ContainerBuilder 'build' .* different scopes: 'my-first-scope' and 'other'"):
        _ = builder.resolved_scope


def test_equal_scopes_are_accepted():
    again = Scope(region="us-west-2", name="my-first-scope")
    asset = Asset(
        scope=SCOPE, name="source", source=GitHubRepo(scope=again, name="repo", repo="your-repo", branch="main")
    )
    assert asset.resolved_scope == SCOPE


def test_dependencies_are_unique_and_have_stacks():
    registry = Registry(scope=SCOPE, name="images")
    group = SecurityGroup(scope=SCOPE, name="group")
    services = tuple(Service(name=name, container=Container(source=registry, tag="1")) for name in ("a", "b"))
    cluster = Cluster(name="cluster", services=services, security_groups=(group, "sg-0123456789abcdef0"))
    assert [each.label for each in cluster.dependencies] == ["images", "group"]
    assert all(each is known for each, known in zip(cluster.dependencies, (registry, group), strict=True))
    source = LocalDirectory(scope=SCOPE, name="here", path=".")
    assert Asset(scope=SCOPE, name="source", source=source).dependencies == ()


def test_parameters_are_outputs_names_and_network():
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


def test_missing_output_is_reported():
    registry = Registry(scope=SCOPE, name="images")
    registry.set_outputs({"RepositoryName": "images"})
    with pytest.raises(InputError, match="stack my-first-scope-images has no output RepositoryUri"):
        _ = registry.uri


def test_network_of_construct_overrides_scope():
    scope = Scope(
        region="us-west-2", name="a", vpc_id="vpc-0123456789abcdef0", subnet_ids=("subnet-0123456789abcdef0",)
    )
    group = SecurityGroup(scope=scope, name="group")
    assert group.configured_network == ("vpc-0123456789abcdef0", ("subnet-0123456789abcdef0",))
    moved = SecurityGroup(scope=scope, name="group", vpc_id="vpc-11111111")
    assert moved.configured_network == ("vpc-11111111", ())
    assert SecurityGroup(name="group").configured_network == (None, ())
