"""`Manager` on an engine in memory: starts, dependencies, locks, failures and shutdown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from exasol_ci_setup.containers.manager.ports import Port
from exasol_ci_setup.core.errors import (
    ContainerNotReadyError,
    EngineError,
    ImageNotBuiltError,
    NoSuchImageError,
    PortTakenError,
    SetupError,
    ShuttingDownError,
)
from tests.containers.fake_engine import Engine, run, settle

if TYPE_CHECKING:
    from exasol_ci_setup.containers.manager.manager import Manager, StartedContainer

ONE = "app: {commands: [FROM x]}"
LINKED = """
db: {commands: [FROM x]}
cache: {commands: [FROM x]}
app: {commands: [FROM x], dependencies: [db, cache]}
job: {commands: [FROM x], dependencies: [db]}
"""
WAITING = "app: {commands: [FROM x], wait_condition: {file_exists: [/ready]}}"


def begin(manager: Manager, name: str, *, lock: bool = False) -> asyncio.Task[StartedContainer]:
    return asyncio.create_task(manager.start(name, (), lock=lock))


def test_concurrent_starts_share_one_build_and_one_container() -> None:
    async def scenario(manager: Manager, engine: Engine) -> list[StartedContainer]:
        building = engine.hold("build app")
        callers = [begin(manager, "app") for _ in range(20)]
        await building.arrival()
        building.open()
        started = await asyncio.gather(*callers)
        assert (engine.calls_of("build"), engine.calls_of("start")) == (["app"], ["app"])
        return started

    started = run(ONE, scenario)
    assert {each.container_id for each in started} == {"app-1"}
    assert [each.just_created for each in started] == [True, *[False] * 19]


def test_second_start_returns_running_container() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        first = await manager.start("app", [Port(80)])
        second = await manager.start("app", ())
        assert (first.just_created, second.just_created) == (True, False)
        assert first.ports == second.ports == {"80": 40_000}
        assert engine.calls_of("start") == ["app"]

    run(ONE, scenario)


def test_different_images_are_built_in_parallel() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        gates = [engine.hold(f"build {name}") for name in ("db", "cache")]
        callers = [begin(manager, name) for name in ("db", "cache")]
        for gate in gates:
            await gate.arrival()
        engine.release()
        await asyncio.gather(*callers)

    run(LINKED, scenario)


def test_shared_base_image_is_built_once_and_first() -> None:
    images = """
base: {commands: [FROM x]}
one: {commands: [[FROM, "{images.base}"]]}
two: {commands: [[FROM, "{images.base}"]]}
"""

    async def scenario(manager: Manager, engine: Engine) -> None:
        building = engine.hold("build base")
        callers = [begin(manager, name) for name in ("one", "two")]
        await building.arrival()
        await settle()
        assert engine.calls_of("build") == ["base"]
        building.open()
        await asyncio.gather(*callers)
        assert sorted(engine.calls_of("build")) == ["base", "one", "two"]
        assert engine.tags["one"] == engine.tags["two"] == {"base": "base:tag"}
        assert sorted(engine.calls_of("start")) == ["one", "two"]

    run(images, scenario)


def test_dependencies_start_first_and_are_passed_to_dependent() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        assert sorted(engine.calls_of("start")[:2]) == ["cache", "db"]
        assert engine.calls_of("start")[2:] == ["app"]
        assert engine.dependencies["app-1"] == {"db": "db-1", "cache": "cache-1"}

    run(LINKED, scenario)


def test_shared_dependency_is_removed_with_last_user() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await asyncio.gather(manager.start("app", ()), manager.start("job", ()))
        await manager.stop("app")
        assert engine.alive == {"job-1", "db-1"}
        await manager.stop("job")
        assert engine.alive == set()
        assert engine.calls_of("remove") == ["app", "cache", "job", "db"]

    run(LINKED, scenario)


def test_dependency_with_own_caller_is_kept() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("db", ())
        await manager.start("job", ())
        await manager.stop("job")
        assert engine.alive == {"db-1"}
        await manager.stop("db")
        assert engine.alive == set()

    run(LINKED, scenario)


def test_stop_of_needed_container_waits_for_its_dependents() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("db", ())
        await manager.start("job", ())
        await manager.stop("db")
        assert engine.alive == {"db-1", "job-1"}
        await manager.stop("job")
        assert engine.alive == set()

    run(LINKED, scenario)


def test_failed_build_fails_all_callers_but_not_next_start() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        building = engine.hold("build app")
        engine.failures["build app"] = ImageNotBuiltError("image app cannot be built: no space")
        callers = [begin(manager, "app") for _ in range(3)]
        await building.arrival()
        building.open()
        failures = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(failure) for failure in failures] == [ImageNotBuiltError] * 3
        assert engine.calls_of("build") == ["app"]
        engine.failures.clear()
        assert (await manager.start("app", ())).just_created

    run(ONE, scenario)


def test_failed_start_releases_its_dependencies() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["start app"] = PortTakenError("port is already allocated")
        with pytest.raises(PortTakenError):
            await manager.start("app", ())
        assert engine.alive == set()
        assert sorted(engine.calls_of("remove")) == ["cache", "db"]

    run(LINKED, scenario)


def test_failed_dependency_fails_dependent_and_releases_others() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["start db"] = EngineError("the container of db cannot be started: no space")
        with pytest.raises(EngineError, match="db cannot be started"):
            await manager.start("app", ())
        assert "app" not in engine.calls_of("start")
        assert engine.alive == set()
        assert engine.calls_of("remove") == ["cache"]

    run(LINKED, scenario)


def test_ended_container_is_recreated() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        engine.ended.add("app-1")
        again = await manager.start("app", ())
        assert (again.container_id, again.just_created) == ("app-2", True)
        assert engine.alive == {"app-2"}

    run(ONE, scenario)


def test_recreated_dependency_is_linked_again() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("job", ())
        await manager.start("job", ())
        assert engine.calls_of("relink") == []
        engine.ended.add("db-1")
        again = await manager.start("job", ())
        assert (again.container_id, again.just_created) == ("job-1", False)
        assert engine.dependencies["job-1"] == {"db": "db-2"}
        assert engine.calls_of("relink") == ["job"]

    run(LINKED, scenario)


def test_failed_inspection_keeps_container() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        engine.failures["inspect app"] = EngineError("the container of app cannot be inspected")
        with pytest.raises(EngineError):
            await manager.start("app", ())
        engine.failures.clear()
        assert (await manager.start("app", ())).container_id == "app-1"

    run(ONE, scenario)


def test_unmet_wait_condition_blocks_all_callers() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        waiting = engine.hold("wait app")
        callers = [begin(manager, "app"), begin(manager, "app")]
        await waiting.arrival()
        callers.append(begin(manager, "app"))
        await settle()
        assert not any(caller.done() for caller in callers)
        waiting.open()
        await asyncio.gather(*callers)
        await manager.start("app", ())
        assert engine.calls_of("wait") == ["app"]

    run(WAITING, scenario)


def test_unmet_wait_condition_removes_container() -> None:
    images = """
db: {commands: [FROM x]}
app: {commands: [FROM x], dependencies: [db], wait_condition: {file_exists: [/ready]}}
"""

    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["wait app"] = ContainerNotReadyError("the container of app was not ready within 1 s")
        with pytest.raises(ContainerNotReadyError):
            await manager.start("app", ())
        assert engine.alive == set()
        engine.failures.clear()
        assert (await manager.start("app", ())).container_id == "app-2"

    run(images, scenario)


def test_dependency_options_replace_wait_condition() -> None:
    images = """
db: {commands: [FROM x], wait_condition: {file_exists: [/own]}}
app: {commands: [FROM x], dependencies: [db], dependency_options: {db: {wait_condition: {file_exists: [/other]}}}}
"""

    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        assert [condition.file_exists for condition in engine.conditions] == [("/other",)]
        await manager.start("db", ())
        assert [condition.file_exists for condition in engine.conditions] == [("/other",), ("/own",)]

    run(images, scenario)


def test_lock_is_acquired_in_order_of_requests() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", (), lock=True)
        waiting = [begin(manager, "app", lock=True) for _ in range(3)]
        await settle()
        for caller in waiting:
            assert not caller.done()
            manager.unlock("app")
            await caller
        assert engine.calls_of("start") == ["app"]

    run(ONE, scenario)


def test_lock_blocks_no_caller_without_lock_and_no_other_image() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        await manager.start("db", (), lock=True)
        await manager.start("db", ())
        await manager.start("cache", (), lock=True)

    run(LINKED, scenario)


def test_canceled_waiter_is_skipped() -> None:
    async def scenario(manager: Manager, _engine: Engine) -> None:
        await manager.start("app", (), lock=True)
        canceled, next_one = begin(manager, "app", lock=True), begin(manager, "app", lock=True)
        await settle()
        canceled.cancel()
        await settle()
        manager.unlock("app")
        await next_one
        assert canceled.cancelled()

    run(ONE, scenario)


def test_failed_start_releases_its_lock() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["start app"] = PortTakenError("port is already allocated")
        with pytest.raises(PortTakenError):
            await manager.start("app", (), lock=True)
        engine.failures.clear()
        await manager.start("app", (), lock=True)

    run(ONE, scenario)


def test_canceled_caller_does_not_cancel_start_of_another() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        building = engine.hold("build app")
        canceled, other = begin(manager, "app"), begin(manager, "app")
        await building.arrival()
        canceled.cancel()
        await settle()
        building.open()
        assert (await other).container_id == "app-1"
        assert engine.calls_of("build") == ["app"]

    run(ONE, scenario)


@pytest.mark.parametrize("has_built", [False, True])
def test_shutdown_during_build_starts_nothing(has_built: bool) -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.has_built = has_built
        building = engine.hold("build app")
        caller = begin(manager, "app")
        await building.arrival()
        assert await manager.shutdown() == []
        with pytest.raises(ShuttingDownError):
            await caller
        assert engine.calls_of("start") == []

    run(ONE, scenario)


def test_shutdown_during_start_removes_container() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        starting = engine.hold("start app")
        caller = begin(manager, "app")
        await starting.arrival()
        end = asyncio.create_task(manager.shutdown())
        await settle()
        starting.open()
        assert await end == []
        await asyncio.gather(caller, return_exceptions=True)
        assert engine.alive == set()
        assert engine.calls_of("remove") == ["app"]

    run(ONE, scenario)


def test_shutdown_during_wait_removes_container() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        waiting = engine.hold("wait app")
        caller = begin(manager, "app")
        await waiting.arrival()
        assert await manager.shutdown() == []
        with pytest.raises(ShuttingDownError):
            await caller
        assert engine.alive == set()

    run(WAITING, scenario)


def test_shutdown_removes_dependents_before_dependencies() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await asyncio.gather(manager.start("app", ()), manager.start("job", ()))
        removing = engine.hold("remove app")
        end = asyncio.create_task(manager.shutdown())
        await removing.arrival()
        assert set(engine.calls_of("remove")) <= {"app", "job"}
        removing.open()
        assert await end == []
        assert set(engine.calls_of("remove")[2:]) == {"db", "cache"}

    run(LINKED, scenario)


def test_shutdown_reports_failed_removal() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await asyncio.gather(manager.start("app", ()), manager.start("job", ()))
        engine.failures["remove app"] = EngineError("container app-1 cannot be removed: it is busy")
        assert await manager.shutdown() == ["app-1"]
        assert engine.alive == {"app-1"}

    run(LINKED, scenario)


def test_shutdown_without_engine_reports_reason() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        engine.failures["remove_all "] = EngineError("the containers cannot be listed: no connection")
        assert await manager.shutdown() == ["the containers cannot be listed: no connection"]

    run(ONE, scenario)


def test_concurrent_shutdowns_remove_once() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        await asyncio.gather(manager.shutdown(), manager.shutdown())
        assert (engine.calls_of("remove"), engine.calls_of("remove_all")) == (["app"], [""])

    run(ONE, scenario)


def test_shutdown_fails_waiting_and_later_callers() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", (), lock=True)
        waiting = begin(manager, "app", lock=True)
        await settle()
        removing = engine.hold("remove app")
        end = asyncio.create_task(manager.shutdown())
        await removing.arrival()
        for caller in (waiting, begin(manager, "app"), begin(manager, "app", lock=True)):
            with pytest.raises(ShuttingDownError):
                await caller
        removing.open()
        await end

    run(ONE, scenario)


def test_stop_retries_failed_removal() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.start("app", ())
        engine.failures["remove app"] = EngineError("container app-1 cannot be removed: it is busy")
        with pytest.raises(EngineError):
            await manager.stop("app")
        assert engine.alive == {"app-1"}
        engine.failures.clear()
        await manager.stop("app")
        assert engine.alive == set()

    run(ONE, scenario)


def test_stop_of_stopped_container_calls_no_engine() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        await manager.stop("app")
        assert engine.calls == []

    run(ONE, scenario)


def test_unknown_image_is_rejected_with_known_images() -> None:
    async def scenario(manager: Manager, engine: Engine) -> None:
        for call in (manager.start("ap", ()), manager.start("ap", (), lock=True), manager.stop("ap")):
            with pytest.raises(NoSuchImageError) as caught:
                await call
            assert caught.value.available == ("app",)
        with pytest.raises(NoSuchImageError):
            manager.unlock("ap")
        assert engine.calls == []

    run(ONE, scenario)


@pytest.mark.parametrize("failing", ["build db", "start db", "start cache", "build app", "start app"])
def test_failed_start_leaves_nothing_and_can_be_repeated(failing: str) -> None:
    async def scenario(manager: Manager, engine: Engine) -> Any:
        engine.failures[failing] = EngineError("no space")
        with pytest.raises(SetupError):
            await manager.start("app", ())
        assert engine.alive == set()
        engine.failures.clear()
        return await manager.start("app", ())

    assert run(LINKED, scenario).just_created
