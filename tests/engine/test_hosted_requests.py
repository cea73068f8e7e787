"""The hosted API with generated valid and invalid requests: none is answered with 500."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from exasol_ci_setup.containers.hosted.auth import MAX_WRONG_KEYS
from tests.engine.conftest import need
from tests.engine.hosted import DOMAIN, KEY, Host

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

PATHS = (
    *("/", "/new", "/redeploy", "/rollback", "/get", "/releases", "/stop", "/run", "/add_domain", "/remove_domain"),
    *("/logs", "/delete"),
)
EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


@pytest.fixture(scope="module")
def busy_host(images: None) -> Iterator[Host]:  # noqa: ARG001 - loads the images into the engine
    """A host with apps."""
    need("nginx", "curl")
    host = Host()
    try:
        host.start_nginx()
        host.start("--answer-within", "2s")
        host.new("demo:1", "app1")
        host.new("demo:1", "app2")
        yield host
        log = host.log.read_text()
        assert "Traceback" not in log
        assert " 500 " not in log
    finally:
        host.close()


@pytest.fixture(scope="module")
def description(busy_host: Host) -> Any:
    found = schemathesis.openapi.from_dict(busy_host.curl("/openapi.json").json)
    found.config.update(base_url="http://127.0.0.1", request_timeout=60)
    return found


def requests_for(description: Any, path: str) -> st.SearchStrategy[schemathesis.Case[Any]]:
    """Return valid and invalid requests for a path of the OpenAPI document."""
    operation = description[path]["get" if path == "/" else "post"]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])


@pytest.mark.parametrize("path", PATHS)
def test_answers_with_key_conform_to_openapi_document(description: Any, path: str):
    # Each valid example of these two deploys an app.
    @settings(EXAMPLES, max_examples=10 if path in {"/redeploy", "/rollback"} else 25)
    @given(case=requests_for(description, path), chance=st.randoms(use_true_random=False))
    def ask(case: schemathesis.Case[Any], chance: random.Random) -> None:
        before = copy.deepcopy(case.body)
        # Make some requests refer to existing apps and images.
        if isinstance(case.body, dict):
            if isinstance(case.body.get("secret", 0), str | None):
                case.body["secret"] = KEY
            if isinstance(case.body.get("name"), str) and chance.random() < 0.7:
                case.body["name"] = chance.choice(["app1", "app2", "app3"])
            if isinstance(case.body.get("image"), str) and chance.random() < 0.7:
                case.body["image"] = chance.choice(["demo:1", "demo:2", "broken:1"])
        case.headers.update({"Host": DOMAIN, "Authorization": f"Bearer {KEY}"})
        # A changed body may be valid or invalid, so these two checks do not apply.
        changed = case.body != before
        case.call_and_validate(excluded_checks=[positive_data_acceptance, negative_data_rejection] if changed else [])

    ask()


@pytest.mark.parametrize("path", PATHS)
def test_requests_without_key_are_rejected(description: Any, path: str):
    @EXAMPLES
    @given(case=requests_for(description, path))
    def ask(case: schemathesis.Case[Any]) -> None:
        case.headers.update({"Host": DOMAIN})
        response = case.call()
        assert response.status_code in ({200} if path == "/" else {400, 403, 429})

    ask()


def test_limit_of_wrong_keys_applies(busy_host: Host):
    for number in range(MAX_WRONG_KEYS):
        busy_host.curl("/stop", {"name": "app1"}, key=f"wrong {number}")

    assert busy_host.curl("/stop", {"name": "app1"}, key="wrong").status == 429
    assert busy_host.curl("/logs", {"name": "app0"}).status == 404
