"""Programs with threads, actions at import, or unusual ends."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.live

THREADS = """
    from concurrent.futures import ThreadPoolExecutor
    from exasol_ci_setup import Registry, Scope

    def hangar_run():
        scope = Scope(name="threads", region="eu-central-1")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: Registry(scope=scope, name=name).deploy(), ["one", "two"]))
"""
IMPORTED = """
    from exasol_ci_setup import Registry, Scope

    registry = Registry(scope=Scope(name="imported", region="eu-central-1"), name="one")
    registry.deploy()

    def hangar_run():
        registry.deploy()
"""


def stacks(account) -> list[str]:
    return [stack["StackName"] for stack in account.client("cloudformation").describe_stacks()["Stacks"]]


def test_threads_collect_in_plan_and_deploy_in_up(here, live, write):
    file = write(THREADS)

    planned = here("plan", file)
    down = here("down", file, "--yes")

    assert (planned.code, down.code) == (0, 0)
    assert "threads-one" in planned.stdout
    assert stacks(live) == []

    assert here("up", file, "--yes", "--no-lint").code == 0
    assert sorted(stacks(live)) == ["threads-one", "threads-two"]


@pytest.mark.parametrize("command", [("plan",), ("up", "--yes"), ("down", "--yes")])
def test_resolve_at_import_is_rejected_with_line(here, live, write, command):
    ran = here(command[0], write(IMPORTED), *command[1:])

    assert ran.code == 2
    assert "program.py:5: a construct was resolved outside of hangar_run" in ran.stderr
    assert stacks(live) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import asyncio\ndef hangar_run():\n    raise asyncio.CancelledError\n", "CancelledError"),
        ("def hangar_run():\n    raise GeneratorExit\n", "GeneratorExit"),
        ("hangar_run = max\n", "not a function without arguments"),
    ],
)
def test_unusual_program_end_is_one_line(here, write, text, expected):
    ran = here("plan", write(text))

    assert ran.code in {1, 2}
    assert expected in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", ["plan", "up", "down"])
def test_missing_await_is_reported_with_line(here, live, write, command):
    forgotten = """
        from exasol_ci_setup import Registry, Scope

        def hangar_run():
            Registry(scope=Scope(name="s", region="eu-central-1"), name="a").resolve()
    """

    ran = here(command, write(forgotten), *([] if command == "plan" else ["--yes"]))

    assert ran.code == 2
    assert "program.py:5: coroutine" in ran.stderr
    assert "never awaited" in ran.stderr
    assert stacks(live) == []


def test_running_threads_without_constructs_give_hint(here, live, write):
    file = write(
        """
        import threading

        ended = threading.Event()

        def hangar_run():
            threading.Thread(target=ended.wait, args=(10,), daemon=True).start()
        """
    )

    ran = here("up", file, "--yes")

    assert ran.code == 0
    assert "resolves no construct: no changes" in ran.stderr
    assert "threads of the program still run" in ran.stderr
    assert stacks(live) == []
