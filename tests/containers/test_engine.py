"""How what the Docker client raises becomes an error of ours, and how an engine that is not there is told."""

from __future__ import annotations

import gc

import docker.errors
import pytest
import requests
import urllib3

from exasol_ci_setup.containers import engine
from exasol_ci_setup.errors import EngineError, EngineUnavailable


def answer(status: int) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    return response


def test_the_engines_own_message_and_status_are_kept():
    with pytest.raises(EngineError) as caught, engine.told("no container can be made of x"):
        raise docker.errors.APIError("500 Server Error", answer(409), explanation="the name is in use\n")

    assert caught.value.message == "no container can be made of x: the name is in use"
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
def test_every_other_error_of_the_client_is_translated_too(raised):
    with pytest.raises(EngineError) as caught, engine.told("it failed"):
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
def test_an_engine_that_does_not_answer_any_more_is_told_apart(raised):
    with pytest.raises(EngineUnavailable) as caught, engine.told("it failed"):
        raise raised

    assert caught.value.message == "it failed: the Docker engine does not answer: no file"


def test_what_is_not_the_clients_passes_through():
    with pytest.raises(KeyError), engine.told("it failed"):
        raise KeyError("x")


# The client leaves the socket that did not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("unix:///nowhere/docker.sock", "No such file or directory"),
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("nonsense://x", "Invalid bind address protocol"),
    ],
)
def test_no_engine_is_one_line_and_a_hint(monkeypatch, host, why):
    monkeypatch.setenv("DOCKER_HOST", host)

    with pytest.raises(EngineUnavailable) as caught:
        engine.connect(timeout=2)
    gc.collect()

    assert caught.value.message.startswith("the Docker engine cannot be used: ")
    assert why in caught.value.message
    assert "\n" not in caught.value.message
    assert "DOCKER_HOST" in caught.value.hint
