"""The translation of errors of the Docker client, and the error for a missing engine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import docker.errors
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError, PortTakenError
from exasol_ci_setup.docker import engine
from tests.docker import engine_server

DIGEST = f"sha256:{'0' * 64}"


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    return response


def test_engine_error_keeps_message_and_status():
    with pytest.raises(EngineError) as caught, engine.engine_errors("no container can be created from x"):
        raise docker.errors.APIError("500 Server Error", answer(409), explanation="the name is in use\n")

    assert caught.value.message == "no container can be created from x: the name is in use"
    assert caught.value.status == 409


@pytest.mark.parametrize(
    "raised",
    [
        docker.errors.DockerException("odd"),
        docker.errors.BuildError("odd", iter(())),
        requests.exceptions.ChunkedEncodingError("odd"),
        urllib3.exceptions.ProtocolError("odd"),
        requests.exceptions.InvalidURL("odd"),
    ],
)
def test_other_client_errors_are_translated(raised):
    with pytest.raises(EngineError) as caught, engine.engine_errors("it failed"):
        raise raised

    assert caught.value.message == "it failed: odd"
    assert caught.value.status == 0


@pytest.mark.parametrize(
    "raised",
    [
        requests.exceptions.ConnectionError(
            urllib3.exceptions.ProtocolError("aborted", FileNotFoundError(2, "no file"))
        ),
        requests.exceptions.ReadTimeout("no file"),
    ],
)
def test_lost_engine_is_engine_unavailable(raised):
    with pytest.raises(EngineUnavailableError) as caught, engine.engine_errors("it failed"):
        raise raised

    assert caught.value.message == "it failed: the Docker engine does not answer: no file"


@pytest.mark.parametrize(
    "reason", ["Bind for 0.0.0.0:80 failed: port is already allocated", "bind: address already in use"]
)
def test_port_in_use_is_port_taken(reason):
    with pytest.raises(PortTakenError, match="it failed: "), engine.engine_errors("it failed"):
        raise docker.errors.APIError("500 Server Error", answer(500), explanation=reason)


def test_other_exceptions_pass_through():
    with pytest.raises(KeyError), engine.engine_errors("it failed"):
        raise KeyError("x")


def failed_connection() -> tuple[str, str]:
    """Return message and hint of the error."""
    with pytest.raises(EngineUnavailableError) as caught:
        engine.connect(timeout=2)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nowhere/docker.sock", "No such file or directory"),
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("tcp://127.0.0.1:port", "Port could not be cast"),
        ("nonsense://x", "Invalid bind address protocol"),
    ],
)
def test_missing_engine_is_reported_with_hint(monkeypatch, host, why):
    monkeypatch.setenv("DOCKER_HOST", host)

    message, hint = failed_connection()

    assert message.startswith(f"the Docker engine at {host} cannot be used: ")
    assert why in message
    assert "\n" not in message
    assert "DOCKER_HOST" in hint


@given(host=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_any_invalid_socket_is_engine_unavailable(host):
    with pytest.MonkeyPatch.context() as patch:
        # No address of the network: names are not looked up in a test.
        patch.setenv("DOCKER_HOST", f"unix:///nowhere/{host}")

        assert failed_connection()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_socket_without_permission_hints_at_group(monkeypatch):
    with engine_server.running() as server:
        Path(server.url.removeprefix("unix://")).chmod(0)
        monkeypatch.setenv("DOCKER_HOST", server.url)

        assert "usermod" in failed_connection()[1]


def test_other_server_is_engine_unavailable(monkeypatch):
    with engine_server.running() as server:
        server.version = "hello"
        monkeypatch.setenv("DOCKER_HOST", server.url)

        assert failed_connection()


@pytest.mark.parametrize(
    ("name", "pulled"),
    [
        ("host:5000/a/b", "host:5000/a/b tag latest"),
        ("host:5000/a/b:1.0", "host:5000/a/b tag 1.0"),
        (f"host:5000/a/b:1.0@{DIGEST}", f"host:5000/a/b tag {DIGEST}"),
    ],
)
def test_pull_reports_failure_in_answer(monkeypatch, name, pulled):
    lines: list[str] = []
    with engine_server.running() as server:
        monkeypatch.setenv("DOCKER_HOST", server.url)
        with (
            contextlib.closing(engine.connect()) as client,
            pytest.raises(EngineError, match=f"image {name} cannot be pulled: no such luck"),
        ):
            engine.pull(client, name, lines.append)

    assert lines == [f"layer: pulling {pulled}"]
