"""Parallel execution of a graph of tasks."""

from __future__ import annotations

import itertools
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.core.errors import InputError, OperationInterruptedError, SetupError
from exasol_ci_setup.core.task_graph import (
    End,
    Ended,
    Node,
    backwards,
    find_blocked,
    find_cycle,
    find_cycles,
    order,
    read_all,
    run,
)


class Worker:
    """Record starts, ends and the number of nodes in progress; fail for the given nodes."""

    def __init__(self, *failing: str, gate: threading.Event | None = None) -> None:
        self.log: list[tuple[str, str]] = []
        self.most = 0
        self._running = 0
        self._failing = failing
        self._lock = threading.Lock()
        self._gate = gate

    def __call__(self, name: str) -> End:
        with self._lock:
            self.log.append(("start", name))
            self._running += 1
            self.most = max(self.most, self._running)
        if self._gate is not None:
            assert self._gate.wait(30)
        with self._lock:
            self._running -= 1
            self.log.append(("end", name))
        if name in self._failing:
            raise SetupError(f"{name} did not work")
        return End.DONE

    @property
    def started(self) -> list[str]:
        return [name for what, name in self.log if what == "start"]


def diamonds(count: int = 20) -> list[Node]:
    """Return one node at the top, one at the bottom, and between them layers of three that depend on the whole layer above."""
    layers = [["top"]]
    left = count - 2
    while left:
        size = min(3, left)
        layers.append([f"{len(layers)}-{at}" for at in range(size)])
        left -= size
    layers.append(["bottom"])
    nodes = [Node("top")]
    for above, layer in itertools.pairwise(layers):
        nodes += [Node(name, tuple(above)) for name in layer]
    return nodes


def ends(results: list[Ended]) -> dict[str, str]:
    return {result.name: result.end.value for result in results}


def test_twenty_nodes_in_diamond_run_once_after_their_dependencies():
    nodes = diamonds()
    worker = Worker()

    results = run(reversed(nodes), worker)

    assert len(nodes) == 20
    assert sorted(worker.started) == sorted(node.name for node in nodes)
    assert set(ends(results).values()) == {"done"}
    for node in nodes:
        for need in node.needs:
            assert worker.log.index(("end", need)) < worker.log.index(("start", node.name))


def test_independent_nodes_run_concurrently():
    together = threading.Barrier(3, timeout=30)

    def meet(_name: str) -> End:
        together.wait()
        return End.DONE

    results = run([Node("a"), Node("b"), Node("c")], meet)

    assert set(ends(results).values()) == {"done"}


def test_node_waits_only_for_its_own_dependencies():
    below_the_quick_one = threading.Event()

    def work(name: str) -> End:
        if name == "slow":
            assert below_the_quick_one.wait(30)
        if name == "below-quick":
            below_the_quick_one.set()
        return End.DONE

    results = run([Node("slow"), Node("quick"), Node("below-quick", ("quick",))], work)

    assert ends(results) == {"slow": "done", "quick": "done", "below-quick": "done"}


def test_concurrency_is_limited():
    worker = Worker()

    run([Node(str(number)) for number in range(30)], worker, concurrency=3)

    assert worker.most <= 3


def test_failure_skips_only_dependents():
    nodes = [Node("a"), Node("b"), Node("on-a", ("a",)), Node("on-both", ("on-a", "b")), Node("on-b", ("b",))]
    reported: list[str] = []

    results = run(nodes, Worker("a"), ended=lambda end: reported.append(end.name))

    assert ends(results) == {"a": "failed", "b": "done", "on-a": "skipped", "on-both": "skipped", "on-b": "done"}
    by_name = {result.name: result for result in results}
    assert str(by_name["a"].error) == "a did not work"
    assert by_name["on-both"].because == ("a",)
    assert sorted(reported) == sorted(node.name for node in nodes)


def test_node_without_changes_does_not_skip_dependents():
    results = run([Node("a"), Node("b", ("a",))], lambda name: End.UNCHANGED if name == "a" else End.DONE)

    assert ends(results) == {"a": "unchanged", "b": "done"}


def test_unexpected_exception_is_raised_unchanged():
    def work(_name: str) -> End:
        raise ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError, match="oh"):
        run([Node("a"), Node("b", ("a",))], work)


def test_cycle_is_reported_and_nothing_starts():
    worker = Worker()

    with pytest.raises(InputError, match="a cycle: b → c → d → b"):
        run([Node("a", ("b",)), Node("b", ("c",)), Node("c", ("d",)), Node("d", ("b",))], worker)

    assert worker.log == []


def test_node_that_depends_on_itself_is_cycle():
    with pytest.raises(InputError, match="a cycle: a → a"):
        order([Node("a", ("a",))])


def test_duplicate_name_is_rejected():
    with pytest.raises(InputError, match="duplicate name 'a'"):
        order([Node("a"), Node("a")])


def test_missing_dependency_is_named():
    with pytest.raises(InputError, match="'a' needs 'b', which does not exist"):
        order([Node("a", ("b",))])


def test_chain_longer_than_recursion_limit_is_ordered():
    nodes = [Node(str(number), (str(number + 1),)) for number in range(3000)] + [Node("3000")]

    assert [node.name for node in order(nodes)] == [str(number) for number in range(3000, -1, -1)]


def test_reverse_order_runs_dependents_first():
    nodes = order([Node("cluster", ("registry", "vpc")), Node("registry"), Node("vpc")])

    assert [node.name for node in order(backwards(nodes))] == ["cluster", "vpc", "registry"]


def test_ctrl_c_starts_no_node_and_waits_for_running_ones(monkeypatch):
    reported = threading.Event()

    def work(name: str) -> End:
        assert reported.wait(30)
        raise OperationInterruptedError(f"stopped following {name}")

    # A real Ctrl-C arrives during the first wait of the main thread.
    class Pressed:
        def __init__(self) -> None:
            self.queue: list[object] = []
            self.inner = threading.Semaphore(0)
            self.pressed = False

        def put(self, item: object) -> None:
            self.queue.append(item)
            self.inner.release()

        def get(self, timeout: float | None) -> object:
            assert (timeout is not None) is self.pressed
            if not self.pressed:
                self.pressed = True
                raise KeyboardInterrupt
            assert self.inner.acquire(timeout=30)
            return self.queue.pop(0)

    monkeypatch.setattr("exasol_ci_setup.core.task_graph.SimpleQueue", Pressed)

    results = run([Node("a"), Node("b", ("a",)), Node("c")], work, concurrency=1, interrupt=reported.set)

    assert ends(results) == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert all(isinstance(result.error, OperationInterruptedError) for result in results)


def press_ctrl_c() -> None:
    """Interrupt the main thread, which waits for the work."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


@pytest.mark.parametrize("fails", [False, True])
def test_ctrl_c_without_effect_is_raised_at_end(fails):
    def work(name: str) -> End:
        press_ctrl_c()
        assert reported.wait(30)
        if fails:
            raise SetupError(name)
        return End.DONE

    reported = threading.Event()

    with pytest.raises(KeyboardInterrupt):
        run([Node("a")], work, interrupt=reported.set)


@pytest.mark.parametrize("names", [["a"], ["a", "b", *map(str, range(20))]])
def test_ctrl_c_while_reading_is_raised(names):
    interrupted = threading.Event()

    def read(_name: str) -> None:
        if not interrupted.is_set():
            interrupted.set()
            press_ctrl_c()

    with pytest.raises((KeyboardInterrupt, OperationInterruptedError)):
        read_all(names, read)


def test_read_all_raises_error_of_first_name():
    def read(name: str) -> None:
        if name != "a":
            raise SetupError(name)

    with pytest.raises(SetupError, match="b"):
        read_all(["a", "b", "c"], read)


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(0, 14))
    nodes = [
        Node(str(at), tuple(str(need) for need in draw(st.sets(st.integers(0, at - 1), max_size=4))) if at else ())
        for at in range(count)
    ]
    return draw(st.permutations(nodes))


@settings(max_examples=60, deadline=None)
@given(nodes=graphs(), failing=st.sets(st.integers(0, 13), max_size=3), concurrency=st.integers(1, 5))
def test_any_graph_skips_exactly_dependents_of_failures(nodes, failing, concurrency):
    names = {str(number) for number in failing}
    worker = Worker(*names)

    results = run(nodes, worker, concurrency=concurrency)

    expected: dict[str, str] = {}
    for node in order(nodes):
        stopped = any(expected[need] != "done" for need in node.needs)
        expected[node.name] = "skipped" if stopped else "failed" if node.name in names else "done"
    assert ends(results) == expected
    assert sorted(worker.started) == sorted(name for name, end in expected.items() if end != "skipped")
    for node in nodes:
        for need in node.needs:
            if ("start", node.name) in worker.log:
                assert worker.log.index(("end", need)) < worker.log.index(("start", node.name))


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3)))
def test_cycle_is_found_if_it_exists(needs):
    cycle = find_cycle(needs)
    blocked = find_blocked(needs)

    assert set(cycle) <= blocked
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(needed in needs[name] for name, needed in itertools.pairwise(cycle))
    else:
        left = dict(needs)
        while ready := [name for name in left if not any(each in left for each in left[name])]:
            for name in ready:
                del left[name]
        assert not left
        assert not blocked


def test_blocked_are_names_of_cycle_and_their_users():
    needs = {"user": ["a"], "a": ["b"], "b": ["a", "free"], "free": [], "other": ["free"]}

    assert find_blocked(needs) == {"user", "a", "b"}


@pytest.mark.parametrize("count", [5000])
def test_cycle_in_long_chain_is_found(count):
    needs = {str(number): [str(number + 1)] for number in range(count)}

    assert find_cycle(needs) == ()
    assert find_cycle({**needs, str(count): ["0"]}) == (*map(str, range(count + 1)), "0")


def test_all_cycles_are_found():
    needs = {"a": ["b", "b"], "b": ["a"], "c": ["c"], "d": ["a"]}

    assert list(find_cycles(needs)) == [("a", "b", "a"), ("c", "c")]
