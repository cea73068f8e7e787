"""The endpoint of the contract tests, the order of dependent cases, and the expected failures of endpoints that differ from AWS."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.answers import keep_away_from_aws
from tests.contract import cases, scenario
from tests.contract.endpoint import KIND, Endpoint, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.sandbox.server import Server

HERE = Path(__file__).parent
_FAILED = pytest.StashKey[dict[str, str]]()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run the cases of a group in one process."""

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return cases.group_of(nodeid)

    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the expected failures, and without an endpoint select the quick cases."""
    config.stash[_FAILED] = {}
    kind = os.environ.get(KIND)
    own = [item for item in items if item.get_closest_marker("contract")]
    known = cases.failures(kind or "sandbox")
    for item in own:
        if reason := known.get(cases.case_of(item.nodeid)):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    unknown = known.keys() - {cases.case_of(item.nodeid) for item in own}
    if kind is not None and unknown and not config.option.keyword:
        raise pytest.UsageError(f"expected-{kind}.yaml has unknown cases: {', '.join(sorted(unknown))}")
    if kind is None:
        slow = [item for item in own if not item.get_closest_marker("quick")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remember the groups of cases in which one failed."""
    report = yield
    group = item.get_closest_marker("needs")
    if (
        group
        and report.when == "call"
        and call.excinfo is not None
        and not call.excinfo.errisinstance(pytest.skip.Exception)
    ):
        item.config.stash[_FAILED].setdefault(group.args[0], cases.case_of(item.nodeid))
    return report


@pytest.fixture(autouse=True)
def _after_earlier_cases(request: pytest.FixtureRequest) -> None:
    """Skip a case if an earlier one of its group failed, because it depends on it."""
    group = request.node.get_closest_marker("needs")
    failed = request.config.stash[_FAILED].get(group.args[0]) if group else None
    if failed and not group.kwargs.get("always"):
        pytest.skip(f"not run: {failed} failed")


@pytest.fixture(autouse=True)
def _no_aws(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the configuration of AWS away, except for a run against an endpoint."""
    if os.environ.get(KIND) is None and request.node.get_closest_marker("contract") is None:
        keep_away_from_aws(monkeypatch, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def whole_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    """The endpoint of the variable, else a sandbox in a thread of this process."""
    folder = tmp_path_factory.mktemp("contract")
    kind = os.environ.get(KIND)
    if kind is None:
        server: Server = request.getfixturevalue("server")
        empty = str(folder / "no-aws")
        own = {
            **{name: value for name, value in environment().items() if not name.startswith(("AWS_", "EXASOL_"))},
            "AWS_CONFIG_FILE": empty,
            "AWS_SHARED_CREDENTIALS_FILE": empty,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "711122223333",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1",
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HOME": str(folder),
        }
        return Endpoint("sandbox", own, folder)
    return Endpoint(kind, {**environment(), "HOME": os.environ.get("HOME", str(folder))}, folder)


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, whole_run: Endpoint) -> Iterator[Endpoint]:
    """The endpoint, and a record of the commands of this case for the evidence."""
    whole_run.commands.clear()
    yield whole_run
    for each in whole_run.commands:
        request.node.user_properties.append(("command", json.dumps(each)))


@pytest.fixture
def _github_secret(endpoint: Endpoint) -> None:
    """A secret with a dummy token for CodeBuild's access to GitHub, unless the user names one."""
    if scenario.GITHUB_SECRET != scenario.OWN_SECRET:
        return
    create_github_secret(endpoint.client("secretsmanager"))


def create_github_secret(client: Any) -> None:
    """Create the secret with the dummy token unless it exists. Several workers do this at the same time."""
    try:
        client.describe_secret(SecretId=scenario.GITHUB_SECRET)
    except client.exceptions.ResourceNotFoundException:
        text = json.dumps({"user": "contract", "token": "contract-dummy"})
        tags = [{"Key": scenario.TAG[0], "Value": scenario.TAG[1]}]
        with contextlib.suppress(client.exceptions.ResourceExistsException):
            client.create_secret(Name=scenario.GITHUB_SECRET, SecretString=text, Tags=tags)


@pytest.fixture(autouse=True)
def _requirements(request: pytest.FixtureRequest) -> None:
    """Skip a case on AWS if the account lacks what it needs, or if it would change a setting of the account."""
    group = cases.group_of(request.node.nodeid) if request.node.get_closest_marker("contract") else ""
    if os.environ.get(KIND) != "aws" or group != "builds":
        return
    if "[ci-build]" in request.node.nodeid and not {"GITHUB_SECRET", "PROJECT_URL"} <= os.environ.keys():
        pytest.skip("not run: the CI stack needs PROJECT_URL and GITHUB_SECRET")
    if "source" in request.node.nodeid or "[ci-build]" in request.node.nodeid:
        run: Endpoint = request.getfixturevalue("whole_run")
        found = run.client("codebuild").list_source_credentials()["sourceCredentialsInfos"]
        own = run.stack(f"{scenario.PREFIX}-credentials") is not None
        if not own and any(each["serverType"] == "GITHUB" for each in found):
            pytest.skip("not run: the region already has a credential for GitHub")


def reason_in(stderr: str) -> str:
    """Return what a failed command printed after `reason`, `error` or `fix`."""
    return "\n".join(line for line in stderr.splitlines() if re.match(r"\s*(error|reason|fix|hint)\b", line))
