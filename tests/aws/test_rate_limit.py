"""The rate limit that all stacks of an account and region share."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from exasol_ci_setup.aws.rate_limit import RateLimiters, TokenBucket
from exasol_ci_setup.aws.roles import assume
from tests.answers import AwsError, VirtualClock


def test_burst_is_immediate_then_rate_applies(clock):
    bucket = TokenBucket(clock, rate=10, burst=5)
    times = []
    for _ in range(8):
        bucket.acquire()
        times.append(round(clock.elapsed, 3))

    assert times == [0, 0, 0, 0, 0, 0.1, 0.2, 0.3]


@settings(max_examples=50)
@given(pauses=st.lists(st.floats(0, 3), max_size=60), rate=st.floats(0.5, 20), burst=st.integers(1, 10))
def test_any_period_has_at_most_burst_and_rate(pauses, rate, burst):
    clock = VirtualClock()
    bucket = TokenBucket(clock, rate=rate, burst=burst)
    times = []
    for pause in pauses:
        clock.sleep(pause)
        bucket.acquire()
        times.append(clock.now())

    for first, since in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - since) + 1e-6


def test_account_and_region_share_one_bucket(clock):
    limiters = RateLimiters(clock)

    assert limiters.of("a", "eu-central-1") is limiters.of("a", "eu-central-1")
    assert limiters.of("a", "eu-central-1") is not limiters.of("a", "eu-west-1")
    assert limiters.of("a", "eu-central-1") is not limiters.of("b", "eu-central-1")


def test_each_request_and_retry_acquires_one_token(answers):
    taken = []

    def rate_limit(**event):
        if "parsed_response" not in event:
            taken.append(1)

    account = assume(answers.account, (), region="eu-central-1", rate_limit=rate_limit)
    answers.on("cloudformation", "DescribeStacks", {"Stacks": []})

    account.client("cloudformation").describe_stacks()
    account.client("cloudformation").describe_stacks()

    assert len(taken) == len(answers.calls) == 2


def test_throttled_request_lowers_shared_rate_which_recovers(answers, clock):
    bucket = TokenBucket(clock, rate=10, burst=5)
    account = assume(answers.account, (), region="eu-central-1", rate_limit=bucket.acquire)
    refused = AwsError("Throttling", "Rate exceeded")
    answers.on("cloudformation", "DescribeStacks", [refused, refused, {"Stacks": []}], repeat_last=True)

    account.client("cloudformation").describe_stacks()
    slowed = bucket.rate
    clock.sleep(5)
    account.client("cloudformation").describe_stacks()
    recovering = bucket.rate
    clock.sleep(600)
    account.client("cloudformation").describe_stacks()

    assert slowed < recovering < 10
    assert bucket.rate == 10


def test_rate_never_falls_below_minimum(clock):
    bucket = TokenBucket(clock, rate=10, burst=5)
    for _ in range(100):
        clock.sleep(1)
        bucket.acquire(parsed_response={"Error": {"Code": "Throttling"}})

    assert bucket.rate == 1


def test_throttled_concurrent_requests_count_once(clock):
    bucket = TokenBucket(clock, rate=10, burst=5)
    for _ in range(20):
        bucket.acquire(parsed_response={"Error": {"Code": "Throttling"}})

    assert bucket.rate == 7


def test_other_answers_do_not_slow_anything_down(clock):
    bucket = TokenBucket(clock, rate=10, burst=5)
    answers: list[object] = [None, {}, {"Stacks": []}, {"Error": {"Code": "ValidationError"}}]
    for answer in answers:
        bucket.acquire(parsed_response=answer)

    assert bucket.rate == 10
