"""The deployer's policy: valid for IAM, small enough, limited to the names of the template, and complete for the calls of this tool."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.access.deployer import (
    CHANGE_SETS,
    LARGEST_POLICY,
    DeployerPolicy,
    StackToDeploy,
    deployer_policy,
    size,
)
from exasol_ci_setup.access.resource_arns import Place
from exasol_ci_setup.access.resource_permissions import is_action
from exasol_ci_setup.cli.commands.iam_policy import policy_of
from exasol_ci_setup.health.shipped import samples
from exasol_ci_setup.stacks.changeset import PREFIX
from exasol_ci_setup.template.lint import lint
from exasol_ci_setup.template.render import Template, parse, render

PLACE = Place("123456789012", "eu-central-1")
ROLES = "arn:aws:iam::123456789012:role/"


def policy(template: dict[str, Any], name: str = "app", **options: Any) -> DeployerPolicy:
    keys = ("audience", "role_arn")
    stack = StackToDeploy(name, template, **{key: each for key, each in options.items() if key not in keys})
    return deployer_policy([stack], PLACE, **{key: each for key, each in options.items() if key in keys})


def of_resources(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def allowed(found: DeployerPolicy) -> dict[str, set[str]]:
    """Return the ARNs of each action."""
    result: dict[str, set[str]] = {}
    for document in found.documents:
        for statement in document["Statement"]:
            actions, arns = statement["Action"], statement["Resource"]
            for action in [actions] if isinstance(actions, str) else actions:
                result.setdefault(action, set()).update([arns] if isinstance(arns, str) else arns)
    return result


def require_valid(found: DeployerPolicy) -> None:
    """Check grammar with cfn-lint, and the names of all actions."""
    for document in found.documents:
        assert size(document) <= LARGEST_POLICY
    properties = [{"PolicyDocument": document} for document in found.documents]
    body = {f"P{n}": {"Type": "AWS::IAM::ManagedPolicy", "Properties": each} for n, each in enumerate(properties)}
    assert lint(Template("policy", json.dumps({"Resources": body})), "eu-central-1") == []
    assert [action for action in allowed(found) if not is_action(action)] == []


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: type(sample).__name__)
def test_policy_of_shipped_kind_is_valid_and_has_one_document(sample):
    found = policy(parse(render(sample).body), sample.stack_name)

    require_valid(found)
    assert len(found.documents) == 1
    assert found.notes == ()


def test_policy_contains_all_cloudformation_calls_of_this_tool():
    package = Path(__file__).parents[2] / "exasol_ci_setup" / "stacks"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    calls = {*re.findall(r"\bcfn\.([a-z_]+)\(", text), *re.findall(r'\bcfn\.get_paginator\("([a-z_]+)"\)', text)}
    names = {f"cloudformation:{''.join(word.title() for word in call.split('_'))}" for call in calls}

    assert len(names) > 15
    assert names - allowed(policy(of_resources())).keys() <= {"cloudformation:GetPaginator", "cloudformation:GetWaiter"}


def test_policy_covers_change_sets_of_this_tool():
    assert PREFIX.startswith(CHANGE_SETS)
    assert (
        "arn:aws:cloudformation:eu-central-1:123456789012:changeSet/exasol-ci-setup-*"
        in allowed(policy(of_resources()))["cloudformation:DescribeChangeSet"]
    )


def test_actions_are_limited_to_names_of_template():
    found = allowed(
        policy(
            {
                "Parameters": {"Env": {"Type": "String", "Default": "dev"}, "Any": {"Type": "String"}},
                **of_resources(
                    Fixed={"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "q-${Env}"}}},
                    Partly={"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Fn::Sub": "t-${Any}"}}},
                    Generated={"Type": "AWS::S3::Bucket"},
                    BucketPolicy={"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Generated"}}},
                    Key={"Type": "AWS::KMS::Key"},
                    Parameter={"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/a/b"}},
                ),
            }
        )
    )

    assert found["sqs:CreateQueue"] == {"arn:aws:sqs:eu-central-1:123456789012:q-dev"}
    assert found["sns:CreateTopic"] == {"arn:aws:sns:eu-central-1:123456789012:t-*"}
    assert found["s3:CreateBucket"] == {"arn:aws:s3:::app-generated*"}
    assert found["s3:PutBucketPolicy"] == {"arn:aws:s3:::app-generated*"}
    assert found["kms:CreateKey"] == {"*"}
    assert found["ssm:PutParameter"] == {"arn:aws:ssm:eu-central-1:123456789012:parameter/a/b"}
    assert found["cloudformation:CreateChangeSet"] == {"arn:aws:cloudformation:eu-central-1:123456789012:stack/app/*"}


def test_generated_names_of_each_form_are_allowed():
    found = allowed(
        policy(of_resources(P={"Type": "AWS::SSM::Parameter"}, Machine={"Type": "AWS::StepFunctions::StateMachine"}))
    )

    prefix = "arn:aws:states:eu-central-1:123456789012:stateMachine:"
    assert found["states:CreateStateMachine"] == {f"{prefix}app-Machine*", f"{prefix}Machine-*"}
    assert "arn:aws:ssm:eu-central-1:123456789012:parameter/CFN-P*" in found["ssm:PutParameter"]


def role(service: str, **properties: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Statement": [statement]}, **properties},
    }


def passed(found: DeployerPolicy) -> list[tuple[Any, Any]]:
    statements = [each for document in found.documents for each in document["Statement"]]
    return [
        (each["Resource"], each.get("Condition", {}).get("StringEquals", {}).get("iam:PassedToService"))
        for each in statements
        if each["Action"] == "iam:PassRole"
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::GetAtt": ["Own", "Arn"]}, [(f"{ROLES}path/own", "lambda.amazonaws.com")]),
        ("arn:aws:iam::123456789012:role/other", [(f"{ROLES}other", None)]),
        ({"Ref": "RoleArn"}, [(f"{ROLES}*", None)]),
        ({"Fn::ImportValue": "role"}, [(f"{ROLES}*", None)]),
    ],
)
def test_roles_are_passed_to_their_services_only(value, expected):
    found = policy(
        {
            "Parameters": {"RoleArn": {"Type": "String"}},
            **of_resources(
                Own=role("lambda.amazonaws.com", RoleName="own", Path="/path/"),
                Function={"Type": "AWS::Lambda::Function", "Properties": {"Role": value}},
            ),
        }
    )

    assert passed(found) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ({"Fn::Sub": ["/ecs/${Prefix}/${Id}", {"Prefix": "web", "Id": {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}}]}, "/ecs/web/*"),
        ({"Fn::Join": ["/", ["/ecs", {"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "log"]]}, "/ecs/*/log"),
        ({"Fn::Join": ["", ["/ecs/", {"Fn::Sub": ["${Id}-log", {"Id": {"Fn::ImportValue": "id"}}]}]]}, "/ecs/*-log"),
        ({"Fn::ImportValue": "name"}, "*"),
    ],
)  # fmt: skip
def test_unknown_function_in_name_is_wildcard(name, expected):
    found = allowed(policy(of_resources(Log={"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}})))

    prefix = "arn:aws:logs:eu-central-1:123456789012:log-group:"
    assert found["logs:TagResource"] - {f"{prefix}{expected}:*"} == {f"{prefix}{expected}"}


@pytest.mark.parametrize(
    ("kind", "actions"),
    [
        ("LoadBalancer", {"ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeInternetGateways", "ec2:DescribeSubnets"}),
        ("TargetGroup", {"ec2:DescribeInternetGateways", "ec2:DescribeVpcs"}),
    ],
)  # fmt: skip
def test_load_balancer_needs_calls_of_ec2_and_service_linked_role(kind, actions):
    found = allowed(policy(of_resources(Own={"Type": f"AWS::ElasticLoadBalancingV2::{kind}"})))

    assert {action for action in actions if found.get(action) == {"*"}} == actions
    assert found["iam:CreateServiceLinkedRole"] == {"arn:aws:iam::123456789012:role/aws-service-role/*"}


def test_role_of_instance_profile_is_passed_to_ec2():
    found = policy(
        of_resources(
            Own=role("ec2.amazonaws.com"),
            Profile={"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Own"}]}},
            Instance={"Type": "AWS::EC2::Instance", "Properties": {"IamInstanceProfile": {"Ref": "Profile"}}},
        )
    )

    assert passed(found) == [(f"{ROLES}app-Own*", "ec2.amazonaws.com")]


def test_values_of_secrets_and_parameters_can_be_read():
    found = allowed(
        policy(
            {
                "Parameters": {
                    "Image": {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": "/aws/service/ami"},
                    "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>"},
                },
                **of_resources(
                    T={
                        "Type": "AWS::SNS::Topic",
                        "Properties": {
                            "DisplayName": "{{resolve:secretsmanager:github:SecretString:token}}{{resolve:ssm:/a/b:1}}"
                        },
                    }
                ),
            }
        )
    )

    assert found["secretsmanager:GetSecretValue"] == {
        "arn:aws:secretsmanager:eu-central-1:123456789012:secret:github-*"
    }
    assert found["ssm:GetParameters"] == {
        "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b",
        "arn:aws:ssm:eu-central-1::parameter/aws/service/ami",
    }
    assert {"ec2:DescribeSubnets", "ec2:DescribeImages"} <= found.keys()


def test_serverless_types_are_expanded():
    found = policy(
        {
            "Transform": "AWS::Serverless-2016-10-31",
            **of_resources(
                F={
                    "Type": "AWS::Serverless::Function",
                    "Properties": {"Events": {"E": {"Type": "Schedule"}, "A": {"Type": "Api"}}},
                }
            ),
        },
        has_uploads=True,
    )
    actions = allowed(found)

    require_valid(found)
    assert {"lambda:CreateFunction", "iam:CreateRole", "events:PutRule", "apigateway:POST"} <= actions.keys()
    assert (
        "arn:aws:cloudformation:eu-central-1:aws:transform/Serverless-2016-10-31"
        in actions["cloudformation:CreateChangeSet"]
    )
    assert actions["s3:PutObject"] == {"arn:aws:s3:::exasol-ci-setup-templates-123456789012-eu-central-1/*"}


def test_nested_stack_and_unknown_type_are_noted():
    template = of_resources(
        Inner={"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://b/x"}},
        Mesh={"Type": "AWS::AppMesh::Mesh"},
        Own={"Type": "My::Own::Type"},
    )

    notes = policy(template).notes
    nested = policy(template, nested={"Inner": of_resources(Q={"Type": "AWS::SQS::Queue"})})

    assert [note.partition(":")[0] for note in notes] == ["Inner", "Mesh", "Own"]
    assert [note.partition(":")[0] for note in nested.notes] == ["Mesh", "Own"]
    assert allowed(nested)["sqs:CreateQueue"] == {"arn:aws:sqs:eu-central-1:123456789012:app-Inner-*-Q*"}


NESTED = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "x.yaml"}}


def test_nested_stacks_of_any_depth_are_included():
    jobs = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Name"}}}
    deep = {
        "Transform": "Own",
        "Parameters": {"Name": {"Type": "String"}},
        **of_resources(Jobs=jobs, ExecutionRole={"Type": "AWS::IAM::Role"}, Own={"Type": "My::Own::Type"}),
    }
    inner = {**NESTED, "Properties": {"TemplateURL": "x.yaml", "Parameters": {"Name": {"Fn::Sub": "${Prefix}-jobs"}}}}
    middle = {
        "Parameters": {"Prefix": {"Type": "String", "Default": "shop"}},
        **of_resources(Deep=inner, Remote=NESTED),
    }
    stacks = "arn:aws:cloudformation:eu-central-1:123456789012:stack/app-Middle-*"

    for audience in ("caller", "cloudformation-role"):
        nested = {"Middle": middle, "Middle/Deep": deep}
        found = policy(of_resources(Middle=NESTED), audience=audience, nested=nested)
        actions = allowed(found)

        require_valid(found)
        assert actions["sqs:CreateQueue"] == {"arn:aws:sqs:eu-central-1:123456789012:shop-jobs"}
        assert actions["cloudformation:CreateStack"] == {f"{stacks}{each}/*" for each in ("", "-Deep-*", "-Remote-*")}
        assert [note.partition(": ")[0] for note in found.notes] == ["Middle/Deep/Own", "Middle/Remote"]
        # CloudFormation shortens names over 64 characters, also the part of the stack.
        assert actions["iam:CreateRole"] == {f"{ROLES}app-Middle-*"}
        macro = "arn:aws:cloudformation:eu-central-1:123456789012:transform/Own"
        assert macro in actions["cloudformation:CreateChangeSet"]


def test_resources_of_loops_are_included():
    template = {
        "Transform": "AWS::LanguageExtensions",
        "Resources": {
            "Fn::ForEach::Queues": ["N", ["A", "B"], {"Queue${N}": {"Type": "AWS::SQS::Queue"}}],
            "Fn::ForEach::Stacks": ["N", ["A", "B"], {"Stack${N}": NESTED}],
        },
    }

    found = policy(template, nested={"Stack${N}": of_resources(Topic={"Type": "AWS::SNS::Topic"})})

    require_valid(found)
    assert found.notes == ()
    assert allowed(found)["sqs:CreateQueue"] == {"arn:aws:sqs:eu-central-1:123456789012:app-Queue*"}
    assert allowed(found)["sns:CreateTopic"] == {"arn:aws:sns:eu-central-1:123456789012:app-Stack*-*-Topic*"}


def test_custom_resource_calls_its_function_only():
    found = policy(
        of_resources(
            Function={"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "own", "Role": "x"}},
            Custom={"Type": "Custom::Thing", "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}}},
        )
    )

    assert allowed(found)["lambda:InvokeFunction"] == {
        "arn:aws:lambda:eu-central-1:123456789012:function:own",
        "arn:aws:lambda:eu-central-1:123456789012:function:own:*",
    }
    assert "sns:Publish" not in allowed(found)


def test_role_of_cloudformation_gets_permissions_and_trust():
    template = of_resources(Q={"Type": "AWS::SQS::Queue"})

    of_role = policy(template, audience="cloudformation-role", has_uploads=True)
    caller = policy(template, role_arn=f"{ROLES}deployer")

    assert {action.partition(":")[0] for action in allowed(of_role)} == {"sqs", "s3"}
    assert of_role.trust is not None
    assert of_role.trust["Statement"][0]["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert not [action for action in allowed(caller) if action.startswith("sqs")]
    assert passed(caller) == [(f"{ROLES}deployer", "cloudformation.amazonaws.com")]
    assert caller.trust is None


def test_large_policy_is_split_with_note():
    kinds = [
        "Lambda::Function",
        "S3::Bucket",
        "EC2::Instance",
        "RDS::DBInstance",
        "ECS::Service",
        "ApiGateway::RestApi",
    ]
    template = of_resources(**{f"R{n}": {"Type": f"AWS::{kind}"} for n, kind in enumerate(kinds)})
    many = of_resources(
        **{f"Q{n:03}": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{n:040}"}} for n in range(200)}
    )

    for each in (template, many):
        found = policy(each)
        require_valid(found)
        assert len(found.documents) > 1
        assert "is split into" in found.notes[-1]
    assert len(allowed(policy(many))["sqs:CreateQueue"]) == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(name=st.text(), value=JSON, other=JSON)
def test_no_name_or_value_changes_structure_of_policy(name, value, other):
    template = {
        "Parameters": {name: other},
        "Resources": {
            "Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": value}},
            "R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": value, "Path": other}},
            name: {"Type": "AWS::StepFunctions::StateMachine", "Properties": other},
        },
        "Transform": value,
    }

    for action, arns in allowed(policy(template, name)).items():
        assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action)
        assert [arn for arn in arns if not re.fullmatch(r"\*|arn:aws:[A-Za-z0-9+=,.@_/:*-]+", arn)] == []


@pytest.mark.live
def test_user_with_policy_deploys_and_deletes_its_stack_only(server, live, account_id):
    (document,) = policy_of("registry", {"name": "images"}, account=account_id, region="eu-central-1")
    iam = live.make("iam")
    iam.create_user(UserName="deployer")
    iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    root = {
        **os.environ,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
    }
    user = {**root, "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def run(*arguments: str, environment: dict[str, str] = user) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "exasol_ci_setup", *arguments, "--yes"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    existing = run("deploy-registry", "--name", "existing", environment=root)
    assert existing.returncode == 0, existing.stderr
    server.control_access(True)
    try:
        results = [
            run("deploy-registry", "--name", "images"),
            run("deploy-registry", "--name", "other"),
            run("delete", "images"),
            run("delete", "existing"),
        ]
    finally:
        server.control_access(False)

    assert [result.returncode for result in results] == [0, 4, 0, 4], [result.stderr for result in results]
