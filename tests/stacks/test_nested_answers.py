"""Nested stacks during an operation, answered inside botocore in virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.stacks import state
from exasol_ci_setup.stacks.delete import delete
from exasol_ci_setup.stacks.events import StackMonitor
from tests.answers import AwsError, DroppedConnectionError
from tests.reporters import RecordingReporter
from tests.stacks.family import Family, arn

WITHOUT_ID = {"PhysicalResourceId": ""}

# A creation: the root starts, its nested stack Inner is created from 3 s to 50 s, the root ends at 60 s.
CREATION: dict[str, list[tuple[Any, ...]]] = {
    "Slc": [
        (0, "CREATE_IN_PROGRESS", "Slc"),
        (1, "CREATE_IN_PROGRESS", "Inner", WITHOUT_ID),
        (3, "CREATE_IN_PROGRESS", "Inner"),
        (50, "CREATE_COMPLETE", "Inner"),
        (60, "CREATE_COMPLETE", "Slc"),
    ],
    "Inner": [
        (3, "CREATE_IN_PROGRESS", "Inner"),
        (5, "CREATE_IN_PROGRESS", "Topic"),
        (49.5, "CREATE_COMPLETE", "Topic"),
        (49.6, "CREATE_COMPLETE", "Inner"),
    ],
}


def follow(answers, clock, *, shown=None, after=""):
    return StackMonitor(Context(answers.account, clock, shown or RecordingReporter()), arn("Slc"), after=after).run()


def lines(shown):
    return [f"{event.stack_name}: {event.status} {event.logical_id}" for event in shown.events]


class Timed(RecordingReporter):
    """Record when each event is shown."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.at = {}

    def event(self, event):
        super().event(event)
        self.at[event.stack_name, event.status, event.logical_id] = self.clock.elapsed


def test_events_of_nested_stack_are_shown_as_they_occur(answers, clock):
    Family(answers, clock, "Slc", CREATION)
    shown = Timed(clock)

    ended = follow(answers, clock, shown=shown)

    assert ended.status == "CREATE_COMPLETE"
    assert 5 <= shown.at["Inner", "CREATE_IN_PROGRESS", "Topic"] <= 5 + 2


def test_last_events_of_nested_stack_precede_end_of_its_row(answers, clock):
    Family(answers, clock, "Slc", CREATION)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert lines(shown)[-4:] == [
        "Inner: CREATE_COMPLETE Topic",
        "Inner: CREATE_COMPLETE Inner",
        "Slc: CREATE_COMPLETE Inner",
        "Slc: CREATE_COMPLETE Slc",
    ]
    assert len(shown.ids) == len(set(shown.ids)) == 9


def test_all_events_between_polls_precede_end_of_root(answers, clock):
    immediate = {name: [(0, *event[1:]) for event in events] for name, events in CREATION.items()}
    immediate["Slc"][-1:-1] = [(0, "CREATE_COMPLETE", "Second")]
    immediate["Second"] = [(0, "CREATE_COMPLETE", "Second"), (0, "CREATE_COMPLETE", "Deep")]
    immediate["Deep"] = [(0, "CREATE_COMPLETE", "Queue")]
    Family(answers, clock, "Slc", immediate)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert sorted(set(shown.ids)) == sorted(shown.ids)
    assert "Deep: CREATE_COMPLETE Queue" in lines(shown)
    assert lines(shown)[-1] == "Slc: CREATE_COMPLETE Slc"


def test_only_events_of_operation_are_shown_for_nested_stack(answers, clock):
    stacks = {
        "Slc": [
            (-9, "CREATE_COMPLETE", "Slc"),
            (0, "UPDATE_IN_PROGRESS", "Slc"),
            (1, "UPDATE_IN_PROGRESS", "Inner"),
            (20, "UPDATE_COMPLETE", "Inner"),
            (21, "UPDATE_COMPLETE", "Slc"),
        ],
        "Inner": [
            (-20, "CREATE_IN_PROGRESS", "Inner"),
            (-10, "CREATE_COMPLETE", "Inner"),
            (2, "UPDATE_IN_PROGRESS", "Inner"),
            (19, "UPDATE_COMPLETE", "Inner"),
        ],
    }
    Family(answers, clock, "Slc", stacks)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown, after="Slc-0")

    assert [line for line in lines(shown) if line.startswith("Inner")] == [
        "Inner: UPDATE_IN_PROGRESS Inner",
        "Inner: UPDATE_COMPLETE Inner",
    ]


def test_nested_stack_in_rollback_is_followed_again(answers, clock):
    stacks = {
        "Slc": [
            *CREATION["Slc"][:4],
            (55, "CREATE_FAILED", "Other"),
            (56, "ROLLBACK_IN_PROGRESS", "Slc"),
            (57, "DELETE_IN_PROGRESS", "Inner"),
            (90, "DELETE_COMPLETE", "Inner"),
            (91, "ROLLBACK_COMPLETE", "Slc"),
        ],
        "Inner": [*CREATION["Inner"], (58, "DELETE_IN_PROGRESS", "Inner"), (70, "DELETE_IN_PROGRESS", "Topic")],
    }
    Family(answers, clock, "Slc", stacks)
    shown = Timed(clock)

    follow(answers, clock, shown=shown)

    assert 70 <= shown.at["Inner", "DELETE_IN_PROGRESS", "Topic"] <= 72


def test_cleanup_of_nested_stack_is_shown_after_its_row_ended(answers, clock):
    stacks: dict[str, list[tuple[Any, ...]]] = {
        "Slc": [
            (0, "UPDATE_IN_PROGRESS", "Slc"),
            (1, "UPDATE_IN_PROGRESS", "Inner"),
            (20, "UPDATE_COMPLETE", "Inner"),
            (21, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Slc"),
            (40, "UPDATE_COMPLETE", "Slc"),
        ],
        "Inner": [
            (2, "UPDATE_IN_PROGRESS", "Inner"),
            (19, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Inner"),
            (30, "DELETE_COMPLETE", "Old"),
            (39.9, "UPDATE_COMPLETE", "Inner"),
        ],
    }
    Family(answers, clock, "Slc", stacks)
    shown = Timed(clock)

    follow(answers, clock, shown=shown)

    assert 30 <= shown.at["Inner", "DELETE_COMPLETE", "Old"] <= 32
    assert lines(shown)[-2:] == ["Inner: UPDATE_COMPLETE Inner", "Slc: UPDATE_COMPLETE Slc"]


def test_nested_stacks_are_followed_at_every_depth(answers, clock):
    stacks = {
        "Slc": [(0, "CREATE_IN_PROGRESS", "Slc"), (1, "CREATE_IN_PROGRESS", "A"), (60, "CREATE_COMPLETE", "Slc")],
        "A": [(1, "CREATE_IN_PROGRESS", "A"), (2, "CREATE_IN_PROGRESS", "B")],
        "B": [(2, "CREATE_IN_PROGRESS", "B"), (20, "CREATE_IN_PROGRESS", "Deep")],
    }
    Family(answers, clock, "Slc", stacks)
    shown = Timed(clock)

    follow(answers, clock, shown=shown)

    assert 20 <= shown.at["B", "CREATE_IN_PROGRESS", "Deep"] <= 25


@pytest.mark.parametrize("count", [1, 3, 40])
def test_many_nested_stacks_keep_rate_and_detection_time(answers, clock, count):
    """The operation takes ten minutes, and all nested stacks are in progress for most of it."""
    names = [f"Inner{number}" for number in range(count)]
    stacks = {name: [(0, "CREATE_IN_PROGRESS", name), (590, "CREATE_COMPLETE", name)] for name in names}
    for name in names:
        stacks[name][1:1] = [(at, "CREATE_IN_PROGRESS", f"T{at}") for at in range(10, 580, 20)]
    stacks["Slc"] = [
        (0, "CREATE_IN_PROGRESS", "Slc"),
        *((0, "CREATE_IN_PROGRESS", name) for name in names),
        *((591, "CREATE_COMPLETE", name) for name in names),
        (600, "CREATE_COMPLETE", "Slc"),
    ]
    family = Family(answers, clock, "Slc", stacks)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert 600 <= clock.elapsed <= 602
    assert len(shown.events) == sum(len(events) for events in stacks.values())
    # At the end each nested stack is polled again.
    assert (len(answers.calls) - count) / 600 <= 1.2
    for name, times in family.times.items():
        assert len(times) / 600 < 0.6, name
    for name in names:
        # The last poll is at the end.
        assert all(later - earlier >= 1.8 for earlier, later in pairwise(family.times[name][:-1])), name
    # One for each poll of the root, except at the end.
    polls = "".join("r" if name == "Slc" else "n" for name in family.polled)
    assert "nn" not in polls[: polls.rindex("r")]
    # They are polled one after another.
    turns = [len(family.times[name]) for name in names]
    assert max(turns) - min(turns) <= 2


@pytest.mark.parametrize(
    "refusal",
    [AwsError("AccessDenied", "no", status=403), AwsError("ValidationError", "Stack [Inner] does not exist")],
    ids=["denied", "gone"],
)
def test_unreadable_nested_stack_is_noted_and_not_polled_again(answers, clock, refusal):
    Family(answers, clock, "Slc", CREATION)
    answers.disturb = lambda call: refusal if call.params.get("StackName") == arn("Inner") else None
    shown = RecordingReporter()

    ended = follow(answers, clock, shown=shown)

    assert ended.status == "CREATE_COMPLETE"
    assert [params["StackName"] for params in answers.of("DescribeStackEvents")].count(arn("Inner")) == 1
    (note,) = shown.notes
    assert note.startswith("the events of nested stack Inner are not available: ")
    assert "\n" not in note


def test_poll_of_nested_stack_with_transient_error_is_retried(answers, clock):
    Family(answers, clock, "Slc", CREATION)
    # As often as botocore retries.
    left = [DroppedConnectionError()] * 10
    answers.disturb = lambda call: left.pop() if left and call.params.get("StackName") == arn("Inner") else None
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert not left
    assert len(set(shown.ids)) == 9
    assert not shown.notes


def test_unreadable_nested_stack_does_not_fail_success(answers, clock):
    Family(answers, clock, "Slc", CREATION)
    answers.disturb = lambda call: DroppedConnectionError() if call.params.get("StackName") == arn("Inner") else None

    assert follow(answers, clock).status == "CREATE_COMPLETE"


def test_nested_events_are_shown_without_last_event_of_root(answers, clock):
    names = ["A", "B", "C"]
    stacks: dict[str, list[tuple[Any, ...]]] = {
        "Slc": [(0, "CREATE_IN_PROGRESS", "Slc"), *((0, "CREATE_IN_PROGRESS", name) for name in names)],
        **{name: [(0, "CREATE_IN_PROGRESS", name)] for name in names},
    }
    family = Family(answers, clock, "Slc", stacks)

    def ended(params):
        described = family.stacks(params)
        if clock.elapsed > 30:
            described["Stacks"][0]["StackStatus"] = "CREATE_COMPLETE"
            for name in names:
                family.add(name, "CREATE_COMPLETE", name)
        return described

    answers.on("cloudformation", "DescribeStacks", ended)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert len(shown.events) == 4 + 6


def test_ctrl_c_neither_repeats_nor_loses_events(answers, clock):
    Family(answers, clock, "Slc", CREATION)

    class Pressed(RecordingReporter):
        def event(self, event):
            super().event(event)
            if len(self.events) in {4, 6}:
                raise KeyboardInterrupt

    shown = Pressed()
    following = StackMonitor(Context(answers.account, clock, shown), arn("Slc"), after="")

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            following.run()
    following.run()

    assert sorted(shown.ids) == sorted(set(shown.ids))
    assert len(shown.ids) == 9


def test_nested_stacks_of_deletion_are_followed_by_arn(answers, clock):
    stacks = {
        "Slc": [
            (-9, "CREATE_COMPLETE", "Slc"),
            (1, "DELETE_IN_PROGRESS", "Slc"),
            (2, "DELETE_IN_PROGRESS", "Inner"),
            (20, "DELETE_COMPLETE", "Inner"),
            (21, "DELETE_COMPLETE", "Slc"),
        ],
        "Inner": [
            (-9, "CREATE_COMPLETE", "Inner"),
            (3, "DELETE_IN_PROGRESS", "Inner"),
            (10, "DELETE_COMPLETE", "Topic"),
            (19, "DELETE_COMPLETE", "Inner"),
        ],
    }
    Family(answers, clock, "Slc", stacks)
    cfn = answers.account.client("cloudformation")
    shown = RecordingReporter()

    delete(Context(answers.account, clock, shown), state.get(cfn, "Slc"))

    assert [line for line in lines(shown) if line.startswith("Inner")] == [
        "Inner: DELETE_IN_PROGRESS Inner",
        "Inner: DELETE_COMPLETE Topic",
        "Inner: DELETE_COMPLETE Inner",
    ]
    assert {params["StackName"] for params in answers.of("DescribeStackEvents")} == {arn("Slc"), arn("Inner")}


def test_hook_events_with_same_id_are_all_shown(answers, clock):
    hook = {"HookType": "Acme::Rules::Hook", "EventId": "shared"}
    stacks = {
        "Slc": [
            (0, "CREATE_IN_PROGRESS", "Slc"),
            (1, "CREATE_IN_PROGRESS", "Topic", {**hook, "HookStatus": "HOOK_IN_PROGRESS"}),
            (10, "CREATE_IN_PROGRESS", "Topic", {**hook, "HookStatus": "HOOK_COMPLETE_SUCCEEDED"}),
            (20, "CREATE_COMPLETE", "Slc"),
        ]
    }
    Family(answers, clock, "Slc", stacks)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown)

    assert [event.hook.status for event in shown.events if event.hook] == [
        "HOOK_IN_PROGRESS",
        "HOOK_COMPLETE_SUCCEEDED",
    ]


def test_hook_on_stack_is_not_start_of_operation(answers, clock):
    hook = {"HookType": "Acme::Rules::Hook", "HookStatus": "HOOK_COMPLETE_SUCCEEDED"}
    stacks = {
        "Slc": [
            (0, "UPDATE_IN_PROGRESS", "Slc"),
            (0, "UPDATE_IN_PROGRESS", "Slc", hook),
            (0, "UPDATE_COMPLETE", "Slc"),
        ]
    }
    Family(answers, clock, "Slc", stacks)
    shown = RecordingReporter()

    follow(answers, clock, shown=shown, after=None)

    assert len(shown.events) == 3
