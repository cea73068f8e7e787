"""The templates of the constructs of programs, and their guarantees."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from exasol_ci_setup.constructs import (
    CiBuild,
    Cluster,
    Container,
    Ingress,
    Instance,
    LoadBalancer,
    PortMappings,
    Registry,
    Scope,
    ScopedConstruct,
    SecurityGroup,
    Service,
    Space,
)
from exasol_ci_setup.constructs.values import Value
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template.lint import lint
from exasol_ci_setup.template.render import capabilities, logical_id, parse, render, texts
from tests.templates import samples
from tests.templates.test_structure import TEXT, joined, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REGIONS = ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]
INSTANCES = ["instance.yaml", "instance_many_options.yaml", "instance_private.yaml"]
ALL = [*samples.GOLDEN, *INSTANCES]


@pytest.fixture
def construct(request: pytest.FixtureRequest, tmp_path: Path) -> ScopedConstruct:
    return {**samples.GOLDEN, **samples.instances(tmp_path)}[request.param]


of_each = pytest.mark.parametrize("construct", ALL, indirect=True)


@pytest.mark.parametrize(("construct", "name"), [(name, name) for name in ALL], indirect=["construct"], ids=ALL)
def test_template_matches_golden_file(construct: ScopedConstruct, name: str, golden: Callable[[str, str], None]):
    golden(name, render(construct).body)


@pytest.mark.parametrize("region", REGIONS)
@of_each
def test_linter_has_no_findings(construct: ScopedConstruct, region: str):
    assert lint(render(construct), region) == []


@pytest.mark.parametrize("text", ["${AWS::Region}", "a ${B} ${C} c", "${", "$${A}", "x${!A}y"])
def test_dollar_braces_of_user_reach_container(text: str):
    words = shlex.quote(text)
    web = Service(
        name="web",
        container=Container(source="nginx", tag="1", start_command=f"echo {words}"),
        env_vars={"A": text},
    )
    template = render(Cluster(scope=samples.SCOPE, name="services", services=[web]))

    assert lint(template, "eu-central-1") == []
    [container] = parse(template.body)["Resources"]["WebTaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert joined(container["Command"]) == ["echo", text]
    assert joined(container["Environment"]) == [{"Name": "A", "Value": text}]


VARIABLE = "${AWS::StackId}"


def with_variable(value: Any) -> Iterator[Any]:
    """Yield copies of a value in which one text also contains `VARIABLE`; not those that are invalid."""
    if isinstance(value, str):
        yield value + VARIABLE
        yield f"/{VARIABLE}"
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from ((*value[:index], changed, *value[index + 1 :]) for changed in with_variable(item))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: changed} for changed in with_variable(item))
    elif isinstance(value, Value):
        cls = type(value)
        fields = {field.alias or name: getattr(value, name) for name, field in cls.model_fields.items()}
        for key, item in fields.items():
            for changed in with_variable(item):
                with suppress(ValidationError):
                    yield cls.model_validate({**fields, key: changed})


@of_each
def test_dollar_braces_in_any_field_are_literal(construct: ScopedConstruct):
    for changed in with_variable(construct):
        if getattr(changed, "path_to_key", None) != getattr(construct, "path_to_key", None):
            continue  # there is no such key
        assert [place for place, text in texts(parse(render(changed).body)) if VARIABLE in text] == [], changed


def test_dollar_braces_in_branch_filter_are_literal():
    build = CiBuild(project="Slc", project_url="https://github.com/a/b", branch_filter="^refs/heads/${AWS::Region}$")
    template = render(build.model_copy(update={"docker_secret_arn": samples.SECRET}))

    assert lint(template, "eu-central-1") == []
    triggers = parse(template.body)["Resources"]["CodeBuild"]["Properties"]["Triggers"]
    assert joined(triggers["FilterGroups"])[0][1]["Pattern"] == "^refs/heads/${AWS::Region}$"


def test_cluster_without_services_has_no_findings():
    assert lint(render(Cluster(scope=samples.SCOPE, name="empty", services=[])), "eu-central-1") == []


def test_instance_with_given_groups_has_no_findings(tmp_path: Path):
    (tmp_path / "key.pub").write_text(f"{samples.PUBLIC_KEY}\n", encoding="utf-8")
    instance = Instance(
        scope=samples.SCOPE,
        name="box",
        instance_type="t3.micro",
        path_to_key=tmp_path / "key",
        security_groups=["sg-0123456789abcdef0"],
    )
    assert lint(render(instance), "eu-central-1") == []


@of_each
def test_template_is_readable(construct: ScopedConstruct):
    body = render(construct).body
    assert body.isascii()
    assert body.endswith("\n")
    assert not body.endswith("\n\n")
    assert "\n\n\n" not in body
    assert not any(line != line.rstrip() for line in body.splitlines())
    assert "made by exasol-ci-setup " in body.splitlines()[1]


@of_each
def test_parameter_has_value_from_network_name_or_construct(construct: ScopedConstruct):
    parameters = parse(render(construct).body).get("Parameters", {})
    without_default = {name for name, declared in parameters.items() if "Default" not in declared}
    assert without_default == {
        *construct.network_parameters,
        *construct.static_parameters,
        *construct.parameter_sources,
        *(rule.parameter for rule in construct.listener_rules if rule.parameter is not None),
        *(("ImageId",) if isinstance(construct, Instance) else ()),
    }


@of_each
def test_referenced_attribute_is_output_of_template(construct: ScopedConstruct):
    for other, output in construct.parameter_sources.values():
        assert output in parse(render(other).body)["Outputs"]


def resources(construct: ScopedConstruct) -> dict[str, Any]:
    found: dict[str, Any] = parse(render(construct).body)["Resources"]
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role.get("Properties", {}).get("Policies", ()):
        yield from policy["PolicyDocument"]["Statement"]


@of_each
def test_roles_have_no_unneeded_wildcards(construct: ScopedConstruct):
    for resource in resources(construct).values():
        for statement in statements(resource):
            assert statement["Effect"] == "Allow"
            assert "*" not in "".join(listed(statement["Action"]))
            # These actions support no resource.
            without = {"ecr:GetAuthorizationToken", "ec2:DescribeVpcs", "ssmmessages:OpenDataChannel"}
            if not without & {*listed(statement["Action"])}:
                text = json.dumps(statement["Resource"])
                # Objects of a bucket, interfaces that a build creates, and subnets that another account shares.
                for known in ("${BucketName}/*", "network-interface/*", ":*:subnet/", ":*:security-group/"):
                    text = text.replace(known, "")
                assert "*" not in text


@of_each
def test_only_service_of_this_account_can_assume_role(construct: ScopedConstruct):
    for resource in resources(construct).values():
        if resource["Type"] == "AWS::IAM::Role":
            (statement,) = resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
            assert list(statement["Principal"]) == ["Service"]
            if statement["Principal"]["Service"] == "ec2.amazonaws.com":
                # A role of instances is passed with its profile, and EC2 sends no account of a source.
                continue
            assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("registry.yaml", {"Repository"}),
        ("asset_bucket.yaml", {"Bucket", "BucketPolicy"}),
        ("container_builder.yaml", {"LogGroup", "Role", "Project"}),
        ("security_group.yaml", {"SecurityGroup"}),
        (
            "cluster.yaml",
            {
                *("Cluster", "SecurityGroup", "WebLogGroup", "WebExecutionRole", "WebTaskRole", "WebTaskDefinition"),
                "WebService",
            },
        ),
    ],
)
def test_logical_ids_are_fixed(name: str, expected: set[str]):
    assert set(resources(samples.GOLDEN[name])) == expected


def test_registry_scans_images_and_has_immutable_tags():
    repository = resources(samples.REGISTRY)["Repository"]["Properties"]
    assert repository["RepositoryName"] == "shop/images"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert [
        each["ImageTagMutabilityExclusionFilterValue"] for each in repository["ImageTagMutabilityExclusionFilters"]
    ] == ["latest"]
    strict = resources(samples.IMMUTABLE)["Repository"]["Properties"]
    assert strict["ImageTagMutability"] == "IMMUTABLE"
    (rule,) = json.loads(strict["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert rule["selection"]["tagStatus"] == "untagged"
    assert rule["selection"]["countNumber"] == 3


def test_bucket_is_private_versioned_encrypted_and_requires_tls():
    found = resources(samples.ASSET)
    bucket = found["Bucket"]["Properties"]
    assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms"}
    (statement,) = found["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_build_role_allows_bucket_repository_and_log_only():
    allowed = {
        action: statement["Resource"]
        for statement in statements(resources(samples.BUILDER)["Role"])
        for action in listed(statement["Action"])
    }
    repository = {"Fn::Sub": "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${RepositoryName}"}
    log_group = {"Fn::GetAtt": ["LogGroup", "Arn"]}
    assert allowed == {
        "logs:CreateLogStream": log_group,
        "logs:PutLogEvents": log_group,
        "s3:GetObject": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${BucketName}/*"},
        "ecr:GetAuthorizationToken": "*",
        **{
            f"ecr:{verb}": repository
            for verb in (
                *("BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "GetDownloadUrlForLayer"),
                *("InitiateLayerUpload", "PutImage", "UploadLayerPart"),
            )
        },
    }


def test_buildspec_uses_variables_of_project():
    project = resources(samples.BUILDER)["Project"]["Properties"]
    spec = yaml.safe_load(project["Source"]["BuildSpec"])
    commands = "\n".join(command for phase in spec["phases"].values() for command in phase["commands"])
    used = set(re.findall(r"\$\{?([A-Z_]+)", commands)) - {"CODEBUILD_BUILD_SUCCEEDING"}
    known = {each["Name"] for each in project["Environment"]["EnvironmentVariables"]}
    assert used == known - {"DOCKER_BUILDKIT"}
    assert all(isinstance(command, str) for phase in spec["phases"].values() for command in phase["commands"])
    pushes = [line for line in commands.splitlines() if "docker push" in line]
    assert [line.split(":")[-1] for line in pushes] == ['$CONTENT_HASH"', '$IMAGE_TAG"']


def test_service_can_access_only_image_secrets_and_log():
    found = resources(samples.MANY)
    allowed = {
        action: statement["Resource"]
        for statement in statements(found["WebExecutionRole"])
        for action in listed(statement["Action"])
    }
    pulled = {
        "Fn::Sub": [
            "arn:${AWS::Partition}:ecr:${AWS::Region}:${AWS::AccountId}:repository/${Name}",
            {"Name": {"Ref": "RepositoryName1"}},
        ]
    }
    log_group = {"Fn::GetAtt": ["WebLogGroup", "Arn"]}
    assert allowed == {
        "logs:CreateLogStream": log_group,
        "logs:PutLogEvents": log_group,
        "ecr:GetAuthorizationToken": "*",
        "ecr:BatchCheckLayerAvailability": pulled,
        "ecr:BatchGetImage": pulled,
        "ecr:GetDownloadUrlForLayer": pulled,
        "secretsmanager:GetSecretValue": [samples.SECRET],
    }
    assert "Policies" not in found["WebTaskRole"]["Properties"]


def test_only_ecr_image_needs_pull_permission():
    found = resources(samples.MANY)
    (pull,) = [each for each in statements(found["JobRunnerExecutionRole"]) if each["Sid"] == "PullImage"]
    assert pull["Resource"] == {
        "Fn::Sub": [
            "arn:${AWS::Partition}:${Repository}",
            {"Repository": "ecr:eu-central-1:123456789012:repository/shop/api"},
        ]
    }
    assert [each["Sid"] for each in statements(found["ProxyExecutionRole"])] == ["WriteLogs"]


def test_task_has_requested_settings():
    task = resources(samples.MANY)["WebTaskDefinition"]["Properties"]
    (container,) = task["ContainerDefinitions"]
    assert (task["Cpu"], task["Memory"]) == ("1024", "3072")
    assert container["Image"]["Fn::Sub"][1]["Tag"] == "@sha256:" + "0" * 64
    assert container["Command"] == ["serve", "--greeting", "hello there"]
    assert [each["ContainerPort"] for each in container["PortMappings"]] == [80, 443]
    assert container["Environment"] == [{"Name": "MODE", "Value": "live"}, {"Name": "EMPTY", "Value": ""}]
    assert container["Secrets"] == [{"Name": "PASSWORD", "ValueFrom": samples.SECRET}]


def test_service_rolls_back_release_whose_tasks_do_not_start():
    service = resources(samples.CLUSTER)["WebService"]["Properties"]
    assert service["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert service["NetworkConfiguration"]["AwsvpcConfiguration"] == {
        "AssignPublicIp": "ENABLED",
        "Subnets": {"Ref": "SubnetIds"},
        "SecurityGroups": [{"Fn::GetAtt": ["SecurityGroup", "GroupId"]}],
    }


def test_cluster_accepts_traffic_only_through_given_groups():
    found = resources(samples.MANY)
    assert "SecurityGroupIngress" not in found["SecurityGroup"]["Properties"]
    network = found["WebService"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert network["SecurityGroups"][1:] == [{"Ref": "SecurityGroup1"}, {"Ref": "SecurityGroup2"}]


def test_rule_for_several_blocks_is_one_rule_per_block():
    rules = resources(samples.GROUP)["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert [(rule.get("CidrIp"), rule.get("CidrIpv6"), rule["FromPort"]) for rule in rules] == [
        ("10.0.0.0/8", None, 443),
        (None, "2001:db8::/32", 443),
        ("10.0.0.0/8", None, -1),
    ]


def test_egress_is_all_listed_or_none():
    def outgoing(construct: SecurityGroup) -> list[str]:
        rules = resources(construct)["SecurityGroup"]["Properties"]["SecurityGroupEgress"]
        return [rule.get("CidrIp") or rule["CidrIpv6"] for rule in rules]

    assert outgoing(samples.GROUP) == ["0.0.0.0/0", "::/0"]
    assert outgoing(samples.NARROW) == ["10.0.0.0/8"]
    assert outgoing(samples.CLOSED) == ["127.0.0.1/32"]


def test_instance_without_groups_gets_closed_group(tmp_path: Path):
    found = resources(samples.instances(tmp_path)["instance.yaml"])
    assert "SecurityGroupIngress" not in found["SecurityGroup"]["Properties"]
    (interface,) = found["Instance"]["Properties"]["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True
    assert interface["GroupSet"] == [{"Fn::GetAtt": ["SecurityGroup", "GroupId"]}]


def test_ssh_is_allowed_only_from_given_block(tmp_path: Path):
    found = resources(samples.instances(tmp_path)["instance_many_options.yaml"])
    (rule,) = found["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert (rule["CidrIpv6"], rule["FromPort"], rule["ToPort"]) == ("2001:db8::/32", 22, 22)
    (interface,) = found["Instance"]["Properties"]["NetworkInterfaces"]
    assert len(interface["GroupSet"]) == 3


def test_instance_has_encrypted_disk_session_tokens_and_key(
    tmp_path: Path,
):
    found = resources(samples.instances(tmp_path)["instance.yaml"])
    machine = found["Instance"]["Properties"]
    assert machine["MetadataOptions"] == {"HttpTokens": "required"}
    assert machine["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert found["KeyPair"]["Properties"]["PublicKeyMaterial"] == samples.PUBLIC_KEY


def test_only_templates_with_roles_need_iam_capability(tmp_path: Path):
    def of(construct: ScopedConstruct) -> tuple[str, ...]:
        return capabilities(parse(render(construct).body))

    assert of(samples.BUILDER) == of(samples.MANY) == ("CAPABILITY_IAM",)
    assert of(samples.REGISTRY) == of(samples.ASSET) == of(samples.GROUP) == ()
    assert of(samples.instances(tmp_path)["instance.yaml"]) == ()


# --- No input of a user changes the structure of a template ------------------------------------------------------------

MARK = "Marked"


def group(text: str) -> SecurityGroup:
    rule = Ingress.model_construct(from_port=1, to_port=2, protocol=text, cidr_ip=(f"{text}/8",))
    return SecurityGroup.model_construct(name=text, ingresses=(rule,), egresses=None)


def cluster(text: str) -> Cluster:
    container = Container.model_construct(
        source=f"nginx{text}", tag=text, port_mappings=(PortMappings(container_port=80),)
    )
    service = Service.model_construct(
        name="web", container=container, env_vars={text: text}, secrets={text: text}, cpu=256, memory=512, count=1
    )
    return Cluster.model_construct(
        name=text, stack=text, services=(service,), security_groups=(), public_ip=True, log_retention_in_days=1
    )


def registry(text: str) -> Registry:
    scope = Scope.model_construct(name=text, region="eu-central-1")
    return Registry.model_construct(scope=scope, name=text, mutable_tags=(text,), untagged_retention_in_days=1)


def commanded(text: str) -> Cluster:
    container = Container.model_construct(source="nginx", tag="1", start_command=shlex.quote(text), port_mappings=())
    service = Service(name="web", container=Container(source="nginx", tag="1"))
    return Cluster(name="a", services=(service.model_copy(update={"container": container}),))


def space(text: str) -> Space:
    balancer = LoadBalancer.model_construct(name="spaces", certificate_arn=text)
    return Space.model_construct(
        name=text,
        stack=text,
        load_balancer=balancer,
        image="nginx:1",
        domain=text,
        env={text: text},
        secrets={text: text},
        certificate_arn=samples.CERTIFICATE,
        hosted_zone_id=text,
        port=80,
        cpu=256,
        memory=512,
        priority=1,
    )


def shape(construct: ScopedConstruct) -> list[tuple[tuple[object, ...], type]]:
    return [(path, kind) for path, kind, _ in leaves(joined(parse(render(construct).body)))]


@pytest.mark.parametrize("make", [group, cluster, registry, commanded, space])
@given(text=TEXT)
@settings(deadline=None, max_examples=60)
def test_unchecked_text_is_rejected_or_stays_one_scalar(make: Callable[[str], ScopedConstruct], text: str):
    # An address with a colon is IPv6, which has a separate property.
    text = text.replace(":", "")
    try:
        found = shape(make(text))
    except InputError:
        assert "{{resolve" in text or any("\ud800" <= character <= "\udfff" for character in text)
        return
    assert found == shape(make(MARK))


@given(text=st.text())
def test_logical_id_has_only_letters_and_digits(text: str):
    try:
        written = logical_id(text)
    except InputError:
        assert not re.fullmatch("[A-Za-z][A-Za-z0-9]*", text) or len(text) > 255
        return
    assert re.fullmatch("[A-Za-z][A-Za-z0-9]*", written)


def test_only_load_balancer_reaches_space():
    for space in (samples.SPACE, samples.SPACE_WITH_ALL):
        (rule,) = resources(space)["SecurityGroup"]["Properties"]["SecurityGroupIngress"]
        assert rule["SourceSecurityGroupId"] == {"Ref": "LoadBalancerGroup"}
        assert rule["FromPort"] == rule["ToPort"] == space.port
        assert "CidrIp" not in rule


def test_space_can_pull_image_and_read_secrets_only():
    roles = resources(samples.SPACE_WITH_ALL)
    (policy,) = roles["ExecutionRole"]["Properties"]["Policies"]
    allowed = {each["Sid"]: each["Resource"] for each in policy["PolicyDocument"]["Statement"]}

    assert "Policies" not in resources(samples.SPACE)["TaskRole"]["Properties"]
    assert allowed["ReadSecrets"] == [samples.SECRET]
    assert allowed["ReadParameters"] == [samples.PARAMETER]
    assert allowed["DecryptSecrets"] == [samples.KEY]
    assert "repository/shop/api" in json.dumps(allowed["PullImage"])
    assert [sid for sid, resource in allowed.items() if resource == "*"] == ["LogInToRegistry"]
    plain = resources(samples.SPACE)["ExecutionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert [each["Sid"] for each in plain] == ["WriteLogs"]


def test_https_requires_tls_1_2_and_http_is_redirected():
    made = resources(samples.SECURE_BALANCER)

    assert made["HttpsListener"]["Properties"]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    (action,) = made["HttpListener"]["Properties"]["DefaultActions"]
    assert (action["Type"], action["RedirectConfig"]["Protocol"]) == ("redirect", "HTTPS")


@pytest.mark.parametrize("balancer", [samples.BALANCER, samples.SECURE_BALANCER], ids=["http", "https"])
def test_host_without_space_is_404(balancer: ScopedConstruct):
    listeners = [each for name, each in resources(balancer).items() if name.endswith("Listener")]
    (answer,) = listeners[-1]["Properties"]["DefaultActions"]

    assert answer["FixedResponseConfig"]["StatusCode"] == "404"
