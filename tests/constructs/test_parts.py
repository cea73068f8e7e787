"""What services, rules, instances and builders accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from exasol_ci_setup.errors import InputError
from tests.templates.samples import PUBLIC_KEY

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
CONTAINER = Container(source="nginx", tag="1")


def refused(cls: Any, **values: Any) -> str:
    with pytest.raises(InputError) as caught:
        build(cls, **values)
    return caught.value.message


def service(**values: Any) -> dict[str, Any]:
    return {"name": "web", "container": CONTAINER, **values}


def test_the_other_tools_spellings_are_accepted():
    cls: Any = Container
    container = cls(
        source="nginx", tag="1", startCommand="a 'b c'", portMappings=[PortMappings(container_port=80, host_port=80)]
    )
    assert container.command == ("a", "b c")
    assert container.port_mappings[0].container_port == 80
    made: Any = Service
    assert made(name="web", container=container, envVars={"A": "1"}).env_vars == {"A": "1"}
    assert made(name="web", container=container, environmentVariables={"A": "1"}).env_vars == {"A": "1"}


def test_a_port_of_the_host_that_is_not_the_containers_is_refused_since_fargate_has_none():
    assert "must be the container's" in refused(PortMappings, container_port=80, host_port=8080)


def test_a_port_twice_is_refused():
    ports = (PortMappings(container_port=80), PortMappings(container_port=80))
    assert "a port stands twice" in refused(Container, source="nginx", tag="1", port_mappings=ports)


@pytest.mark.parametrize("command", ["", "  ", "echo 'a"])
def test_a_command_that_is_no_command_is_refused(command: str):
    assert refused(Container, source="nginx", tag="1", start_command=command).startswith("--start-command")


@pytest.mark.parametrize("source", ["", "nginx:1", "a b", "https://nginx", "UPPER/Case", "x/../y", "-x"])
def test_a_name_that_is_no_image_is_refused(source: str):
    assert "--source" in refused(Container, source=source, tag="1")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/a/b", "ecr:eu-central-1:123456789012:repository/a/b"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a", "ecr:cn-north-1:123456789012:repository/a"),
        ("public.ecr.aws/nginx/nginx", None),
        ("localhost:5000/a", None),
    ],
)
def test_a_repository_of_ecr_is_known_by_its_name(source: str, expected: str | None):
    assert Container(source=source, tag="1").ecr_resource == expected


@pytest.mark.parametrize(("cpu", "memory"), [(cpu, memory) for cpu, all_of in MEMORY.items() for memory in all_of][::7])
def test_every_size_that_fargate_has_is_accepted(cpu: Any, memory: int):
    assert build(Service, **service(cpu=cpu, memory=memory)).memory == memory


@pytest.mark.parametrize(("cpu", "memory"), [(256, 4096), (512, 512), (1024, 2500), (16384, 16384)])
def test_a_size_that_fargate_does_not_have_is_refused_with_those_that_it_has(cpu: int, memory: int):
    assert f"with {cpu} units of cpu Fargate takes" in refused(Service, **service(cpu=cpu, memory=memory))


def test_a_variable_that_is_a_secret_too_is_refused_without_its_value():
    said = refused(Service, **service(env_vars={"A": "hush"}, secrets={"A": SECRET}))
    assert said == "what is given is not acceptable: A cannot be a variable and a secret at once"


def test_services_whose_resources_would_have_one_name_are_refused():
    services = tuple(Service(name=name, container=CONTAINER) for name in ("my-web", "MyWeb"))
    assert "two services are called" in refused(Cluster, name="a", services=services)


@pytest.mark.parametrize("cls", [Ingress, Egress])
@pytest.mark.parametrize(
    ("values", "said"),
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
def test_a_rule_that_ec2_would_not_take_is_refused(cls: Any, values: dict[str, Any], said: str):
    rule = {"from_port": 80, "to_port": 443, "protocol": "tcp", "cidr_ip": ("10.0.0.0/8",)}
    assert said in refused(cls, **{**rule, **values})


def test_a_rule_twice_is_refused_as_ec2_would():
    def rule(*blocks: str) -> Ingress:
        return Ingress(from_port=80, to_port=80, protocol="tcp", cidr_ip=blocks)

    twice = (rule("10.0.0.0/8", "::/0"), rule("10.0.0.0/8"))
    assert "a rule stands twice" in refused(SecurityGroup, name="group", ingresses=twice)
    assert SecurityGroup(name="group", ingresses=(rule("10.0.0.0/8"), rule("::/0"))).ingresses


@pytest.mark.parametrize("repo", ["your-repo", "exasol/slc", "https://github.com/exasol/slc"])
def test_a_repository_is_named_in_one_of_three_ways(repo: str):
    assert GitHubRepo(name="repo", repo=repo, branch="main").repo == repo


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a b", "a.lock", "/a", "a/", "a.", "a^"])
def test_a_name_that_git_does_not_take_for_a_branch_is_refused(branch: str):
    assert "--branch" in refused(GitHubRepo, name="repo", repo="exasol/slc", branch=branch)


def test_a_folder_has_the_ignore_file_of_git_unless_another_is_named():
    assert LocalDirectory(name="here", path=".").ignorefile == ".gitignore"


def test_tags_that_move_are_few_and_different():
    assert "at most 5" in refused(Registry, name="a", mutable_tags=tuple("abcdef"))
    assert "at most 5" in refused(Registry, name="a", mutable_tags=("a", "a"))
    assert "asterisks" in refused(Registry, name="a", mutable_tags=("a*b*c*",))


def test_a_builder_takes_the_names_of_a_bucket_and_a_repository_that_are_there():
    from exasol_ci_setup.constructs import BuildkitBuilder

    builder = BuildkitBuilder(name="buildkit")
    made = ContainerBuilder(name="b", asset="my-archives", builder=builder, registry="shop/images")
    assert made.given == {"BucketName": "my-archives", "RepositoryName": "shop/images"}
    assert made.inputs == {}
    assert "--registry" in refused(ContainerBuilder, name="b", asset="my-archives", builder=builder, registry="UPPER")


# --- Instances --------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key.pub").write_text(f"{PUBLIC_KEY} me@home\n", encoding="utf-8")
    return tmp_path / "key"


def instance(key: Path | str, **values: Any) -> Instance:
    return build(Instance, **{"name": "box", "instance_type": "t3.micro", "path_to_key": str(key), **values})


def test_only_the_public_half_of_the_key_is_read_and_without_its_comment(key: Path):
    assert not key.exists()
    assert instance(key).public_key == PUBLIC_KEY
    assert instance(f"{key}.pub").public_key == PUBLIC_KEY
    assert instance(f"{key}.pub").private_key_file == key


def test_another_key_is_another_pair(key: Path):
    first = instance(key).key_name
    (key.parent / "key.pub").write_text(PUBLIC_KEY[:-6] + "AAAAA=", encoding="utf-8")
    assert instance(key).key_name != first


def test_a_missing_public_half_is_told_with_the_command_that_makes_it(tmp_path: Path):
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
def test_what_ec2_does_not_import_is_refused_and_not_repeated(key: Path, text: str):
    (key.parent / "key.pub").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="no public key that EC2 imports") as caught:
        _ = instance(key).public_key
    assert "abc" not in caught.value.message.replace(str(key), "")


def test_a_public_half_that_is_no_text_is_refused(key: Path):
    (key.parent / "key.pub").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is no text"):
        _ = instance(key).public_key


def test_ssh_is_opened_to_a_block_that_is_named_and_to_no_other(key: Path):
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
def test_the_image_is_of_the_architecture_that_the_type_has(key: Path, kind: str, architecture: str):
    assert instance(key, instance_type=kind).architecture == architecture


def test_a_container_runs_the_image_of_a_builder_or_one_with_a_tag(image_builder):
    assert Container(source=image_builder).registry is image_builder.registry
    assert "the hash of its source" in refused(Container, source=image_builder, tag="latest")
    assert "tag is required" in refused(Container, source="nginx")
    assert "tag is required" in refused(Container, source=Registry(name="images"))


def test_what_may_be_text_or_a_construct_is_refused_in_one_line():
    rule = "use the name of an image without its tag, such as public.ecr.aws/nginx/nginx"

    assert refused(Container, source="-x", tag="1") == f"--source '-x' is not acceptable: {rule}"
    assert refused(Container, source=5, tag="1") == "--source 5 is not acceptable: use text"
    assert "--scope" in refused(Registry, name="a b", scope="nothing")
    assert "--security-groups.0 'x'" in refused(Cluster, name="a", services=(), security_groups=["x"])


def test_a_builder_whose_image_is_run_has_a_source_and_a_registry_of_the_program(image_builder):
    without_source = image_builder.model_copy(update={"asset": Asset(name="source")})
    by_name = {"asset": "some-bucket", "registry": "some/repository"}

    assert "needs an Asset with a source" in refused(Container, source=without_source)
    for field, name in by_name.items():
        assert "the container builder needs" in refused(
            Container, source=image_builder.model_copy(update={field: name})
        )


def test_a_cluster_depends_on_the_builders_of_its_images_and_takes_their_tags(image_builder):
    cluster = Cluster(name="c", services=(Service(name="web", container=Container(source=image_builder)),))

    assert cluster.builders == (image_builder,)
    assert cluster.dependencies == (image_builder.registry, image_builder)
    with pytest.raises(InputError, match="the image of ContainerBuilder 'image' is not known yet"):
        _ = cluster.given
    image_builder.set_image_tag("abc")
    assert cluster.given == {"ImageTag1": "abc"}


@pytest.fixture
def image_builder():
    scope = Scope(name="team", region="eu-central-1")
    return ContainerBuilder(
        name="image",
        asset=Asset(scope=scope, name="source", source=LocalDirectory(scope=scope, name="here", path=".")),
        builder=BuildkitBuilder(scope=scope, name="host"),
        registry=Registry(scope=scope, name="registry"),
    )
