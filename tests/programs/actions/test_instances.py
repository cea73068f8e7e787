"""The public address of an instance, as EC2 reports it."""

from __future__ import annotations

from typing import Any

import pytest

from exasol_ci_setup import Instance, Scope
from exasol_ci_setup.core.clock import SystemClock
from exasol_ci_setup.core.errors import AccessDeniedError, InputError, StackError
from exasol_ci_setup.core.reporter import NullReporter
from exasol_ci_setup.programs import Connections, Declared, Deployment
from exasol_ci_setup.programs.actions import Runtime, use_runtime
from exasol_ci_setup.stacks import network
from tests.answers import AwsError
from tests.templates.samples import PUBLIC_KEY

ID = "i-0123456789abcdef0"


@pytest.fixture
def box(tmp_path):
    (tmp_path / "key.pub").write_text(PUBLIC_KEY, encoding="utf-8")
    scope = Scope(name="team", region="eu-central-1")
    return Instance(scope=scope, name="box", instance_type="t3.micro", path_to_key=str(tmp_path / "key"))


@pytest.fixture
def deployed(box):
    box.set_outputs({"InstanceId": ID, "PublicIp": "203.0.113.1"})
    return box


def described(**values: Any) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [{"InstanceId": ID, **values}]}]}


def stage(account: Any, *, is_dry_run: bool = False) -> Any:
    return use_runtime(Runtime(lambda _scope: account, SystemClock(), lambda _message: None, is_dry_run=is_dry_run))


@pytest.mark.live
def test_address_after_stop_and_start_is_new_one(live, box):
    deployment = Deployment(
        Connections(SystemClock(), lambda _scope: live), NullReporter(), SystemClock(), network.find
    )
    deployment.apply(Declared([box]))
    ec2 = live.client("ec2")
    ids = [box.outputs["InstanceId"]]

    with stage(live):
        first = box.public_ip
        ec2.stop_instances(InstanceIds=ids)
        with pytest.raises(StackError, match=f"has no public address: {ids[0]} is stopped") as stopped:
            box.run_command("true")
        ec2.start_instances(InstanceIds=ids)
        second = box.public_ip

    (instance,) = ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
    assert first == box.outputs["PublicIp"]
    assert second == instance["PublicIpAddress"] != first
    assert f"`aws ec2 start-instances --instance-ids {ids[0]} --region eu-central-1`" in stopped.value.hint


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        (described(State={"Name": "running"}), "is running", "aws ec2 describe-instances"),
        (described(State={"Name": "terminated"}), "is terminated", "exasol-ci-setup drift team-box"),
        ({"Reservations": []}, "is missing", "exasol-ci-setup drift team-box"),
        (AwsError("InvalidInstanceID.NotFound", "no such id"), "is missing", "exasol-ci-setup drift team-box"),
    ],
)
def test_instance_without_address_fails_with_hint(answers, deployed, answer, said, hint):
    answers.on("ec2", "DescribeInstances", answer)

    with stage(answers.account), pytest.raises(StackError, match=said) as caught:
        _ = deployed.public_ip

    assert hint in caught.value.hint
    (call,) = answers.calls
    assert call.params == {"InstanceIds": [ID]}


def test_missing_permission_to_describe_is_access_denied(answers, deployed):
    answers.on("ec2", "DescribeInstances", AwsError("UnauthorizedOperation", "not authorized"))

    with stage(answers.account), pytest.raises(AccessDeniedError):
        _ = deployed.public_ip


def test_address_before_deployment_exits_2(answers, box):
    with stage(answers.account), pytest.raises(InputError, match="not deployed yet"):
        _ = box.public_ip


def test_address_in_dry_run_is_output_placeholder(answers, deployed):
    with stage(answers.account, is_dry_run=True):
        assert deployed.public_ip == "203.0.113.1"
    assert answers.calls == []
