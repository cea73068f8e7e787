"""Many stacks under AWS's limits on requests, in virtual time."""

from __future__ import annotations

import threading

import pytest

from tests.simulation import ours, peers
from tests.simulation.cloudformation import Limits, operation_seconds
from tests.simulation.virtual import SharedClock


@pytest.fixture(scope="module")
def many():
    """Several times as many stacks as are deployed in parallel, and more in parallel than AWS's limits on requests allow for."""
    return ours.deploy(300, concurrency=64)


def test_many_stacks_under_limits_of_aws_finish_without_throttling_failure(many):
    assert many.failed == 0
    assert len(many.late) == 300


def test_hardly_a_request_is_refused(many):
    assert 0 < many.refused < 0.03 * many.calls


def test_a_hundred_finish_where_others_have_left_half_of_the_limits():
    cost = ours.deploy(100, concurrency=64, share=0.5)

    assert cost.failed == 0


def test_as_many_at_a_time_as_by_default_are_seen_to_end_within_about_two_seconds():
    cost = ours.deploy(40)

    assert cost.failed == 0
    # A look that finds the end is one request more, and that takes its time too.
    assert max(cost.late) <= 2 + 0.5


def test_the_same_run_costs_the_same():
    assert ours.deploy(20, concurrency=10) == ours.deploy(20, concurrency=10)


def test_one_stack_is_followed_with_six_requests_in_ten_seconds_at_most():
    cost = ours.deploy(1)

    # The plan, its first quick looks, and the end take a dozen and a half.
    assert cost.calls - 20 <= 0.6 * operation_seconds(0)


@pytest.mark.parametrize("habit", [peers.aws_deploy, peers.cdk_deploy, peers.sceptre_launch])
def test_habits_of_others_deploy_a_stack_when_nothing_is_in_their_way(habit):
    cost = peers.deploy(habit, 3, concurrency=3)

    assert (cost.failed, cost.refused, len(cost.late)) == (0, 0, 3)
    assert cost.seconds > max(map(operation_seconds, range(3)))


def test_limits_take_a_burst_and_then_their_rate():
    limits = Limits()
    taken = [limits.take("DescribeStacks", at / 100) for at in range(1_000)]

    assert all(taken[:10])
    assert 55 <= sum(taken) <= 60
    assert (limits.taken, limits.refused) == (sum(taken), 1_000 - sum(taken))


def test_time_moves_on_only_when_all_workers_sleep():
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
