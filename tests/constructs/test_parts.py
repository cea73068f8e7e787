"""Validation of services, rules, instances and builders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    Egress,
    GitHubRepo,
    Ingress,
    Instance,
    LocalDirectory,
    PortMappings,
    Registry,
    Scope,
    SecurityGroup,
    Service,
    build,
)
from exasol_ci_setup.constructs.service import MEMORY
from exasol_ci_setup.core.errors import InputError
from tests.templates.samples import PUBLIC_KEY

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
CONTAINER = Container(source="nginx", tag="1")


def error_of(cls: Any, **values: Any) -> str:
    with pytest.raises(InputError) as caught:
        build(cls, **values)
    return caught.value.message


def service(**values: Any) -> dict[str, Any]:
    return {"name": "web", "container": CONTAINER, **values}


def test_camel_case_names_are_accepted():
    cls: Any = Container
    container = cls(
        source="nginx", tag="1", startCommand="a 'b c'", portMappings=[PortMappings(container_port=80, host_port=80)]
    )
    assert container.command == ("a", "b c")
    assert container.port_mappings[0].container_port == 80
    made: Any = Service
    assert made(name="web", container=container, envVars={"A": "1"}).env_vars == {"A": "1"}
    assert made(name="web", container=container, environmentVariables={"A": "1"}).env_vars == {"A": "1"}


def test_different_host_port_is_rejected():
    assert "must equal the container's" in error_of(PortMappings, container_port=80, host_port=8080)


def test_duplicate_port_is_rejected():
    ports = (PortMappings(container_port=80), PortMappings(container_port=80))
    assert "duplicate port" in error_of(Container, source="nginx", tag="1", port_mappings=ports)


@pytest.mark.parametrize("command", ["", "  ", "echo 'a"])
def test_invalid_command_is_rejected(command: str):
    assert error_of(Container, source="nginx", tag="1", start_command=command).startswith("--start-command")


@pytest.mark.parametrize("source", ["", "nginx:1", "a b", "https://nginx", "UPPER/Case", "x/../y", "-x"])
def test_invalid_image_name_is_rejected(source: str):
    assert "--source" in error_of(Container, source=source, tag="1")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/a/b", "ecr:eu-central-1:123456789012:repository/a/b"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a", "ecr:cn-north-1:123456789012:repository/a"),
        ("public.ecr.aws/nginx/nginx", None),
        ("localhost:5000/a", None),
    ],
)
def test_ecr_repository_is_detected_by_name(source: str, expected: str | None):
    assert Container(source=source, tag="1").ecr_resource == expected


@pytest.mark.parametrize(("cpu", "memory"), [(cpu, memory) for cpu, all_of in MEMORY.items() for memory in all_of][::7])
def test_every_fargate_size_is_accepted(cpu: Any, memory: int):
    assert build(Service, **service(cpu=cpu, memory=memory)).memory == memory


@pytest.mark.parametrize(("cpu", "memory"), [(256, 4096), (512, 512), (1024, 2500), (16384, 16384)])
def test_unsupported_size_is_rejected_with_supported_ones(cpu: int, memory: int):
    assert f"with {cpu} units of cpu Fargate supports" in error_of(Service, **service(cpu=cpu, memory=memory))


def test_variable_and_secret_of_same_name_are_rejected():
    message = error_of(Service, **service(env_vars={"A": "hush"}, secrets={"A": SECRET}))
    assert message == "the combination of values is invalid: A cannot be both a variable and a secret"


def test_services_with_same_logical_id_are_rejected():
    services = tuple(Service(name=name, container=CONTAINER) for name in ("my-web", "MyWeb"))
    assert "two services have the name" in error_of(Cluster, name="a", services=services)


@pytest.mark.parametrize("cls", [Ingress, Egress])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"from_port": 443, "to_port": 80}, "must not be above the last"),
        ({"from_port": -1}, "must not be above the last"),
        ({"to_port": 65_536}, "use -1 to 65535"),
        ({"protocol": "http"}, "use tcp, udp"),
        ({"protocol": "256"}, "use tcp, udp"),
        ({"cidr_ip": ("10.0.0.1/8",)}, "use a block of addresses"),
        ({"cidr_ip": ("10.0.0.1",)}, "with its length"),
        ({"cidr_ip": ("everywhere",)}, "use a block of addresses"),
        ({"cidr_ip": ()}, "needs a block of addresses"),
    ],
)
def test_invalid_rule_is_rejected(cls: Any, values: dict[str, Any], message: str):
    rule = {"from_port": 80, "to_port": 443, "protocol": "tcp", "cidr_ip": ("10.0.0.0/8",)}
    assert message in error_of(cls, **{**rule, **values})


def test_duplicate_rule_is_rejected():
    def rule(*blocks: str) -> Ingress:
        return Ingress(from_port=80, to_port=80, protocol="tcp", cidr_ip=blocks)

    twice = (rule("10.0.0.0/8", "::/0"), rule("10.0.0.0/8"))
    assert "duplicate rule" in error_of(SecurityGroup, name="group", ingresses=twice)
    assert SecurityGroup(name="group", ingresses=(rule("10.0.0.0/8"), rule("::/0"))).ingresses


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("tcp", 80, "10.0.0.0/8"), ("6", 80, "10.0.0.0/8")),
        (("tcp", 80, "::/0"), ("tcp", 80, "0::/0")),
        (("icmpv6", -1, "::/0"), ("58", -1, "::/0")),
        (("50", 1, "10.0.0.0/8"), ("050", 2, "10.0.0.0/8")),
        (("-1", 0, "10.0.0.0/8"), ("-1", -1, "10.0.0.0/8")),
    ],
)
def test_rule_in_other_spelling_is_duplicate(first: tuple[str, int, str], second: tuple[str, int, str]):
    rules = [
        Ingress(from_port=port, to_port=port, protocol=protocol, cidr_ip=[block])
        for protocol, port, block in (first, second)
    ]
    assert "duplicate rule" in error_of(SecurityGroup, name="group", ingresses=rules)


@pytest.mark.parametrize("second", [("17", 80, "10.0.0.0/8"), ("6", 81, "10.0.0.0/8"), ("6", 80, "10.0.0.0/9")])
def test_overlapping_rules_are_accepted(second: tuple[str, int, str]):
    rules = [
        Ingress(from_port=80, to_port=port, protocol=protocol, cidr_ip=[block])
        for protocol, port, block in (("tcp", 80, "10.0.0.0/8"), second)
    ]
    assert SecurityGroup(name="group", ingresses=rules).ingresses


def test_cluster_accepts_four_security_groups():
    groups = [f"sg-0123456789abcde0{number}" for number in range(5)]
    web = Service(name="web", container=CONTAINER)
    assert Cluster(name="a", services=[web], security_groups=groups[:4]).security_groups
    assert "at most 4 security groups" in error_of(Cluster, name="a", services=[web], security_groups=groups)


def test_cluster_accepts_sixteen_subnets():
    subnets = [f"subnet-0123456789abcde{number:02}" for number in range(17)]
    web = Service(name="web", container=CONTAINER)
    assert Cluster(name="a", services=[web], subnet_ids=subnets[:16]).subnet_ids
    assert "at most 16 subnets" in error_of(Cluster, name="a", services=[web], subnet_ids=subnets)
    scope = Scope(name="shop", region="eu-central-1", vpc_id="vpc-0123456789abcdef0", subnet_ids=subnets)
    assert "at most 16 subnets" in error_of(Cluster, scope=scope, name="a", services=[web])


def test_instance_with_many_security_groups_has_note(tmp_path: Path):
    groups = [f"sg-0123456789abcde0{number}" for number in range(5)]

    def notes(**values: Any) -> tuple[str, ...]:
        key = str(tmp_path / "key")
        return Instance(name="box", instance_type="t3.micro", path_to_key=key, security_groups=groups, **values).notes

    assert notes() == ()
    assert "6 security groups" in notes(ssh=True, ssh_cidr="203.0.113.7/32")[0]


@pytest.mark.parametrize("text", ["a\x00b", "a\x1bb", "\ud800"])
def test_control_character_in_variable_is_rejected(text: str):
    assert "control characters" in error_of(Service, **service(env_vars={"A": text}))
    assert Service(**service(env_vars={"A": "a\n\tb"})).env_vars == {"A": "a\n\tb"}


def test_single_value_in_place_of_list_is_one_error():
    web = Service(name="web", container=CONTAINER)
    assert error_of(Cluster, name="a", services=web) == "--services is invalid: use a list of Service"
    assert "use a list of SecurityGroup or text" in error_of(Cluster, name="a", services=[web], security_groups="sg-1")


def test_wrong_construct_is_one_error_with_types():
    scope = Scope(name="shop", region="eu-central-1")
    assert error_of(Container, source=scope, tag="1") == "--source is invalid: use Registry, ContainerBuilder or text"
    assert error_of(Asset, name="a", source=scope) == "--source is invalid: use GitHubRepo or LocalDirectory"


def test_path_object_is_accepted():
    assert LocalDirectory(name="here", path=Path("src")).path == "src"


@pytest.mark.parametrize("repo", ["your-repo", "exasol/slc", "https://github.com/exasol/slc"])
def test_repository_has_three_spellings(repo: str):
    assert GitHubRepo(name="repo", repo=repo, branch="main").repo == repo


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a b", "a.lock", "/a", "a/", "a.", "a^"])
def test_invalid_branch_name_is_rejected(branch: str):
    assert "--branch" in error_of(GitHubRepo, name="repo", repo="exasol/slc", branch=branch)


def test_default_ignore_file_is_gitignore():
    assert LocalDirectory(name="here", path=".").ignorefile == ".gitignore"


def test_mutable_tags_are_limited_and_unique():
    assert "at most 5" in error_of(Registry, name="a", mutable_tags=tuple("abcdef"))
    assert "at most 5" in error_of(Registry, name="a", mutable_tags=("a", "a"))
    assert "asterisks" in error_of(Registry, name="a", mutable_tags=("a*b*c*",))


def test_builder_accepts_names_of_bucket_and_repository():
    builder = BuildkitBuilder(name="buildkit")
    made = ContainerBuilder(name="b", asset="my-archives", builder=builder, registry="shop/images")
    assert made.static_parameters == {"BucketName": "my-archives", "RepositoryName": "shop/images"}
    assert made.parameter_sources == {}
    assert "--registry" in error_of(ContainerBuilder, name="b", asset="my-archives", builder=builder, registry="UPPER")


# --- Instances --------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(f"{PUBLIC_KEY} me@home\n", encoding="utf-8")
    return tmp_path / "key"


def instance(key: Path | str, **values: Any) -> Instance:
    return build(Instance, **{"name": "box", "instance_type": "t3.micro", "path_to_key": str(key), **values})


def test_public_key_is_read_without_comment(key: Path):
    assert not key.exists()
    assert instance(key).public_key == PUBLIC_KEY
    assert instance(f"{key}.pub").public_key == PUBLIC_KEY
    assert instance(f"{key}.pub").private_key_file == key


def test_key_pair_name_depends_on_key(key: Path):
    first = instance(key).key_name
    (key.parent / "key.pub").write_text(PUBLIC_KEY[:-6] + "AAAAA=", encoding="utf-8")
    assert instance(key).key_name != first


def test_missing_public_key_is_reported_with_command(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot be read: No such file") as caught:
        _ = instance(tmp_path / "key").public_key
    assert "ssh-keygen -y -f" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256 AAAA",
        "ssh-ed25519 !!!",
        PUBLIC_KEY.replace("ssh-ed25519 ", "ssh-rsa "),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n",
    ],
)
def test_unsupported_public_key_is_rejected_and_not_shown(key: Path, text: str):
    (key.parent / "key.pub").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="contains no RSA or Ed25519 public key") as caught:
        _ = instance(key).public_key
    assert "abc" not in caught.value.message.replace(str(key), "")


def test_binary_public_key_is_rejected(key: Path):
    (key.parent / "key.pub").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not text"):
        _ = instance(key).public_key


def test_root_device_is_that_of_image(key: Path):
    assert instance(key, image_id="ami-0123456789abcdef0", root_device="/dev/xvda").root_device == "/dev/xvda"
    with pytest.raises(InputError, match="another root_device needs image_id"):
        build(Instance, name="box", instance_type="t3.micro", path_to_key=str(key), root_device="/dev/xvda")


def test_ssh_needs_block_of_addresses(key: Path):
    assert instance(key, ssh=True, ssh_cidr="203.0.113.7/32").has_own_group
    with pytest.raises(InputError, match="ssh needs ssh_cidr"):
        instance(key, ssh=True)
    with pytest.raises(InputError, match="no effect without ssh"):
        instance(key, ssh_cidr="203.0.113.7/32")


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [
        *[
            (kind, "amd64")
            for kind in ("t3.micro", "m7i.large", "g4dn.xlarge", "p4d.24xlarge", "u-6tb1.metal", "gr6.4xlarge")
        ],
        *[
            (kind, "arm64")
            for kind in ("t4g.nano", "c7gn.large", "a1.metal", "im4gn.large", "x2gd.medium", "g5g.xlarge")
        ],
    ],
)
def test_image_has_architecture_of_instance_type(key: Path, kind: str, architecture: str):
    assert instance(key, instance_type=kind).architecture == architecture


def test_container_image_has_builder_or_tag(image_builder):
    assert Container(source=image_builder).registry is image_builder.registry
    assert "the hash of its source" in error_of(Container, source=image_builder, tag="latest")
    assert "tag is required" in error_of(Container, source="nginx")
    assert "tag is required" in error_of(Container, source=Registry(name="images"))


def test_invalid_text_or_construct_is_one_line():
    rule = "use the name of an image without its tag, such as public.ecr.aws/nginx/nginx"

    assert error_of(Container, source="-x", tag="1") == f"--source '-x' is invalid: {rule}"
    assert error_of(Container, source=5, tag="1") == "--source 5 is invalid: use Registry, ContainerBuilder or text"
    assert "--scope" in error_of(Registry, name="a b", scope="nothing")
    assert "--security-groups.0 'x'" in error_of(Cluster, name="a", services=(), security_groups=["x"])


def test_builder_of_running_image_needs_source_and_registry(image_builder):
    without_source = image_builder.model_copy(update={"asset": Asset(name="source")})
    by_name = {"asset": "some-bucket", "registry": "some/repository"}

    assert "needs an Asset with a source" in error_of(Container, source=without_source)
    for field, name in by_name.items():
        assert "the container builder needs" in error_of(
            Container, source=image_builder.model_copy(update={field: name})
        )


def test_cluster_depends_on_builders_and_uses_their_tags(image_builder):
    cluster = Cluster(name="c", services=(Service(name="web", container=Container(source=image_builder)),))

    assert cluster.builders == (image_builder,)
    assert cluster.dependencies == (image_builder.registry, image_builder)
    with pytest.raises(InputError, match="the image of ContainerBuilder 'image' is not known yet"):
        _ = cluster.static_parameters
    image_builder.set_image_tag("abc")
    assert cluster.static_parameters == {"ImageTag1": "abc"}


@pytest.fixture
def image_builder():
    scope = Scope(name="team", region="eu-central-1")
    return ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path=".")),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="registry"),
    )
