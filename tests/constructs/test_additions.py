"""Tags, permissions boundary and policy statements of constructs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    LoadBalancer,
    PolicyStatement,
    Registry,
    Scope,
    Service,
    Space,
)
from exasol_ci_setup.template.render import parse, render

LIMIT = "arn:aws:iam::123456789012:policy/limit"
SCOPE = Scope(name="team", region="eu-central-1", tags={"team": "web", "cost": "1"}, permissions_boundary=LIMIT)
PLAIN = Scope(name="team", region="eu-central-1")
IMAGE = Container(source="nginx", tag="1")


def roles(construct: Any) -> list[dict[str, Any]]:
    resources = parse(render(construct).body)["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == "AWS::IAM::Role"]


def test_construct_has_tags_of_scope_and_own_ones():
    registry = Registry(scope=SCOPE, name="images", tags={"cost": "2"})

    assert registry.tags == {
        "team": "web",
        "cost": "2",
        "exasol-ci-setup:construct": "Registry",
        "exasol-ci-setup:scope": "team",
        "exasol-ci-setup:name": "images",
    }
    assert len({SCOPE, SCOPE.model_copy(), registry, registry.model_copy()}) == 2


@pytest.mark.parametrize("tags", [{"aws:x": "1"}, {"exasol-ci-setup:name": "x"}, {"": "1"}, {"a": "x" * 257}])
def test_invalid_tags_are_rejected(tags):
    for make in (lambda: Registry(name="images", tags=tags), lambda: Scope(name="a", region="eu-central-1", tags=tags)):
        with pytest.raises(ValidationError, match=r"reserved|empty|at most"):
            make()


def test_tags_of_construct_without_stack_are_rejected():
    with pytest.raises(ValidationError, match="tags are those of a stack"):
        Service(name="w", container=IMAGE, tags={"a": "b"})


def constructs(scope: Scope) -> list[Any]:
    return [
        Cluster(scope=scope, name="c", services=[Service(name="w", container=IMAGE)]),
        Space(name="s", load_balancer=LoadBalancer(scope=scope), image="nginx:1"),
        ContainerBuilder(
            name="b",
            asset=Asset(scope=scope, name="a"),
            builder=BuildkitBuilder(scope=scope, name="h"),
            registry=Registry(scope=scope, name="r"),
        ),
    ]


def test_boundary_of_scope_limits_each_role():
    for construct, plain in zip(constructs(SCOPE), constructs(PLAIN), strict=True):
        assert [role["PermissionsBoundary"] for role in roles(construct)] == [LIMIT] * len(roles(plain))
        assert not [role for role in roles(plain) if "PermissionsBoundary" in role]


def test_task_role_policy_is_that_of_task_alone():
    statement = PolicyStatement(actions=["sqs:ReceiveMessage", "sqs:Delete*"], resources=["arn:aws:sqs:*:*:jobs"])
    services = [Service(name="a", container=IMAGE, task_role_policy=[statement]), Service(name="b", container=IMAGE)]

    resources = parse(render(Cluster(scope=PLAIN, name="c", services=services)).body)["Resources"]

    [policy] = resources["ATaskRole"]["Properties"]["Policies"]
    assert policy["PolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:Delete*"], "Resource": ["arn:aws:sqs:*:*:jobs"]}
    ]
    assert "Policies" not in resources["BTaskRole"]["Properties"]


@pytest.mark.parametrize(
    "values",
    [
        {"actions": [], "resources": ["*"]},
        {"actions": ["s3:GetObject"], "resources": []},
        {"actions": ["GetObject"], "resources": ["*"]},
        {"actions": ["s3:GetObject"], "resources": ["bucket"]},
        {"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::${AWS::AccountId}-x"]},
        {"actions": ["s3:GetObject"], "not_actions": ["s3:PutObject"], "resources": ["*"]},
        {"Effect": "Allow", "Action": "s3:GetObject"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": []},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Sid": "a b"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"Fn::Sub": {"a:b": "x"}}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEquals": {"Fn::Sub": "x"}}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEquals": {"Ref": "x"}}},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEquals": {"aws:x": []}}},
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:x": "a\nb"}},
        },
    ],
)
def test_invalid_policy_statement_is_rejected(values):
    with pytest.raises(ValidationError, match="use "):
        PolicyStatement(**values)


def test_policy_statement_in_json_form_equals_other_form():
    in_json = {
        "Sid": "Read",
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": ["*"],
        "Condition": {"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"s3:max-keys": 10}},
    }

    statement = PolicyStatement.model_validate(in_json)

    assert statement == PolicyStatement(
        sid="Read",
        actions=["s3:GetObject"],
        resources=["*"],
        conditions={"Bool": {"aws:SecureTransport": ["true"]}, "NumericLessThan": {"s3:max-keys": ["10"]}},
    )
    assert hash(statement)


def test_policy_statement_in_json_form_requires_effect():
    with pytest.raises(ValidationError, match="Effect is required"):
        PolicyStatement.model_validate({"Action": "s3:GetObject", "Resource": "*"})


def test_statement_of_trust_policy_is_rejected():
    with pytest.raises(ValidationError, match="Principal"):
        PolicyStatement.model_validate({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"})


def test_signature_has_all_fields_before_first_use():
    program = (
        "import inspect, exasol_ci_setup as found\n"
        "classes = [found.Service, found.ContainerBuilder, found.Scaling]\n"
        "assert not any(each.__pydantic_complete__ for each in classes)\n"
        "for each in classes:\n"
        "    names = {field.alias or name for name, field in each.model_fields.items()}\n"
        "    assert set(inspect.signature(each).parameters) == names\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
