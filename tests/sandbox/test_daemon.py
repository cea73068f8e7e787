"""Tests of the process of the sandbox: start, search, stop, saved state, reset, and its network interface."""

from __future__ import annotations

import functools
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from exasol_ci_setup import sandbox
from exasol_ci_setup.core.errors import InputError, SandboxError
from exasol_ci_setup.core.origin import install_command
from exasol_ci_setup.sandbox import daemon
from exasol_ci_setup.sandbox.launch import LOG_FILE, PORT_FILE, launch
from exasol_ci_setup.sandbox.ports import listen
from exasol_ci_setup.sandbox.server import Server
from exasol_ci_setup.sandbox.settings import DELAY_VARIABLE, FAIL_VARIABLE, Settings
from tests.sandbox.codebuild import batch, create_project, statuses
from tests.sandbox.codebuild import run as run_batch
from tests.sandbox.codebuild import start as start_batch
from tests.sandbox.conftest import Account
from tests.sandbox.stacks import CREDENTIALS, buckets, deploy, plan

pytestmark = pytest.mark.live

reads_proc = pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc")
ENSURE = "from exasol_ci_setup import sandbox; print(sandbox.ensure().pid)"


def client(service: str) -> Any:
    endpoint = sandbox.ensure()
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.account,
        aws_secret_access_key="any",
    )


def answers(endpoint: sandbox.Endpoint) -> bool:
    """Return whether a server listens at the address. A process id would also exist for a zombie."""
    address = ("127.0.0.1", int(endpoint.url.rpartition(":")[2]))
    with socket.socket() as connection:
        return connection.connect_ex(address) == 0


def listening_addresses(process: int) -> list[str]:
    """Return the addresses on which a process listens, in the format of /proc."""
    inodes = {
        str(link.readlink()).removeprefix("socket:[").removesuffix("]")
        for link in Path(f"/proc/{process}/fd").iterdir()
        if link.is_symlink()
    }
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{process}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found


def connections(port: int) -> list[str]:
    """Return the established connections to a local port, in the format of /proc."""
    rows = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return [row for row in rows if row.split()[2] == f"0100007F:{port:04X}" and row.split()[3] == "01"]


def test_no_process_or_file_exists_before_start(state_dir: Path) -> None:
    assert sandbox.find() is None
    assert sandbox.stop() is sandbox.StopResult.NOT_RUNNING
    sandbox.reset()
    assert not state_dir.exists()


def test_running_sandbox_is_found_and_not_started_again(state_dir: Path) -> None:
    endpoint = sandbox.ensure()
    assert sandbox.ensure() == sandbox.find() == endpoint
    assert endpoint.state_dir == state_dir
    assert endpoint.pid != os.getpid()
    assert answers(endpoint)
    assert sandbox.stop() is sandbox.StopResult.SAVED
    assert not answers(endpoint)
    assert sandbox.find() is None
    assert not (state_dir / daemon.ENDPOINT_FILE).exists()


def test_sandbox_is_started_by_process_with_many_open_files(state_dir: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    # select() takes descriptors below 1,024 only.
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        endpoint = sandbox.ensure()
        assert endpoint.state_dir == state_dir
        assert answers(endpoint)
    finally:
        for each in files:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_concurrent_starts_create_one_sandbox(state_dir: Path) -> None:
    def ensure(_number: int) -> str:
        return subprocess.run([sys.executable, "-c", ENSURE], check=True, capture_output=True, text=True).stdout

    with ThreadPoolExecutor(4) as pool:
        processes = set(pool.map(ensure, range(4)))
    endpoint = sandbox.find()
    assert endpoint is not None
    assert processes == {f"{endpoint.pid}\n"}
    assert endpoint.state_dir == state_dir


def test_concurrent_starts_in_several_directories_all_succeed(tmp_path: Path) -> None:
    directories = [tmp_path / str(number) for number in range(4)]

    def run(command: str, directory: Path) -> str:
        environment = {**os.environ, daemon.DIRECTORY_VARIABLE: str(directory)}
        return subprocess.run(
            [sys.executable, "-c", command], env=environment, check=True, capture_output=True, text=True
        ).stdout

    started = "from exasol_ci_setup import sandbox; sandbox.ensure(); print(sandbox.find().url)"
    try:
        with ThreadPoolExecutor(len(directories)) as pool:
            assert len(set(pool.map(functools.partial(run, started), directories))) == len(directories)
    finally:
        for directory in directories:
            run("from exasol_ci_setup import sandbox; sandbox.stop()", directory)


def test_port_that_another_server_uses_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        class PlanOutdatedError(socket.socket):
            """A socket whose port another socket uses between `bind` and `listen`."""

            def bind(self, address: Any) -> None:
                super().bind(address)
                other.listen()

        monkeypatch.setattr(socket, "socket", PlanOutdatedError)
        with listen((port,)) as listening:
            assert listening.getsockname()[1] != port


READY = """
import asyncio, sys
from exasol_ci_setup.sandbox.server import Application

async def receive(): return {}
async def send(message): pass

def ready(): print("ministack.services.cloudformation" in sys.modules, "docker.api" in sys.modules)

asyncio.run(Application("", persistent=True, on_ready=ready)({"type": "lifespan"}, receive, send))
"""


def test_sandbox_is_ready_after_loading_services_without_docker_sdk(state_dir: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", READY],
        env={**os.environ, "PERSIST_STATE": "1", "STATE_DIR": str(state_dir), "LOG_LEVEL": "WARNING"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "True False\n"


@reads_proc
def test_sandbox_listens_on_loopback_only(state_dir: Path) -> None:
    assert state_dir.name == "sandbox"
    assert listening_addresses(sandbox.ensure().pid) == ["0100007F"]


def test_state_directory_is_private(state_dir: Path) -> None:
    deploy(client("cloudformation"), "Stack", buckets("A"))
    sandbox.stop()
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    services = list((state_dir / daemon.SERVICES_DIR).iterdir())
    assert services
    assert {stat.S_IMODE(file.stat().st_mode) for file in services} == {0o600}


def test_state_and_port_survive_restart(state_dir: Path) -> None:
    first = sandbox.ensure()
    deploy(client("cloudformation"), "Credentials", CREDENTIALS)
    deploy(client("cloudformation"), "Stack", buckets(A="a-bucket-that-stays"))
    client("s3").put_object(Bucket="a-bucket-that-stays", Key="k", Body=b"content")
    client("secretsmanager").delete_secret(SecretId="Dockerhub", ForceDeleteWithoutRecovery=True)
    sandbox.stop()
    second = sandbox.ensure()
    assert (second.url, second.state_dir) == (first.url, state_dir)
    assert second.pid != first.pid
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackName"]: stack["StackStatus"] for stack in stacks} == {
        "Credentials": "CREATE_COMPLETE",
        "Stack": "CREATE_COMPLETE",
    }
    assert client("s3").get_object(Bucket="a-bucket-that-stays", Key="k")["Body"].read() == b"content"
    assert len(client("codebuild").list_source_credentials()["sourceCredentialsInfos"]) == 1
    assert [s["Name"] for s in client("secretsmanager").list_secrets()["SecretList"]] == ["github"]


def test_kill_keeps_state_and_fails_running_operations(state_dir: Path) -> None:
    first = sandbox.ensure()
    cloudformation = client("cloudformation")
    deploy(cloudformation, "Done", buckets("A"))
    saved = state_dir / daemon.SERVICES_DIR / "cloudformation.json"
    while not (saved.exists() and '"CREATE_COMPLETE"' in saved.read_text(encoding="utf-8")):
        time.sleep(0.02)
    sandbox.stop()
    sandbox.ensure(delay=60)
    change_set = plan(cloudformation, "Running", buckets("B"))
    cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    while '"CREATE_IN_PROGRESS", "StackStatusReason"' not in saved.read_text(encoding="utf-8"):
        time.sleep(0.02)
    running = sandbox.find()
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    assert sandbox.find() is None
    third = sandbox.ensure()
    assert len({first.pid, running.pid, third.pid}) == 3
    states = {
        stack["StackName"]: stack["StackStatus"] for stack in client("cloudformation").describe_stacks()["Stacks"]
    }
    assert states == {"Done": "CREATE_COMPLETE", "Running": "CREATE_FAILED"}


def test_stop_keeps_ended_builds_and_fails_running_ones(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAIL_VARIABLE, "build_two:INSTALL")
    account = Account(Server(sandbox.ensure(build_seconds=0).url), sandbox.ensure().account)
    create_project(account)
    before = run_batch(account)
    assert statuses(before) == {"build_one": "SUCCEEDED", "build_two": "FAILED", "build_three": "SUCCEEDED"}
    sandbox.stop()
    assert sandbox.ensure(build_seconds=60).url == account.server.url
    running = start_batch(account)
    alone = account.client("codebuild").start_build(projectName="Slc")["build"]["id"]
    assert not batch(account, running)["complete"]
    sandbox.stop()
    assert sandbox.ensure().state_dir == state_dir
    assert batch(account, before["id"]) == before
    ended = batch(account, running)
    assert (ended["buildBatchStatus"], ended["complete"], ended["currentPhase"]) == ("FAULT", True, "FAILED")
    assert {group["currentBuildSummary"]["buildStatus"] for group in ended["buildGroups"]} == {"FAULT"}
    build = account.client("codebuild").batch_get_builds(ids=[alone])["builds"][0]
    assert (build["buildStatus"], build["currentPhase"]) == ("FAULT", "COMPLETED")
    assert build["phases"][-2]["contexts"][0]["message"] == "The sandbox was stopped during this build"
    account.close()


def test_reset_ends_running_builds(state_dir: Path) -> None:
    account = Account(Server(sandbox.ensure(build_seconds=0.5).url), sandbox.ensure().account)
    create_project(account)
    batch_id = start_batch(account)
    sandbox.reset()
    assert account.client("logs").describe_log_groups()["logGroups"] == []
    # After the end of this batch, the batch from before the reset would have ended too.
    create_project(account)
    later = run_batch(account)
    codebuild = account.client("codebuild")
    assert codebuild.batch_get_build_batches(ids=[batch_id])["buildBatchesNotFound"] == [batch_id]
    builds = codebuild.batch_get_builds(ids=codebuild.list_builds()["ids"])["builds"]
    assert {build["buildBatchArn"] for build in builds} == {later["arn"]}
    assert state_dir.exists()
    account.close()


def test_reset_empties_running_sandbox_and_disk(state_dir: Path) -> None:
    deploy(client("cloudformation"), "Stack", buckets(A="a-bucket-that-goes"))
    process = sandbox.ensure().pid
    sandbox.reset()
    assert sandbox.ensure().pid == process
    assert client("cloudformation").describe_stacks()["Stacks"] == []
    assert client("s3").list_buckets()["Buckets"] == []
    assert len(client("secretsmanager").list_secrets()["SecretList"]) == 2
    sandbox.stop()
    sandbox.ensure()
    assert client("cloudformation").describe_stacks()["Stacks"] == []
    assert state_dir.exists()


def test_reset_of_stopped_sandbox_empties_disk(state_dir: Path) -> None:
    deploy(client("cloudformation"), "Stack", buckets("A"))
    sandbox.stop()
    sandbox.reset()
    assert not (state_dir / daemon.SERVICES_DIR).exists()
    assert client("cloudformation").describe_stacks()["Stacks"] == []


def test_record_of_other_server_is_rejected(state_dir: Path) -> None:
    endpoint = sandbox.ensure()
    record = state_dir / daemon.ENDPOINT_FILE
    record.write_text(json.dumps(json.loads(record.read_text()) | {"instance": "another"}), encoding="utf-8")
    with pytest.raises(SandboxError, match="runs but does not answer: another server"):
        sandbox.find()
    record.write_text("{", encoding="utf-8")
    with pytest.raises(SandboxError, match="runs but does not answer"):
        sandbox.find(seconds=0.1)
    # The lock shows that the sandbox runs, so it can be stopped.
    assert sandbox.stop() is sandbox.StopResult.SAVED
    assert not answers(endpoint)


def test_suspended_sandbox_is_running_but_does_not_answer(state_dir: Path) -> None:
    endpoint = sandbox.ensure()
    os.kill(endpoint.pid, signal.SIGSTOP)
    with pytest.raises(SandboxError, match=f"process {endpoint.pid}. runs but does not answer") as caught:
        sandbox.find(seconds=0.2)
    assert "`exasol-ci-setup sandbox stop`" in caught.value.hint
    assert str(state_dir / LOG_FILE) in caught.value.hint


@reads_proc
def test_resumed_sandbox_answers_waiting_command(state_dir: Path) -> None:
    endpoint = sandbox.ensure()
    os.kill(endpoint.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(sandbox.find)
        port = int(endpoint.url.rpartition(":")[2])
        while not connections(port):
            assert not found.done(), found.result()
            time.sleep(0.01)
        os.kill(endpoint.pid, signal.SIGCONT)
        assert found.result() == endpoint
    assert endpoint.state_dir == state_dir


def test_stop_resumes_suspended_sandbox_which_saves_its_state(state_dir: Path) -> None:
    endpoint = sandbox.ensure()
    deploy(client("cloudformation"), "Stack", buckets("A"))
    os.kill(endpoint.pid, signal.SIGSTOP)
    assert sandbox.stop() is sandbox.StopResult.SAVED
    assert '"CREATE_COMPLETE"' in (state_dir / daemon.SERVICES_DIR / "cloudformation.json").read_text()


HOLDS_LOCK = """
import fcntl, os, pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with pathlib.Path(sys.argv[1]).open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write(str(os.getpid()))
    lock.flush()
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_process_that_ignores_sigterm_is_killed(state_dir: Path) -> None:
    state_dir.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_LOCK, state_dir / daemon.RUNNING_LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"holds\n"
        with pytest.raises(SandboxError, match="runs but does not answer"):
            sandbox.find(seconds=0.1)
        assert sandbox.stop(seconds=0.1) is sandbox.StopResult.KILLED
        assert process.wait() == -signal.SIGKILL
    assert sandbox.find() is None


def test_record_of_killed_sandbox_is_ignored(state_dir: Path) -> None:
    first = sandbox.ensure()
    os.kill(first.pid, signal.SIGKILL)
    while daemon._is_running(state_dir):
        time.sleep(0.01)
    assert (state_dir / daemon.ENDPOINT_FILE).exists()
    assert sandbox.find() is None
    assert sandbox.stop() is sandbox.StopResult.NOT_RUNNING
    assert sandbox.ensure().pid != first.pid


def test_used_port_is_replaced_at_start(state_dir: Path) -> None:
    first = sandbox.ensure()
    sandbox.stop()
    port = int(first.url.rpartition(":")[2])
    with socket.socket() as occupied:
        occupied.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        occupied.bind(("127.0.0.1", port))
        occupied.listen()
        assert sandbox.ensure().url != first.url
    assert (state_dir / PORT_FILE).read_text() != str(port)


def test_unrelated_variables_do_not_change_process(state_dir: Path) -> None:
    foreign = {
        "MINISTACK_HOST": "elsewhere",
        "AWS_PROFILE": "nosuch",
        "PERSIST_STATE": "0",
        "http_proxy": "http://127.0.0.1:1",
    }
    subprocess.run([sys.executable, "-c", ENSURE], env={**os.environ, **foreign}, check=True, capture_output=True)
    deploy(client("cloudformation"), "Stack", buckets("A"))
    sandbox.stop()
    assert (state_dir / daemon.SERVICES_DIR / "cloudformation.json").exists()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_process_environment_has_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("GITHUB_TOKEN", "DOCKER_PASSWORD", "AWS_SECRET_ACCESS_KEY", "SOME_KEY", "PYTHON_TOKEN")
    for name in secrets:
        monkeypatch.setenv(name, "s3cret-of-the-user")
    endpoint = sandbox.ensure()
    assert endpoint.state_dir.name == "sandbox"
    held = Path(f"/proc/{endpoint.pid}/environ").read_bytes()
    assert held
    assert b"s3cret" not in held


def test_environment_bypasses_proxy(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = daemon.Endpoint("http://127.0.0.1:1", 1, "eu-central-1", "111122223333", state_dir, state_dir / "log")
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "no_proxy" not in sandbox.environment(endpoint)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "example.org")
    variables = sandbox.environment(endpoint)
    assert variables["no_proxy"] == variables["NO_PROXY"] == "example.org,127.0.0.1"


def test_web_page_cannot_reset_sandbox(state_dir: Path) -> None:
    deploy(client("cloudformation"), "Stack", buckets("A"))
    connection = http.client.HTTPConnection(sandbox.ensure().url.removeprefix("http://"))
    for path in (daemon.RESET_PATH, "/_ministack/reset"):
        connection.request("POST", path, headers={"Origin": "https://example.org"})
        response = connection.getresponse()
        response.read()
        assert response.status == 403
    connection.close()
    assert len(client("cloudformation").describe_stacks()["Stacks"]) == 1
    assert state_dir.exists()


def test_failed_start_names_reason_and_log(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / daemon.RUNNING_LOCK).mkdir()
    with pytest.raises(SandboxError, match="Is a directory") as caught:
        launch(state_dir, Settings(), 60)
    assert str(state_dir / LOG_FILE) in caught.value.hint
    shutil.rmtree(state_dir)


def test_missing_extra_is_named_with_install_command(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # None marks a missing module for the import system.
    monkeypatch.setitem(sys.modules, "ministack", None)
    state_dir.mkdir()
    with pytest.raises(SandboxError) as caught:
        launch(state_dir, Settings(), 60)
    assert caught.value.hint == f"`{install_command('sandbox')}`"


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "3601"])
def test_invalid_delay_is_rejected(text: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DELAY_VARIABLE, text)
    with pytest.raises(InputError, match=DELAY_VARIABLE):
        sandbox.ensure()
    assert not state_dir.exists()


def test_directory_follows_xdg_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(daemon.DIRECTORY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/some/state")
    assert daemon.state_directory() == Path("/some/state/exasol-ci-setup/sandbox")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert daemon.state_directory() == Path.home() / ".local/state/exasol-ci-setup/sandbox"


def test_import_of_package_needs_no_extra() -> None:
    code = "import sys, exasol_ci_setup.sandbox; print([m for m in ('ministack', 'hypercorn', 'boto3') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown == "[]\n"


@pytest.mark.skipif(shutil.which("aws") is None, reason="needs the AWS CLI")
def test_aws_cli_lists_stacks(state_dir: Path) -> None:
    deploy(client("cloudformation"), "Stack", buckets("A"))
    unset = sandbox.misleading_variables()
    shown = subprocess.run(
        ["aws", "cloudformation", "describe-stacks", "--query", "Stacks[].StackName", "--output", "json"],
        env={name: value for name, value in os.environ.items() if name not in unset}
        | sandbox.environment(sandbox.ensure()),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(shown) == ["Stack"]
    assert state_dir.exists()
