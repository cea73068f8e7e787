"""A web application: two services behind a load balancer, whose images are built from the folders web and api."""

from __future__ import annotations

from pathlib import Path

from exasol_ci_setup import (
    Asset,
    BuildkitBuilder,
    Cluster,
    Container,
    ContainerBuilder,
    HealthCheck,
    LoadBalancer,
    LocalDirectory,
    PortMappings,
    Registry,
    Scaling,
    Scope,
    Service,
    Stack,
)

HERE = Path(__file__).parent
SCOPE = Scope(name="shop", region="eu-central-1", tags={"team": "web"})


def image(name: str) -> Container:
    """Return the container that is built from the folder with this name, and listens on port 8080."""
    builder = ContainerBuilder(
        name=f"{name}-image",
        asset=Asset(
            scope=SCOPE, name=f"{name}-source", source=LocalDirectory(scope=SCOPE, name=name, path=HERE / name)
        ),
        builder=BuildkitBuilder(scope=SCOPE, name=f"{name}-host"),
        registry=Registry(scope=SCOPE, name=f"{name}-images"),
    )
    return Container(source=builder, port_mappings=[PortMappings(container_port=8080)])


def hangar_run() -> None:
    """Deploy the application."""
    # AWS generates the password, so that it is in no file. The program uses only the ARN of the secret.
    secret = Stack(
        scope=SCOPE,
        name="database-secret",
        template={
            "Resources": {
                "Secret": {
                    "Type": "AWS::SecretsManager::Secret",
                    "Properties": {
                        "GenerateSecretString": {
                            "SecretStringTemplate": '{"user": "shop"}',
                            "GenerateStringKey": "password",
                            "ExcludePunctuation": True,
                        }
                    },
                }
            },
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Secret", "Id"]}}},
        },
    )
    balancer = LoadBalancer(scope=SCOPE, name="front")
    web = Service(
        name="web",
        container=image("web"),
        load_balancer=balancer,
        env_vars={"API": f"http://{balancer.dns_name}/api"},
        scaling=Scaling(min_count=2, max_count=6, requests=600),
    )
    api = Service(
        name="api",
        container=image("api"),
        load_balancer=balancer,
        path="/api",
        health_check=HealthCheck(path="/api/health.txt", grace_period=120),
        secrets={"DB_USER": f"{secret.Arn}:user::", "DB_PASSWORD": f"{secret.Arn}:password::"},
        cpu=512,
        memory=1024,
        scaling=Scaling(min_count=1, max_count=4, cpu_percentage=60),
    )
    Cluster(scope=SCOPE, name="services", services=[web, api]).deploy()
    print(f"http://{balancer.dns_name}")
