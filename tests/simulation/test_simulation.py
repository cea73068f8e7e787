"""Many stacks under AWS's request limits, in virtual time."""

from __future__ import annotations

import threading

import pytest

from tests.simulation import ours, peers
from tests.simulation.cloudformation import Limits, operation_seconds
from tests.simulation.virtual import SharedClock


@pytest.fixture(scope="module")
def many():
    """Deploy more stacks than run in parallel, and more in parallel than AWS's request limits allow."""
    return ours.deploy(150, concurrency=64)


def test_many_stacks_under_limits_of_aws_do_not_fail_by_throttling(many):
    assert many.failed == 0
    assert len(many.late) == 150


def test_few_requests_are_throttled(many):
    assert 0 < many.refused < 0.03 * many.calls


def test_hundred_stacks_finish_with_half_of_limits():
    cost = ours.deploy(100, concurrency=64, share=0.5)

    assert cost.failed == 0


def test_default_concurrency_detects_end_within_two_seconds():
    cost = ours.deploy(40)

    assert cost.failed == 0
    # The poll that detects the end is one more request, which also takes time.
    assert max(cost.late) <= 2 + 0.5


def test_run_is_reproducible():
    assert ours.deploy(8, concurrency=4) == ours.deploy(8, concurrency=4)


def test_stack_is_polled_at_most_six_times_in_ten_seconds():
    cost = ours.deploy(1)

    # The plan, the first quick polls and the end take about 18 requests.
    assert cost.calls - 20 <= 0.6 * operation_seconds(0)


@pytest.mark.parametrize("habit", [peers.aws_deploy, peers.cdk_deploy, peers.sceptre_launch])
def test_other_strategies_deploy_stack_without_limits(habit):
    cost = peers.deploy(habit, 3, concurrency=3)

    assert (cost.failed, cost.refused, len(cost.late)) == (0, 0, 3)
    assert cost.seconds > max(map(operation_seconds, range(3)))


def test_limits_allow_burst_then_rate():
    limits = Limits()
    taken = [limits.take("DescribeStacks", at / 100) for at in range(1_000)]

    assert all(taken[:10])
    assert 55 <= sum(taken) <= 60
    assert (limits.taken, limits.refused) == (sum(taken), 1_000 - sum(taken))


def test_time_advances_only_when_all_workers_sleep():
    clock = SharedClock(3, 3)
    woken = []

    def work(number):
        clock.begin(number)
        for _ in range(3):
            clock.sleep(number + 1)
            woken.append((clock.now(), number))
        clock.ended()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert woken == [(1, 0), (2, 1), (2, 0), (3, 2), (3, 0), (4, 1), (6, 2), (6, 1), (9, 2)]
