"""The translation of errors of the Docker client, and the error for a missing engine."""

from __future__ import annotations

import gc

import docker.errors
import pytest
import requests
import urllib3

from exasol_ci_setup.core.errors import EngineError, EngineUnavailableError
from exasol_ci_setup.docker import engine


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


def test_other_exceptions_pass_through():
    with pytest.raises(KeyError), engine.engine_errors("it failed"):
        raise KeyError("x")


# The client does not close a socket that could not connect.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nowhere/docker.sock", "No such file or directory"),
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("nonsense://x", "Invalid bind address protocol"),
    ],
)
def test_missing_engine_is_reported_with_hint(monkeypatch, host, why):
    monkeypatch.setenv("DOCKER_HOST", host)

    with pytest.raises(EngineUnavailableError) as caught:
        engine.connect(timeout=2)
    gc.collect()

    assert caught.value.message.startswith(f"the Docker engine at {host} cannot be used: ")
    assert why in caught.value.message
    assert "\n" not in caught.value.message
    assert "DOCKER_HOST" in caught.value.hint
