"""The HTTP interface of a container manager on an engine in memory: statuses, locks, and disconnects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exasol_ci_setup.containers.manager import app
from exasol_ci_setup.core.errors import (
    ContainerNotReadyError,
    EngineError,
    EngineUnavailableError,
    ImageNotBuiltError,
    InputError,
    PortTakenError,
)
from tests.containers.fake_engine import Engine, Request, run, settle

if TYPE_CHECKING:
    from exasol_ci_setup.containers.manager.manager import Manager

ONE = "app: {commands: [FROM x]}"
START = "Manager.start"


def start(manager: Manager, *, lock: bool = False) -> Request:
    return Request(app.create(manager, lambda _left: None), "/start_container", image="app", ports=[], lock=lock)


def test_start_returns_ports() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        application = app.create(manager, lambda _left: None)
        answer = await Request(application, "/start_container", image="app", ports=[80]).send()
        assert answer.status == 200
        assert answer.json == {"ports": {"80": 40_000}, "just_created": True, "container_id": "app-1"}
        stopped = await Request(application, "/stop_container", image="app").send()
        assert (stopped.status, stopped.text) == (204, "")

    run(ONE, scenario)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PortTakenError("port is already allocated"), 409, "PortTaken"),
        (InputError("$HOST is not set"), 409, "InputError"),
        (ImageNotBuiltError("image app cannot be built", output=["last line"]), 502, "ImageNotBuilt"),
        (ContainerNotReadyError("app ended"), 502, "ContainerNotReady"),
        (EngineUnavailableError("the engine does not answer"), 502, "EngineUnavailable"),
        (EngineError("no space"), 502, "EngineError"),
        (ZeroDivisionError("secret"), 500, "InternalError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_failed_start_returns_status_of_error(failure: Exception, status: int, code: str) -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["start app"] = failure
        request = start(manager)
        # Starlette answers an unexpected error, and raises it again for the log of the server.
        await asyncio.gather(request.send(), return_exceptions=True)
        assert request.status == status
        assert request.json["error_code"] == code
        assert "secret" not in request.text

    run(ONE, scenario)


def test_unknown_image_returns_404_and_start_after_shutdown_503() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        application = app.create(manager, lambda _left: None)
        for path in ("/stop_container", "/unlock_container"):
            assert (await Request(application, path, image="other").send()).status == 404
        await manager.shutdown()
        assert (await start(manager).send()).status == 503

    run(ONE, scenario)


def test_disconnected_waiter_does_not_acquire_lock() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        await manager.start("app", (), lock=True)
        gone, waiting = start(manager, lock=True), start(manager, lock=True)
        gone_answer, answer = gone.send(), waiting.send()
        await settle()
        gone.disconnect()
        assert (await gone_answer).status == 500
        manager.unlock("app")
        assert (await answer).status == 200

    run(ONE, scenario)


def test_disconnect_before_answer_releases_lock() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        gone = start(manager, lock=True)
        gone.disconnect_at_the_end_of(START)
        assert (await gone.send()).status == 200
        assert (await start(manager, lock=True).send()).status == 200

    run(ONE, scenario)


def test_disconnect_of_request_without_lock_releases_no_lock() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        await manager.start("app", (), lock=True)
        waiting, gone = start(manager, lock=True).send(), start(manager)
        await settle()
        gone.disconnect_at_the_end_of(START)
        assert (await gone.send()).status == 200
        await settle()
        # Only a caller that still waits for the lock is refused.
        await manager.shutdown()
        assert (await waiting).status == 503

    run(ONE, scenario)


def test_disconnect_does_not_cancel_start_of_another_client() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        building = engine.hold("build app")
        gone, other = start(manager), start(manager)
        gone_answer, answer = gone.send(), other.send()
        await building.arrival()
        gone.disconnect()
        assert (await gone_answer).status == 500
        building.open()
        assert (await answer).json["container_id"] == "app-1"
        assert engine.calls_of("build") == ["app"]

    run(ONE, scenario)


def test_shutdown_answers_after_removal_of_all_containers() -> None:
    async def scenario(manager: Manager, engine: Engine) -> list[list[str]]:
        reported: list[list[str]] = []
        application = app.create(manager, reported.append)
        await manager.start("app", ())
        engine.failures["remove app"] = EngineError("it is busy")
        refused = await Request(application, "/shutdown", method="GET", headers={"Sec-Fetch-Site": "cross-site"}).send()
        assert (refused.status, reported) == (403, [])
        assert (await Request(application, "/shutdown", method="GET").send()).status == 204
        return reported

    assert run(ONE, scenario) == [["app-1"]]
