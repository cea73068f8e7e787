"""The commands of the platform: storages, secrets, registries and spaces."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.contract import scenario
from tests.contract.scenario import PREFIX, SPACE, TAG, WORKSPACE

pytestmark = pytest.mark.contract

_STORAGE = ("--workspace-id", WORKSPACE, "--storage-name", "files")
_MEGABYTE = 1_000_000
_TAG = ("--tag", "=".join(TAG))


@pytest.fixture
def storage(endpoint):
    """A storage, deleted with its bucket afterwards."""
    endpoint.run("storage", "create", *_STORAGE, *_TAG, "--yes")
    yield
    endpoint.run("storage", "delete", *_STORAGE, "--empty", "--yes")
    endpoint.run("delete", f"workspace-{WORKSPACE}", "--empty", "--yes")


def _interrupt_download(endpoint, name: str) -> bool:
    """Start a download and kill it after its first parts. Return whether it was incomplete."""
    for old in endpoint.folder.glob(f".{name}.*"):
        old.unlink()
    words = ("storage", "get-object", *_STORAGE, "--source", name, "--destination", name)
    process = subprocess.Popen(
        [sys.executable, "-m", "exasol_ci_setup", *words],
        cwd=endpoint.folder,
        env=dict(endpoint.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not any(
        part.stat().st_size > 20 * _MEGABYTE for part in endpoint.folder.glob(f".{name}.*.part")
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    return not (endpoint.folder / name).exists()


def test_storage_round_trip_resumes_download(endpoint, storage):
    content = os.urandom(64 * _MEGABYTE)
    (endpoint.folder / "sent").write_bytes(content)
    endpoint.run("storage", "put-object", *_STORAGE, "--source", "sent", "--destination", "got")
    (endpoint.folder / "sent").unlink()

    assert _interrupt_download(endpoint, "got"), "the download ended before it was interrupted"
    ran = endpoint.run("storage", "get-object", *_STORAGE, "--source", "got", "--destination", "got")

    assert "resuming after" in ran.stderr
    assert (endpoint.folder / "got").read_bytes() == content


@pytest.mark.quick
def test_secret_is_stored_changed_and_deleted(endpoint):
    name = ("--name", f"{PREFIX}-secret")
    endpoint.run("secret", "create", *name, *_TAG, "--value", "-", stdin="one")
    try:
        assert endpoint.run("secret", "get", *name).stdout.strip() == "one"
        endpoint.run("secret", "set", *name, "--value", "-", stdin="two")
        assert endpoint.run("secret", "get", *name).stdout.strip() == "two"
        assert f"{PREFIX}-secret" in endpoint.run("secret", "list").stdout
    finally:
        endpoint.run("secret", "delete", *name, "--yes")
    assert endpoint.run("secret", "get", *name, code=1).stdout == ""


@pytest.fixture
def registry(endpoint):
    """A registry, deleted afterwards."""
    endpoint.run("registry", "create", "--name", PREFIX, *_TAG, "--yes")
    yield
    endpoint.run("registry", "delete", "--name", PREFIX, "--yes")


def test_password_of_registry_is_printed(endpoint, registry):
    user, password, address = endpoint.run("registry", "get-credentials", "--name", PREFIX).stdout.split()[1::2][:3]

    assert user == "AWS"
    assert password
    assert ".dkr.ecr." in address or address.startswith("127.0.0.1")


def test_registry_accepts_its_password(endpoint, registry):
    user, password, address = endpoint.run("registry", "get-credentials", "--name", PREFIX).stdout.split()[1::2][:3]
    key = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"https://{address.partition('/')[0]}/v2/", headers={"Authorization": f"Basic {key}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def space(whole_run):
    """A space with a public image, deleted with its load balancer afterwards."""
    try:
        yield whole_run.run("space", "create", "--name", SPACE, "--image", scenario.IMAGE, *_TAG, "--yes")
    finally:
        whole_run.run("space", "delete", "--name", SPACE, "--yes", code=None)
        whole_run.run("delete", "spaces-load-balancer", "--yes", code=None)


def test_space_is_deployed_and_listed(endpoint, space):
    assert SPACE in endpoint.run("space", "list").stdout


def test_space_is_updated(endpoint, space):
    endpoint.run("space", "update", "--name", SPACE, "--env", "GREETING=hello", "--yes")

    assert "GREETING" in endpoint.run("space", "get", "--name", SPACE).stdout


def test_url_of_space_answers(endpoint, space):
    shown = endpoint.run("space", "get", "--name", SPACE).stdout
    url = next(word for word in shown.split() if word.startswith("http"))
    for _ in endpoint.poll(120 if endpoint.kind == "aws" else 1):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert b"nginx" in answer.read()
                return
        except OSError:
            continue
