"""Samples of each kind of construct, for the tests of their templates."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from exasol_ci_setup.constructs import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    ContainerHealthCheck,
    Egress,
    GitHubRepo,
    HealthCheck,
    Ingress,
    Instance,
    InstanceVolume,
    LoadBalancer,
    PolicyStatement,
    PortMappings,
    Registry,
    Scaling,
    Scope,
    ScopedConstruct,
    SecurityGroup,
    Service,
    Sidecar,
    Space,
    Volume,
)

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/api"
SCOPE = Scope(region="eu-central-1", name="shop")
PUBLIC_KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))).decode()

REGISTRY = Registry(scope=SCOPE, name="images")
IMMUTABLE = Registry(scope=SCOPE, name="images", mutable_tags=(), untagged_retention_in_days=3)
ASSET = Asset(
    scope=SCOPE, name="source", source=GitHubRepo(scope=SCOPE, name="repo", repo="exasol/shop", branch="main")
)
BUILDER = ContainerBuilder(
    name="build", asset=ASSET, builder=BuildkitBuilder(scope=SCOPE, name="buildkit"), registry=REGISTRY
)
BUILDER_IN_NETWORK = ContainerBuilder(
    name="build",
    asset=ASSET,
    builder=BuildkitBuilder(scope=SCOPE, name="buildkit", architecture="arm64"),
    registry=REGISTRY,
    build_secrets={
        "NPM_TOKEN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:npm-a1B2c3:token::",
        "LICENSE": "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/license",
    },
    kms_keys=("arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012",),
    vpc_id="vpc-0123456789abcdef0",
    subnet_ids=("subnet-0123456789abcdef0",),
    security_groups=("sg-0123456789abcdef0",),
)
LIMITED = Registry(scope=SCOPE, name="images", kept_images=50)
BUILDER_WITH_ALL = ContainerBuilder(
    name="build",
    asset=ASSET,
    builder=BuildkitBuilder(scope=SCOPE, name="buildkit"),
    registry=REGISTRY,
    docker_secret="Dockerhub",
    base_registries=(Registry(scope=SCOPE, name="base"), "210987654321.dkr.ecr.us-east-1.amazonaws.com/base/python"),
    build_context="services/web",
    build_arguments={"VERSION": "1"},
)
GROUP = SecurityGroup(
    scope=SCOPE,
    name="office",
    ingresses=(
        Ingress(from_port=443, to_port=443, protocol="tcp", cidr_ip=("10.0.0.0/8", "2001:db8::/32")),
        Ingress(from_port=-1, to_port=-1, protocol="icmp", cidr_ip=("10.0.0.0/8",)),
    ),
)
CLOSED = SecurityGroup(scope=SCOPE, name="closed", egresses=())
NARROW = SecurityGroup(
    scope=SCOPE,
    name="narrow",
    egresses=(Egress(from_port=0, to_port=0, protocol="-1", cidr_ip=("10.0.0.0/8",)),),
)
CLUSTER = Cluster(
    name="services",
    services=(Service(name="web", container=Container(source=REGISTRY, tag="latest")),),
)
BUILT = Cluster(
    name="services",
    services=(
        Service(name="web", container=Container(source=BUILDER)),
        Service(name="worker", container=Container(source=BUILDER, start_command="work")),
        Service(name="old", container=Container(source=REGISTRY, tag="1.0")),
    ),
)
BUILDER.set_image_tag("0" * 64)
MANY = Cluster(
    name="services",
    services=(
        Service(
            name="web",
            container=Container(
                source=REGISTRY,
                tag="sha256:" + "0" * 64,
                start_command="serve --greeting 'hello there'",
                port_mappings=(PortMappings(container_port=80, host_port=80), PortMappings(container_port=443)),
            ),
            env_vars={"MODE": "live", "EMPTY": ""},
            secrets={"PASSWORD": SECRET},
            cpu=1024,
            memory=3072,
            count=3,
        ),
        Service(name="job-runner", container=Container(source=ECR, tag="1.0")),
        Service(name="proxy", container=Container(source="public.ecr.aws/nginx/nginx", tag="1.27")),
    ),
    security_groups=(GROUP, "sg-0123456789abcdef0"),
    public_ip=False,
    log_retention_in_days=90,
)

CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
BALANCER = LoadBalancer(open_ports=True)
SECURE_BALANCER = LoadBalancer(certificate_arn=CERTIFICATE)
LISTENING = Container(source="nginx", tag="1.27", port_mappings=(PortMappings(container_port=8080),))
BEHIND = Cluster(
    scope=SCOPE,
    name="services",
    services=(
        Service(
            name="web",
            container=LISTENING,
            load_balancer=LoadBalancer(scope=SCOPE, name="front", certificate_arn=CERTIFICATE),
            scaling=Scaling(min_count=2, max_count=8, cpu_percentage=60, memory_percentage=70, requests=500),
        ),
        Service(
            name="api",
            container=LISTENING,
            load_balancer=LoadBalancer(scope=SCOPE, name="inner"),
            path="/v1",
            host="api.example.com",
            health_check=HealthCheck(path="/healthz", success_codes="200,204", grace_period=120),
            deregistration_delay=60,
        ),
    ),
)
PARAMETER = "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/mode"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/12345678-1234-1234-1234-123456789012"
OPTIONS = Cluster(
    scope=SCOPE,
    name="services",
    private_domain="shop.internal",
    services=(
        Service(
            name="web",
            container=LISTENING,
            secrets={"PASSWORD": f"{SECRET}:password::", "USER": f"{SECRET}:user::", "MODE": PARAMETER},
            kms_keys=(KEY,),
            architecture="arm64",
            spot=True,
            enable_exec=True,
        ),
        Service(
            name="files",
            container=LISTENING,
            volumes=(
                Volume(file_system_id="fs-0123456789abcdef0", path="/data"),
                Volume(
                    file_system_id="fs-0123456789abcdef1",
                    path="/shared/read",
                    access_point_id="fsap-0123456789abcdef0",
                    read_only=True,
                ),
            ),
        ),
        Service(name="nightly", container=Container(source="nginx", tag="1.27"), schedule="cron(0 3 * * ? *)", count=2),
    ),
)
SIDECARS = Cluster(
    scope=SCOPE,
    name="services",
    services=(
        Service(
            name="web",
            container=Container(
                source="nginx",
                tag="1.27",
                port_mappings=(PortMappings(container_port=80),),
                health_check=ContainerHealthCheck(command="curl -f http://localhost/ || exit 1", start_period=30),
                stop_timeout=60,
            ),
            shared_folders=("/var/cache/site",),
            disk_in_gib=40,
            sidecars=(
                Sidecar(
                    name="app",
                    container=Container(
                        source=BUILDER,
                        port_mappings=(PortMappings(container_port=8080),),
                        health_check=ContainerHealthCheck(command="app check"),
                    ),
                    env_vars={"MODE": "live"},
                    secrets={"PASSWORD": f"{SECRET}:password::"},
                    condition="healthy",
                ),
                Sidecar(
                    name="migration",
                    container=Container(source=ECR, tag="1.0", start_command="migrate"),
                    secrets={"PASSWORD": f"{SECRET}:password::"},
                    volumes=(Volume(file_system_id="fs-0123456789abcdef0", path="/data"),),
                    essential=False,
                    condition="success",
                ),
            ),
        ),
    ),
)
FROM_GROUP = SecurityGroup(
    scope=SCOPE,
    name="database",
    ingresses=(Ingress(from_port=5432, to_port=5432, protocol="tcp", source_group="sg-0123456789abcdef0"),),
)
SPACE = Space(
    name="web",
    load_balancer=BALANCER,
    image="public.ecr.aws/nginx/nginx:1.27",
    release_history='[{"number": 1}]',
)
SPACE_WITH_ALL = Space(
    name="shop",
    load_balancer=SECURE_BALANCER,
    image=f"{ECR}@sha256:" + "0" * 64,
    domain="example.com",
    port=8080,
    env={"MODE": "live", "GREETING": 'hello "there"'},
    secrets={"PASSWORD": SECRET, "SAME": SECRET, "USER": f"{SECRET}:user::", "LEVEL": PARAMETER},
    kms_keys=(KEY,),
    extra_hosts=("example.com", "www.example.com"),
    redirect_hosts=("example.org",),
    task_role_policy=(PolicyStatement(actions=["s3:GetObject"], resources=["arn:aws:s3:::files/key"]),),
    managed_policy_arns=("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",),
    enable_exec=True,
    cpu=1024,
    memory=3072,
    certificate_arn=CERTIFICATE,
    hosted_zone_id="Z0123456789ABCDEFGHIJ",
    priority=12,
    count=3,
    max_count=6,
    health_path="/health",
    health_interval=30,
    grace_period=300,
)


def instances(folder: Path) -> dict[str, Instance]:
    """Return instances whose key is in `folder`, by the names of their golden files."""
    (folder / "key.pub").write_text(f"{PUBLIC_KEY} user@host\n", encoding="utf-8")
    key = str(folder / "key")
    return {
        "instance.yaml": Instance(scope=SCOPE, name="box", instance_type="t3.micro", path_to_key=key),
        "instance_many_options.yaml": Instance(
            scope=SCOPE,
            name="box",
            instance_type="t4g.large",
            path_to_key=key,
            security_groups=(GROUP, "sg-0123456789abcdef0"),
            ssh=True,
            ssh_cidr="2001:db8::/32",
            disk_in_gib=100,
            image_id="ami-0123456789abcdef0",
            root_device="/dev/xvda",
            elastic_ip=True,
        ),
        "instance_private.yaml": Instance(
            scope=SCOPE,
            name="box",
            instance_type="t3.micro",
            path_to_key=key,
            private=True,
            user_data='#!/bin/sh\necho "${HOME}"\n',
            role_policy=(PolicyStatement(actions=("s3:GetObject",), resources=("arn:aws:s3:::bucket/key",)),),
            volumes=(
                InstanceVolume(size_in_gib=100, keep=True),
                InstanceVolume(size_in_gib=50, snapshot_id="snap-0123456789abcdef0"),
            ),
        ),
    }


GOLDEN: dict[str, ScopedConstruct] = {
    "registry.yaml": REGISTRY,
    "registry_immutable.yaml": IMMUTABLE,
    "asset_bucket.yaml": ASSET,
    "container_builder.yaml": BUILDER,
    "container_builder_many_options.yaml": BUILDER_WITH_ALL,
    "container_builder_network.yaml": BUILDER_IN_NETWORK,
    "registry_limited.yaml": LIMITED,
    "security_group.yaml": GROUP,
    "security_group_closed.yaml": CLOSED,
    "security_group_narrow.yaml": NARROW,
    "cluster.yaml": CLUSTER,
    "cluster_built_images.yaml": BUILT,
    "cluster_many_options.yaml": MANY,
    "cluster_load_balanced.yaml": BEHIND,
    "cluster_service_options.yaml": OPTIONS,
    "cluster_sidecars.yaml": SIDECARS,
    "security_group_from_group.yaml": FROM_GROUP,
    "load_balancer.yaml": BALANCER,
    "load_balancer_https.yaml": SECURE_BALANCER,
    "space.yaml": SPACE,
    "space_many_options.yaml": SPACE_WITH_ALL,
}
