"""The steps of a space's pipeline, with the permissions of the documented role only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.roles import Keys, holding
from exasol_ci_setup.core.errors import AccessDeniedError
from exasol_ci_setup.template.render import parse
from tests.platform.test_space_images import push

pytestmark = pytest.mark.live

# Roles have at most 64 characters, so that CloudFormation shortens names with a long one of a space.
SPACE = "a-space-with-a-name-of-more-than-40-letters"


def documented_template() -> str:
    """The template in the documentation, with a role that the account may assume in place of GitHub, which the sandbox cannot check."""
    page = Path(__file__).parents[2] / "docs" / "registry.md"
    found = parse(page.read_text(encoding="utf-8").partition("```yaml role.yaml\n")[2].partition("```")[0])
    del found["Resources"]["GitHub"]
    (trust,) = found["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    trust.update({"Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": "sts:AssumeRole"})
    del trust["Condition"]
    return json.dumps(found)


@pytest.fixture
def deployed(live):
    """A space that runs an image of its registry, which has a limit of images."""
    context = Context(live)
    registry = naas.registry.create(f"{SPACE}-registry", keep=5, context=context)
    push(live.client("ecr"), registry.name, "1")
    naas.space.create(SPACE, image=f"{registry.uri}:1", domain="example.com", context=context)
    return registry


@pytest.fixture
def pipeline(live, deployed, server):
    """The context of the pipeline's role, while the sandbox enforces policies."""
    parameters = {"Repository": "a/b", "Space": SPACE, "Registry": deployed.name}
    cfn = live.client("cloudformation")
    cfn.create_stack(
        StackName="pipeline",
        TemplateBody=documented_template(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": text} for name, text in parameters.items()],
    )
    cfn.get_waiter("stack_create_complete").wait(StackName="pipeline", WaiterConfig={"Delay": 1})
    (output,) = cfn.describe_stacks(StackName="pipeline")["Stacks"][0]["Outputs"]
    found = live.client("sts").assume_role(RoleArn=output["OutputValue"], RoleSessionName="run")["Credentials"]
    keys = Keys(
        access_key=found["AccessKeyId"],
        secret_key=found["SecretAccessKey"],
        token=found["SessionToken"],
        expiry_time=found["Expiration"].isoformat(),
    )
    role = holding(live, lambda: keys, keys)
    server.control_access(True)
    yield Context(role)
    server.control_access(False)


def test_role_runs_all_steps(pipeline, deployed):
    assert naas.space.get(SPACE, context=pipeline).running == 1
    assert naas.registry.get(deployed.name, context=pipeline).uri == deployed.uri
    assert naas.registry.get_credentials(deployed.name, context=pipeline).password
    push(pipeline.account.client("ecr"), deployed.name, "2")

    updated = naas.space.update(SPACE, image=f"{deployed.uri}:2", context=pipeline)
    rolled_back = naas.space.rollback(SPACE, context=pipeline)

    assert (updated.image, rolled_back.image) == (f"{deployed.uri}:2", f"{deployed.uri}:1")


def test_role_changes_no_other_space(pipeline, deployed, live):
    naas.space.create("other", image=f"{deployed.uri}:1", domain="example.com", context=Context(live))

    with pytest.raises(AccessDeniedError):
        naas.space.update("other", image=f"{deployed.uri}:2", context=pipeline)
    with pytest.raises(AccessDeniedError):
        naas.space.delete(SPACE, context=pipeline)
