"""Task definitions of templates, and one-off tasks without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.stacks import deploy

if TYPE_CHECKING:
    from exasol_ci_setup.aws.session import Account

pytestmark = pytest.mark.live

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:db-a1B2c3"
DEFINITION = {
    "Type": "AWS::ECS::TaskDefinition",
    "Properties": {
        "Family": "job",
        "Cpu": "256",
        "Memory": "512",
        "RuntimePlatform": {"CpuArchitecture": "ARM64"},
        "Volumes": [
            {
                "Name": "data",
                "EFSVolumeConfiguration": {"FilesystemId": "fs-1", "AuthorizationConfig": {"IAM": "ENABLED"}},
            }
        ],
        "ContainerDefinitions": [
            {
                "Name": "job",
                "Image": "job:1",
                "Secrets": [{"Name": "PASSWORD", "ValueFrom": SECRET}],
                "HealthCheck": {"Command": ["CMD-SHELL", "true"], "StartPeriod": 5},
                "DependsOn": [{"ContainerName": "other", "Condition": "SUCCESS"}],
                "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "/job"}},
            }
        ],
    },
}


def test_task_definition_of_template_has_names_of_api(live: Account) -> None:
    deploy(live.client("cloudformation"), "Job", {"Resources": {"Definition": DEFINITION}})
    found = live.client("ecs").describe_task_definition(taskDefinition="job")["taskDefinition"]
    [container] = found["containerDefinitions"]
    assert container["secrets"] == [{"name": "PASSWORD", "valueFrom": SECRET}]
    assert container["healthCheck"] == {"command": ["CMD-SHELL", "true"], "startPeriod": 5}
    assert container["dependsOn"] == [{"containerName": "other", "condition": "SUCCESS"}]
    assert container["logConfiguration"]["options"] == {"awslogs-group": "/job"}
    assert found["runtimePlatform"] == {"cpuArchitecture": "ARM64"}
    [volume] = found["volumes"]
    assert volume["efsVolumeConfiguration"] == {"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}}
