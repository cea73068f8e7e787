"""Helpers: a CodeBuild project, and its builds and batches."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.session
import botocore.validate
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.sandbox.conftest import Account

Shown = TypeVar("Shown")

URL = "https://github.com/exasol/some-repository"
ROLE = "arn:aws:iam::111122223333:role/build"
TWO = """\
version: 0.2
batch:
  build-graph:
    - identifier: first
      env: {variables: {FLAVOR: one}, compute-type: BUILD_GENERAL1_MEDIUM, privileged-mode: true}
    - identifier: second
      depend-on: [first]
phases:
  install: {commands: [echo installed]}
  build: {commands: [echo one, "./build $FLAVOR"]}
"""


def create_project(account: Account, **settings: Any) -> None:
    """Create the project Slc, with a role for batches, by API."""
    account.client("codebuild").create_project(
        **{
            "name": "Slc",
            "serviceRole": ROLE,
            "source": {"type": "GITHUB", "location": URL, "buildspec": "ci/buildspec.yaml"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:8.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            "buildBatchConfig": {"serviceRole": ROLE},
            **settings,
        }
    )


def has_source(account: Account, directory: Path, files: dict[str, str]) -> None:
    """Write `files` to `directory`, and register it for the project's repository."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    account.server.sources[account.number] = {f"{URL}.git": directory}


def graph(*tasks: dict[str, Any], **batch: Any) -> str:
    """Return the text of a buildspec with a build graph of `tasks`."""
    phases = {"build": {"commands": ["echo built"]}}
    return yaml.safe_dump({"version": 0.2, "batch": {"build-graph": list(tasks), **batch}, "phases": phases})


def start(account: Account, **request: Any) -> str:
    """Start a batch and return its id."""
    started = account.client("codebuild").start_build_batch(**{"projectName": "Slc", **request})
    return str(started["buildBatch"]["id"])


def batch(account: Account, batch_id: str) -> dict[str, Any]:
    """Return a batch as in BatchGetBuildBatches."""
    found: list[dict[str, Any]] = account.client("codebuild").batch_get_build_batches(ids=[batch_id])["buildBatches"]
    (only,) = found
    return only


def build(account: Account, build_id: str) -> dict[str, Any]:
    """Return a build as in BatchGetBuilds."""
    found: list[dict[str, Any]] = account.client("codebuild").batch_get_builds(ids=[build_id])["builds"]
    (only,) = found
    return only


def until(show: Callable[[], Shown], condition: Callable[[Shown], bool]) -> Shown:
    """Poll `show` until its result fulfills `condition`, and return the result."""
    while not condition(shown := show()):
        time.sleep(0.01)
    return shown


def ended(account: Account, batch_id: str) -> dict[str, Any]:
    """Wait for the end of a batch and return it."""
    return until(lambda: batch(account, batch_id), lambda shown: bool(shown["complete"]))


def run(account: Account, **request: Any) -> dict[str, Any]:
    """Start a batch, wait for its end, and return it."""
    return ended(account, start(account, **request))


def statuses(shown: dict[str, Any]) -> dict[str, str]:
    """Return the status of each group of a batch, except the one that reads the buildspec."""
    return {
        group["identifier"]: group["currentBuildSummary"]["buildStatus"]
        for group in shown["buildGroups"]
        if group["identifier"] != "DOWNLOAD_SOURCE"
    }


def build_of(account: Account, shown: dict[str, Any], identifier: str) -> dict[str, Any]:
    """Return the build of a group of a batch."""
    (group,) = (group for group in shown["buildGroups"] if group["identifier"] == identifier)
    return build(account, group["currentBuildSummary"]["arn"])


def phases(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """Return type and status of each phase of a build or batch. The current and the last phase have no status."""
    return [(phase["phaseType"], phase.get("phaseStatus", "")) for phase in shown["phases"]]


def log(account: Account, shown: dict[str, Any]) -> list[str]:
    """Return the messages in a build's log stream, without the agent's times."""
    events = account.client("logs").get_log_events(
        logGroupName=shown["logs"]["groupName"], logStreamName=shown["logs"]["streamName"], startFromHead=True
    )["events"]
    lines = [event["message"].rstrip("\n") for event in events]
    return [line.split(" ", 3)[3] if line.startswith("[Container]") else line for line in lines]


def send(account: Account, operation: str, **request: Any) -> dict[str, Any]:
    """Send a request that botocore might reject, and return the raw response."""
    connection = http.client.HTTPConnection(account.server.url.removeprefix("http://"))
    connection.request(
        "POST",
        "/",
        body=json.dumps(request),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"CodeBuild_20161006.{operation}",
            "Authorization": "AWS4-HMAC-SHA256 "
            f"Credential={account.number}/20260101/{account.server.region}/codebuild/aws4_request, "
            "SignedHeaders=host, Signature=none",
        },
    )
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    assert response.status == 200, answer
    return answer


def raw(account: Account, operation: str, **request: Any) -> dict[str, Any]:
    """Send a request, check that the response has exactly the members and types of the API, and return it."""
    answer = send(account, operation, **request)
    model = botocore.session.get_session().get_service_model("codebuild")
    shape = model.operation_model(operation).output_shape
    assert shape is not None
    # The model requires an id in each list of ids, but responses can have empty lists, as in the AWS CLI reference.
    report = botocore.validate.ParamValidator().validate(_without_empty_lists(answer), shape)
    assert not report.has_errors(), report.generate_report()
    return answer


def _without_empty_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty_lists(item) for name, item in value.items() if item != []}
    return [_without_empty_lists(item) for item in value] if isinstance(value, list) else value
