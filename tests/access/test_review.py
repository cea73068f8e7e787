"""Broadened access: which changes count, which do not, and their messages."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.access.review import needs_approval, review
from exasol_ci_setup.core.stacks import Broadening


def template(**resources):
    return {
        "Resources": {name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()}
    }


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def role(*statements, **properties):
    policies = [{"PolicyName": "p", "PolicyDocument": {"Statement": list(statements)}}]
    return template(R=("AWS::IAM::Role", {"Policies": policies, **properties}))


def trust(*statements):
    return template(R=("AWS::IAM::Role", {"AssumeRolePolicyDocument": {"Statement": list(statements)}}))


def trusting(principal, **more):
    return trust({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more})


def bucket_policy(*statements):
    policy = {"Bucket": {"Ref": "B"}, "PolicyDocument": {"Statement": list(statements)}}
    return template(B=("AWS::S3::Bucket", {}), P=("AWS::S3::BucketPolicy", policy))


def messages(before, after, **more):
    return [item.message for item in review(before, after, **more)]


def test_new_action_is_reported_with_role_and_resource():
    arn = "arn:aws:secretsmanager:eu-west-1:1:secret:x"
    after = role(allow("s3:GetObject", "a"), allow("secretsmanager:GetSecretValue", arn))
    assert review(role(allow("s3:GetObject", "a")), after) == (
        Broadening("iam-allow", "R", f"role R may secretsmanager:GetSecretValue on {arn}"),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (allow("s3:*", "*"), allow("s3:GetObject", "arn:b")),
        (allow("s3:Get*"), allow(["S3:getObject", "s3:GetBucket*"])),
        (allow("s3:GetObject", ["a*", "b"]), allow("s3:GetObject", ["ab", "b", "a?c"])),
        (allow(["a:b", "c:d"]), allow(["c:d", "a:b"])),
        (allow("*:*"), allow("a:b")),
        (allow("a:b"), allow("a:b", Condition={"Bool": {"aws:SecureTransport": True}})),
        (
            allow("a:b", Condition={"StringEquals": {"aws:SourceAccount": ["1", "2"]}}),
            allow("a:b", Condition={"stringequals": {"AWS:sourceaccount": "2"}}),
        ),
        (
            allow("a:b", Condition={"StringNotEquals": {"k": "1"}}),
            allow("a:b", Condition={"StringNotEquals": {"k": ["1", "2"]}}),
        ),
        (allow("*"), {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
        ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}, allow("s3:GetObject")),
        (
            {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
            {"Effect": "Allow", "NotAction": ["IAM:*", "sts:*"], "Resource": "*"},
        ),
        (
            allow("a:b", {"Fn::Sub": "${B.Arn}/*"}),
            allow("a:b", {"Fn::Join": ["", [{"Fn::GetAtt": ["B", "Arn"]}, "/x"]]}),
        ),
        (allow("a:b", {"Fn::ImportValue": "x"}), allow("a:b", {"Fn::ImportValue": "x"})),
        (allow("a:b"), deny("a:b")),
    ],
)
def test_permission_that_existed_is_not_reported(before, after):
    assert messages(role(before), role(after)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (allow("s3:GetObject"), allow("s3:Get*")),
        (allow("s3:GetObjec?"), allow("s3:GetObjec*")),
        (allow("a:b", "x"), allow("a:b", "X")),
        (allow("a:b", "x/*"), allow("a:b", "*")),
        (allow("a:b", Condition={"Bool": {"aws:SecureTransport": True}}), allow("a:b")),
        (
            allow("a:b", Condition={"StringEquals": {"k": "1"}}),
            allow("a:b", Condition={"StringEquals": {"k": ["1", "2"]}}),
        ),
        (
            allow("a:b", Condition={"StringNotEquals": {"k": ["1", "2"]}}),
            allow("a:b", Condition={"StringNotEquals": {"k": "1"}}),
        ),
        (
            allow("a:b", Condition={"StringEquals": {"k": "1"}}),
            allow("a:b", Condition={"StringEqualsIfExists": {"k": "1"}}),
        ),
        ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}, allow("iam:PassRole")),
        ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}, allow("*")),
        (
            {"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"},
            {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
        ),
        (allow("a:b"), {"Effect": "Allow", "NotAction": "a:c", "Resource": "*"}),
        ({"Effect": "Allow", "Action": "a:b", "NotResource": ["x"]}, allow("a:b", "x")),
        (allow("a:b", {"Fn::ImportValue": "*"}), allow("a:b", {"Fn::ImportValue": "x"})),
        (deny("a:b"), allow("a:b", "*")),
    ],
)
def test_broader_statement_is_reported(before, after):
    assert messages(role(before), role(after)) != []


def test_statement_of_another_role_is_new_access():
    before = template(Q=("AWS::IAM::Role", {"Policies": [{"PolicyDocument": {"Statement": allow("a:b", "c")}}]}))
    assert messages(before, role(allow("a:b", "c"))) == ["role R may a:b on c"]


def test_statement_moved_from_role_to_its_policy_is_not_reported():
    policy = {"Roles": [{"Ref": "R"}], "PolicyDocument": {"Statement": [allow("a:b", "c")]}}
    after = template(R=("AWS::IAM::Role", {}), P=("AWS::IAM::Policy", policy))
    assert messages(role(allow("a:b", "c")), after) == []


def test_policy_attached_to_second_role_is_reported():
    def policy(*roles):
        document = {"Statement": [allow("a:b", "c")]}
        return template(P=("AWS::IAM::Policy", {"Roles": list(roles), "PolicyDocument": document}))

    assert messages(policy("one"), policy("one", "two")) == ["role two may a:b on c"]


def test_managed_policy_is_reported_with_actions_and_roles():
    policy = {"Roles": [{"Ref": "R"}], "PolicyDocument": {"Statement": [allow("a:b", "c")]}}
    after = template(R=("AWS::IAM::Role", {}), P=("AWS::IAM::ManagedPolicy", policy))
    assert messages(template(R=("AWS::IAM::Role", {})), after) == [
        "managed policy P may a:b on c",
        "role R gets the managed policy ${P}",
    ]


def test_everything_on_everything_is_public():
    assert review(role(), role(allow("*"))) == (
        Broadening("iam-allow", "R", "role R may do everything on every resource", public=True),
    )


def test_everything_but_something_is_public_too():
    (found,) = review(role(), role({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}))
    assert found.public
    assert found.message == "role R may everything but iam:* on every resource"


def test_attached_managed_policy_is_reported_and_administrator_is_public():
    found = review(
        role(ManagedPolicyArns=["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
        role(
            ManagedPolicyArns=[
                "arn:aws:iam::aws:policy/ReadOnlyAccess",
                "arn:aws:iam::aws:policy/AdministratorAccess",
                "arn:aws:iam::1:policy/Own",
            ]
        ),
    )
    assert [(item.message, item.public) for item in found] == [
        ("role R gets the managed policy arn:aws:iam::aws:policy/AdministratorAccess", True),
        ("role R gets the managed policy arn:aws:iam::1:policy/Own", False),
    ]


@pytest.mark.parametrize("after", [{}, {"PermissionsBoundary": "arn:other"}])
def test_removed_or_changed_permissions_boundary_is_reported(after):
    (message,) = messages(role(PermissionsBoundary="arn:limit"), role(**after))
    assert message.startswith("role R is no longer bounded by arn:limit")


def test_removed_denial_is_reported():
    assert messages(role(deny("iam:*"), allow("*")), role(allow("*"))) == [
        "role R is no longer denied iam:* on every resource"
    ]


def test_narrower_denial_is_reported():
    before, after = role(deny(["a:b", "a:c"])), role(deny("a:b"), deny("a:c", Condition={"Bool": {"k": True}}))
    assert messages(before, after) == ["role R is no longer denied a:c on every resource"]


def test_broader_denial_is_not_reported():
    before = role(deny("a:b", "x", Condition={"Bool": {"k": True}}))
    assert messages(before, role(deny("a:*"))) == []


def test_denial_deleted_with_its_role_is_not_reported():
    assert messages(role(deny("a:b")), template(Other=("AWS::S3::Bucket", {}))) == []


def test_new_trust_names_principals_that_can_assume_role():
    service = trusting({"Service": "codebuild.amazonaws.com"})
    both = trusting({"Service": ["codebuild.amazonaws.com", "ec2.amazonaws.com"]})
    assert review(service, both) == (
        Broadening("iam-trust", "R", "role R can be assumed by service ec2.amazonaws.com"),
    )


def test_account_and_its_root_are_same_principal():
    before = trusting({"AWS": "123456789012"})
    assert messages(before, trusting({"AWS": "arn:aws:iam::123456789012:root"})) == []


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["*"]}])
def test_trust_in_everyone_is_public(principal):
    assert review(trust(), trusting(principal)) == (
        Broadening("iam-trust", "R", "role R can be assumed by everyone", public=True),
    )


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringLike": {"aws:PrincipalArn": "*"}}, True),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
        ({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}, True),
    ],
)
def test_everyone_with_condition_on_callers_is_not_public(condition, public):
    (found,) = review(trust(), trusting("*", Condition=condition))
    assert found.public is public


def test_trust_in_everyone_does_not_hide_permissions_of_role():
    before = trusting("*")
    after = copy.deepcopy(before)
    after["Resources"]["R"]["Properties"]["Policies"] = [{"PolicyDocument": {"Statement": allow("sts:AssumeRole")}}]
    assert messages(before, after) == ["role R may sts:AssumeRole on every resource"]


TLS_ONLY = deny("s3:*", "arn:b", Principal="*", Condition={"Bool": {"aws:SecureTransport": False}})


def test_bucket_policy_with_read_access_for_everyone_is_public():
    after = bucket_policy(allow("s3:GetObject", {"Fn::Sub": "${B.Arn}/*"}, Principal="*"))
    assert review(bucket_policy(), after) == (
        Broadening("resource-policy", "P", "bucket B lets everyone s3:GetObject on ${B.Arn}/*", public=True),
    )


def test_resource_policy_without_former_denial_is_reported():
    expected = ["bucket B no longer denies everyone s3:* on arn:b when Bool aws:SecureTransport false"]
    assert messages(bucket_policy(TLS_ONLY), bucket_policy()) == expected
    assert messages(bucket_policy(TLS_ONLY), template(B=("AWS::S3::Bucket", {}))) == expected


@pytest.mark.parametrize(
    ("kind", "properties", "word"),
    [
        ("AWS::SQS::QueuePolicy", {"Queues": [{"Ref": "Q"}], "PolicyDocument": 0}, "queue Q"),
        ("AWS::SNS::TopicPolicy", {"Topics": [{"Ref": "Q"}], "PolicyDocument": 0}, "topic Q"),
        ("AWS::SecretsManager::ResourcePolicy", {"SecretId": "s", "ResourcePolicy": 0}, "secret s"),
        ("AWS::KMS::Key", {"KeyPolicy": 0}, "key P"),
        ("AWS::ECR::Repository", {"RepositoryPolicyText": 0}, "image repository P"),
        ("AWS::EFS::FileSystem", {"FileSystemPolicy": 0}, "file system P"),
    ],
)
def test_each_kind_of_resource_policy_is_reviewed(kind, properties, word):
    document = {"Statement": allow("x:y", "*", Principal={"AWS": "arn:aws:iam::1:role/r"})}
    after = template(P=(kind, {key: document if value == 0 else value for key, value in properties.items()}))
    assert messages(None, after) == [f"{word} lets arn:aws:iam::1:role/r x:y on every resource"]


def test_policy_as_json_text_is_reviewed():
    text = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"logs:*","Resource":"a"}}'
    (found,) = review(None, template(P=("AWS::Logs::ResourcePolicy", {"PolicyDocument": text})))
    assert found.public


def test_function_that_everyone_can_call_is_public():
    call = {"FunctionName": {"Ref": "F"}, "Action": "lambda:InvokeFunction", "Principal": "*"}
    (found,) = review(None, template(P=("AWS::Lambda::Permission", call)))
    assert found == Broadening(
        "resource-policy", "P", "function F lets everyone lambda:InvokeFunction on every resource", public=True
    )


def ingress(*rules):
    return template(G=("AWS::EC2::SecurityGroup", {"SecurityGroupIngress": list(rules)}))


def rule(source, first=443, last=443, protocol="tcp", key="CidrIp"):
    return {key: source, "IpProtocol": protocol, "FromPort": first, "ToPort": last}


def test_security_group_open_to_all_addresses_is_public():
    after = ingress(rule("0.0.0.0/0"), rule("::/0", 80, 90, key="CidrIpv6"), rule("10.0.0.0/8"))
    assert [(item.message, item.public) for item in review(ingress(), after)] == [
        ("security group G lets 0.0.0.0/0 in on tcp 443", True),
        ("security group G lets ::/0 in on tcp 80-90", True),
        ("security group G lets 10.0.0.0/8 in on tcp 443", False),
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (rule("10.0.0.0/8"), rule("10.1.0.0/16"), False),
        (rule("10.1.0.0/16"), rule("10.0.0.0/8"), True),
        (rule("10.0.0.0/8", 1, 100), rule("10.0.0.0/8", 22, 22), False),
        (rule("10.0.0.0/8", 22, 22), rule("10.0.0.0/8", 22, 23), True),
        (rule("10.0.0.0/8", protocol="-1"), rule("10.0.0.0/8", 1, 2, "udp"), False),
        (rule("10.0.0.0/8"), rule("10.0.0.0/8", protocol="udp"), True),
        (rule("10.0.0.0/8"), rule({"Ref": "Other"}, key="SourceSecurityGroupId"), True),
        (rule("10.0.0.0/8"), rule("::/0", key="CidrIpv6"), True),
    ],
)
def test_rule_with_more_sources_or_ports_is_reported(before, after, expected):
    assert bool(messages(ingress(before), ingress(after))) is expected


def test_source_that_can_be_all_addresses_is_public():
    (found,) = review(ingress(), ingress(rule({"Fn::If": ["Unknown", "0.0.0.0/0", "10.0.0.0/8"]})))
    assert found.public


def test_rule_moved_to_separate_resource_is_not_reported():
    own = {"GroupId": {"Fn::GetAtt": ["G", "GroupId"]}, **rule("0.0.0.0/0")}
    after = template(G=("AWS::EC2::SecurityGroup", {}), I=("AWS::EC2::SecurityGroupIngress", own))
    assert messages(ingress(rule("0.0.0.0/0")), after) == []


ALL_BLOCKED = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)


def bucket(**properties):
    return template(B=("AWS::S3::Bucket", properties))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (bucket(PublicAccessBlockConfiguration=ALL_BLOCKED), bucket(), True),
        (
            bucket(PublicAccessBlockConfiguration=ALL_BLOCKED),
            bucket(PublicAccessBlockConfiguration={**ALL_BLOCKED, "BlockPublicAcls": "false"}),
            True,
        ),
        (bucket(), bucket(PublicAccessBlockConfiguration=ALL_BLOCKED), False),
        (bucket(), bucket(), False),
        (None, bucket(), False),
        (None, bucket(PublicAccessBlockConfiguration={**ALL_BLOCKED, "BlockPublicPolicy": False}), True),
        (bucket(), bucket(AccessControl="PublicRead"), True),
        (bucket(AccessControl="PublicRead"), bucket(AccessControl="PublicReadWrite"), True),
        (bucket(AccessControl="PublicRead"), bucket(AccessControl="Private"), False),
        (bucket(), bucket(AccessControl="LogDeliveryWrite"), False),
    ],
)
def test_bucket_without_former_protection_is_public(before, after, expected):
    found = review(before, after)
    assert [(item.kind, item.public) for item in found] == ([("public-bucket", True)] if expected else [])


def test_grants_of_new_stack_need_approval_only_if_public():
    found = review(None, role(allow("s3:GetObject", "a"), deny("x:y")))
    assert [item.message for item in found] == ["role R may s3:GetObject on a"]
    assert not needs_approval(found, "CREATE")
    assert needs_approval(found, "UPDATE")
    assert needs_approval(review(None, role(allow("*"))), "CREATE")
    assert not needs_approval((), "UPDATE")


def test_resources_with_same_actions_share_line():
    after = role(allow(["a:c", "a:b"], ["y", "x"]))
    assert messages(None, after) == ["role R may a:b, a:c on x, y"]


def test_only_new_part_of_statement_is_reported():
    assert messages(role(allow("a:b", "x")), role(allow(["a:b", "a:c"], ["x", "y"]))) == [
        "role R may a:b, a:c on y",
        "role R may a:c on x",
    ]


def test_parameter_that_broadens_resource_is_reported():
    body = {**role(allow("a:b", {"Ref": "P"})), "Parameters": {"P": {"Type": "String"}}}
    assert messages(body, body, before_parameters={"P": "x"}, after_parameters={"P": "*"}) == [
        "role R may a:b on every resource"
    ]


def test_unreadable_policy_is_reported_unless_it_existed():
    unknown = template(R=("AWS::IAM::Role", {"Policies": [{"PolicyDocument": {"Fn::Cidr": "x"}}]}))
    assert messages(unknown, unknown) == []
    assert messages(role(), unknown) == [
        'role R gets a policy that is not known before it is deployed: {"Fn::Cidr":"x"}'
    ]


@pytest.mark.parametrize(
    "transform",
    [
        {"Transform": "AWS::LanguageExtensions"},
        {"Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"]},
        {"Metadata": {"Deep": [{"Fn::Transform": {"Name": "AWS::Include"}}]}},
        {"Resources": {"Fn::ForEach::Loop": ["N", ["A"], {"R${N}": {"Type": "AWS::SNS::Topic"}}]}},
    ],
)
def test_template_with_transform_needs_approval_also_when_new(transform):
    after = {"Resources": {}, **transform}
    (found,) = review(after, after)
    assert (found.kind, found.public) == ("transform", True)
    assert needs_approval([found], "CREATE")


def test_public_access_is_first_and_order_is_stable():
    after = role(allow("b:b", "x"), allow("a:a", "x"), allow("*"))
    found = review(None, after)
    assert [item.public for item in found] == [True, False, False]
    after["Resources"]["R"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].reverse()
    assert review(None, after) == found


PATTERNS = st.text("ab*?", max_size=5)
SETS = PATTERNS | st.lists(PATTERNS, max_size=3) | st.fixed_dictionaries({"Ref": PATTERNS})
CONDITIONS = st.dictionaries(
    st.sampled_from(["StringEquals", "StringNotEquals", "Bool", "StringLike"]),
    st.dictionaries(st.sampled_from(["aws:SourceAccount", "k"]), SETS, max_size=2) | SETS,
    max_size=2,
)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny", "allow", "?"])},
    optional={
        **dict.fromkeys(("Action", "NotAction", "Resource", "NotResource"), SETS),
        **dict.fromkeys(
            ("Principal", "NotPrincipal"), SETS | st.dictionaries(st.sampled_from(["AWS", "Service"]), SETS)
        ),
        "Condition": CONDITIONS | SETS,
    },
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.fixed_dictionaries({"Statement": st.lists(STATEMENTS | ODD, max_size=3) | STATEMENTS}) | ODD
RULES = st.fixed_dictionaries(
    {},
    optional={
        "CidrIp": st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "x"]),
        "IpProtocol": st.sampled_from(["-1", "tcp", 6]),
        "FromPort": st.integers(-1, 9) | ODD,
        "ToPort": st.integers(-1, 9),
        "SourceSecurityGroupId": SETS,
    },
)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("PolicyDocument", "KeyPolicy", "ResourcePolicy", "AssumeRolePolicyDocument", "RepositoryPolicyText"),
            DOCUMENTS,
        ),
        "Policies": st.lists(st.fixed_dictionaries({"PolicyDocument": DOCUMENTS}) | ODD, max_size=2) | ODD,
        **dict.fromkeys(
            ("Roles", "Bucket", "Queues", "ManagedPolicyArns", "PermissionsBoundary", "Groups"), SETS | ODD
        ),
        "SecurityGroupIngress": st.lists(RULES | ODD, max_size=3) | ODD,
        "PublicAccessBlockConfiguration": st.dictionaries(st.sampled_from(list(ALL_BLOCKED)), ODD) | ODD,
        "AccessControl": st.sampled_from(["PublicRead", "Private"]) | ODD,
    },
)
KINDS = st.sampled_from(
    [
        *(
            "AWS::IAM::Role",
            "AWS::IAM::Policy",
            "AWS::IAM::ManagedPolicy",
            "AWS::IAM::RolePolicy",
            "AWS::S3::BucketPolicy",
        ),
        *("AWS::SQS::QueuePolicy", "AWS::KMS::Key", "AWS::SecretsManager::ResourcePolicy", "AWS::Lambda::Permission"),
        *("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::S3::Bucket", "AWS::ECR::Repository"),
    ]
)
RESOURCES = st.dictionaries(
    st.sampled_from(["A", "B", "C"]), st.fixed_dictionaries({"Type": KINDS, "Properties": PROPERTIES | ODD}) | ODD
)
TEMPLATES = st.fixed_dictionaries({"Resources": RESOURCES | ODD})


@given(TEMPLATES)
def test_unchanged_template_broadens_no_access(body):
    assert review(body, body) == ()


@given(TEMPLATES, TEMPLATES)
def test_review_of_any_template_raises_nothing(before, after):
    assert set(review(before, after)) == set(review(copy.deepcopy(before), after))
