"""The HTTP interface of the container manager with valid and invalid requests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.manager import NOTHING, Manager, on_engine

pytestmark = pytest.mark.engine

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, image: str):
    images = {"server": {"context": False, "commands": [f"FROM {image}", 'CMD ["sleep", "1000"]']}}
    running = Manager(tmp_path_factory.mktemp("requests"), images)
    yield running
    running.end()
    assert on_engine() == NOTHING


def test_answers_conform_to_openapi_document(manager, tmp_path):
    ran = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{manager.port}/openapi.json"),
            # /shutdown would end the manager. One container cannot be started with every possible port.
            *("--exclude-path", "/shutdown", "--max-examples", "60", "--generation-deterministic", "--no-color"),
            *("--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    assert "500" not in {line.rpartition(" ")[2] for line in manager.log.read_text().splitlines()}
    assert "Traceback" not in manager.log.read_text()


@pytest.mark.parametrize(
    ("body", "code", "why"),
    [
        (b"", "BadRequest", "the body must be a JSON object, with the content type application/json"),
        (b"{", "BadJSON", "the body is not JSON: Expecting property name enclosed in double quotes"),
        (b"[]", "BadRequest", "the body must be a JSON object, with the content type application/json"),
        (b'{"ports": []}', "BadRequest", "image: it is required"),
        (b'{"image": "server"}', "BadRequest", "ports: it is required"),
        (b'{"image": 5, "ports": []}', "BadRequest", "image: use text"),
        (b'{"image": "server", "ports": [], "lock": "yes"}', "BadRequest", "lock: use true or false"),
        (b'{"image": "server", "ports": [], "luck": true}', "BadRequest", "luck: unknown field"),
        (b'{"image": "server", "ports": [80, {}]}', "BadRequest", "ports[1]: {} is not a port: write "),
        (b'{"image": "server", "ports": ["\\ud800"]}', "BadRequest", "ports[0]: "),
        (b"\xff\xfe", "BadJSON", "the body is not JSON: "),
        (b"1" * 10000, "BadRequest", ""),
        (b"[" * 100000, "BadRequest", ""),
    ],
)
def test_invalid_request_is_reported_with_path_and_reason(manager, body, code, why):
    answer = manager.http.post("/start_container", content=body, headers=JSON)

    assert (answer.status_code, answer.json()["error_code"]) == (400, code)
    assert answer.json()["error"]["message"].startswith(why)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_other_content_type_is_bad_request(manager, kind):
    body = b'{"image": "server", "ports": []}'

    answer = manager.http.post("/start_container", content=body, headers={"Content-Type": kind})
    without = manager.http.post("/start_container", content=body)

    assert (answer.status_code, answer.json()["error_code"]) == (400, "BadRequest")
    assert without.status_code == 400


@pytest.mark.parametrize("name", ["none", "", "\ud800", "../server"])
def test_unknown_image_is_reported_with_available_images(manager, name):
    body = json.dumps({"image": name, "ports": []}).encode()
    for path in ("/start_container", "/stop_container", "/unlock_container"):
        if path != "/start_container":
            body = json.dumps({"image": name}).encode()

        answer = manager.http.post(path, content=body, headers=JSON)

        assert answer.status_code == 404
        assert answer.json()["error_code"] == "NoSuchImage"
        assert answer.json()["error"]["available"] == ["server"]
        assert answer.json()["error"]["wanted"] == name


def test_other_paths_return_404_and_other_methods_405(manager):
    for path in ("/", "/start_container/", "/redoc", "/%ff"):
        answer = manager.http.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "NotFound")
    answer = manager.http.get("/start_container")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_openapi_document_has_page(manager):
    assert "Container manager" in manager.http.get("/docs").text
    described = manager.http.get("/openapi.json").json()
    assert set(described["paths"]["/start_container"]["post"]["responses"]) == {
        "200",
        "400",
        "403",
        "404",
        "408",
        "409",
        "413",
        "502",
        "503",
    }
