"""Make ministack's stack operations take time and record the same events as on AWS."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import sys
import uuid
from datetime import datetime, timezone
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import resource_handlers, wrap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DELAYS: dict[str, float] = {}
"""Seconds of each resource operation, by account; the key "" applies to all other accounts."""

_DELAY_STEP: Final = 0.02
_STACK: Final = "AWS::CloudFormation::Stack"
# Types whose name can conflict with a resource outside the stack: the property with the name, and ministack's store.
_NAMED: Final = {
    "AWS::ECR::Repository": ("RepositoryName", "ecr", "_repositories"),
    "AWS::IAM::Role": ("RoleName", "iam", "_roles"),
    "AWS::Logs::LogGroup": ("LogGroupName", "cloudwatch_logs", "_log_groups"),
}

# Logical id and status of the resource that the current update, in this task, did not change.
_unchanged: contextvars.ContextVar[tuple[str, str]] = contextvars.ContextVar("unchanged_resource", default=("", ""))


def is_running(stack: dict[str, Any]) -> bool:
    """Whether an operation on the stack is in progress."""
    status = stack["StackStatus"]
    return bool(status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS")


def is_any_running() -> bool:
    """Whether an operation on any stack is in progress, in any account."""
    return any(is_running(stack) for stack in _store("_stacks").values())


def operations_on(stack_id: str) -> list[asyncio.Task[Any]]:
    """Return the tasks of a stack. A canceled task stops between two resources."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is None or "/services/cloudformation/" not in frame.f_code.co_filename.replace(os.sep, "/"):
            continue
        # A task has either the stack id or the record of the stack as a local variable.
        if stack_id in {frame.f_locals.get("stack_id"), (frame.f_locals.get("stack") or {}).get("StackId")}:
            found.append(task)
    return found


def end_interrupted_operations() -> None:
    """Mark operations as failed that were in progress at the end of the last process."""
    for (account, region, name), stack in _store("_stacks").items():
        if not is_running(stack):
            continue
        from ministack.core.responses import request_scope
        from ministack.services.cloudformation import stacks

        stack["StackStatus"] = stack["StackStatus"].replace("_IN_PROGRESS", "_FAILED")
        stack["StackStatusReason"] = reason = "The sandbox was stopped during this operation"
        with request_scope(account, region):
            stacks._add_event(stack["StackId"], name, name, _STACK, stack["StackStatus"], reason, stack["StackId"])  # noqa: SLF001
    for change_set in _store("_change_sets").values():
        if change_set["ExecutionStatus"] == "EXECUTE_IN_PROGRESS":
            change_set["ExecutionStatus"] = "EXECUTE_FAILED"


def _store(name: str) -> dict[Any, dict[str, Any]]:
    """Return one of ministack's stores for all accounts and regions; empty if CloudFormation is not loaded."""
    module = sys.modules.get("ministack.services.cloudformation")
    entries: dict[Any, dict[str, Any]] = dict(getattr(module, name)._data) if module else {}  # noqa: SLF001
    return entries


def extend() -> None:
    """Install the changes of this module in ministack's CloudFormation."""
    from ministack.services.cloudformation import stacks

    events = _Events(stacks)
    work = _Work(stacks, events)
    stacks._add_event = events.add  # noqa: SLF001
    stacks._runs_on_worker_thread = work.is_awaited  # noqa: SLF001
    stacks.run_reentrant = work.run
    stacks._update_keeping_seed = work.update  # noqa: SLF001
    stacks._delete_resource = work.delete  # noqa: SLF001
    for resource_type, unique in _NAMED.items():
        wrap(resource_handlers()[resource_type], "create", functools.partial(_create_named, *unique))
    wrap(resource_handlers()["AWS::S3::Bucket"], "delete", _delete_bucket)


def _create_named(
    name_property: str,
    service: str,
    store: str,
    inner: Callable[..., Any],
    logical_id: str,
    properties: Any,
    stack: str,
) -> Any:
    """Reject a name in use. ministack would adopt the existing resource, and delete it with the stack."""
    name = properties.get(name_property)
    if name in getattr(import_module(f"ministack.services.{service}"), store):
        raise ValueError(f"{name} already exists")
    return inner(logical_id, properties, stack)


def _delete_bucket(inner: Callable[[str, Any], None], name: str, properties: Any) -> None:
    """Delete a bucket as the S3 API does, which rejects a bucket with objects."""
    from ministack.services import s3

    status, _, _ = s3._delete_bucket(name)  # noqa: SLF001
    if status == 409:  # noqa: PLR2004
        raise ValueError(
            f"The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Request ID: {uuid.uuid4()})"
        )
    inner(name, properties)


class _Events:
    """The events of stacks: adds those that ministack omits, and removes those that AWS does not have."""

    def __init__(self, stacks: Any) -> None:
        from ministack.services import cloudformation

        self._add: Callable[..., None] = stacks._add_event  # noqa: SLF001
        self._service = cloudformation

    def add(
        self,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        """Record an event; the signature is ministack's."""
        of_stack = physical_id == stack_id
        if not of_stack and status.startswith("UPDATE_") and self._is_new(stack_name, logical_id):
            status = status.replace("UPDATE_", "CREATE_")
        if of_stack and status == "UPDATE_COMPLETE":
            self.begin_cleanup(stack_name)
        elif of_stack and status == "ROLLBACK_IN_PROGRESS" and (failed := self._failed(stack_id)):
            reason = f"The following resource(s) failed to create: [{', '.join(failed)}]. Rollback requested by user."
        elif of_stack and status == "ROLLBACK_COMPLETE":
            reason = ""
        elif of_stack and status == "CREATE_FAILED" and (failed := self._failed(stack_id)):
            reason = f"The following resource(s) failed to create: [{', '.join(failed)}]. "
            self._service._stacks[stack_name]["StackStatusReason"] = reason  # noqa: SLF001
        elif of_stack and status == "DELETE_IN_PROGRESS":
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._service._stacks[stack_name]["DeletionTime"] = now  # noqa: SLF001
        elif not of_stack and status == "CREATE_COMPLETE":
            self._add(
                stack_id,
                stack_name,
                logical_id,
                resource_type,
                "CREATE_IN_PROGRESS",
                "Resource creation Initiated",
                physical_id,
            )
        elif status == "UPDATE_COMPLETE" and logical_id == _unchanged.get()[0]:
            # AWS has no events for a resource that an update does not change. Its first event is already recorded, so remove it.
            self._forget_last_of(stack_id, logical_id)
            self._service._stacks[stack_name]["_resources"][logical_id]["ResourceStatus"] = _unchanged.get()[1]  # noqa: SLF001
            _unchanged.set(("", ""))
            return
        self._add(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)

    def status(self, stack_name: str, logical_id: str) -> str:
        """Return the status of a resource of a stack."""
        return str(self._service._stacks[stack_name]["_resources"][logical_id]["ResourceStatus"])  # noqa: SLF001

    def _is_new(self, stack_name: str, logical_id: str) -> bool:
        """Return whether an update adds the resource. ministack has the same statuses for added and changed resources."""
        stack = self._service._stacks[stack_name]  # noqa: SLF001
        record = stack["_resources"].get(logical_id)
        if record is None:
            return True
        if self._last_status(stack["StackId"], logical_id) != "CREATE_IN_PROGRESS":
            return False
        record["ResourceStatus"] = "CREATE_COMPLETE"
        return True

    def begin_cleanup(self, stack_name: str) -> None:
        """Record the cleanup phase of an update, which deletes obsolete resources, unless it is recorded already."""
        stack = self._service._stacks[stack_name]  # noqa: SLF001
        status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
        of_stack = (
            event for event in reversed(self._of(stack["StackId"])) if event["PhysicalResourceId"] == stack["StackId"]
        )
        if next(of_stack)["ResourceStatus"] != status:
            if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
                stack["StackStatus"] = status
            self._add(stack["StackId"], stack_name, stack_name, _STACK, status, "", stack["StackId"])

    def in_deletion(self, stack_name: str, logical_id: str) -> bool:
        """Whether the last event of a resource is the start of its deletion."""
        stack_id = self._service._stacks[stack_name]["StackId"]  # noqa: SLF001
        return self._last_status(stack_id, logical_id) == "DELETE_IN_PROGRESS"

    def _last_status(self, stack_id: str, logical_id: str) -> str:
        statuses = (e["ResourceStatus"] for e in reversed(self._of(stack_id)) if e["LogicalResourceId"] == logical_id)
        return str(next(statuses, ""))

    def _of(self, stack_id: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self._service._stack_events[stack_id]  # noqa: SLF001
        return events

    def _failed(self, stack_id: str) -> list[str]:
        return [
            event["LogicalResourceId"] for event in self._of(stack_id) if event["ResourceStatus"] == "CREATE_FAILED"
        ]

    def _forget_last_of(self, stack_id: str, logical_id: str) -> None:
        events = self._of(stack_id)
        events.remove(next(event for event in reversed(events) if event["LogicalResourceId"] == logical_id))


class _Work:
    """The operations on resources, which ministack runs sequentially in a task of the event loop."""

    def __init__(self, stacks: Any, events: _Events) -> None:
        from ministack.core import responses

        self._account: Callable[[], str] = responses.get_account_id
        self._events = events
        self._blocks: Callable[[str], bool] = stacks._runs_on_worker_thread  # noqa: SLF001
        self._run_in_thread: Callable[..., Awaitable[Any]] = stacks.run_reentrant
        self._update: Callable[..., Any] = stacks._update_keeping_seed  # noqa: SLF001
        self._delete: Callable[..., Any] = stacks._delete_resource  # noqa: SLF001

    def _delay(self) -> float:
        return DELAYS.get(self._account(), DELAYS.get("", 0.0))

    async def _wait_for_delay(self) -> None:
        """Wait for the delay. If a test removes the delay meanwhile, stop waiting immediately."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while (left := begun + self._delay() - loop.time()) > 0:  # noqa: ASYNC110 - other threads change it
            await asyncio.sleep(min(left, _DELAY_STEP))

    def is_awaited(self, resource_type: str) -> bool:
        """Whether an operation uses `run`: because it blocks (ministack's reason), or because of the delay."""
        return bool(self._delay()) or self._blocks(resource_type)

    async def run(self, operation: Callable[..., Any], resource_type: str, *arguments: Any) -> Any:
        """Run an operation after the delay, in a thread if it blocks."""
        # The arguments of an update are the physical id, and the properties before and after.
        if operation != self.update or arguments[1] != arguments[2]:
            await self._wait_for_delay()
        if self._blocks(resource_type):
            return await self._run_in_thread(operation, resource_type, *arguments)
        return operation(resource_type, *arguments)

    def update(
        self, resource_type: str, physical_id: str, old: Any, new: Any, stack: str, logical_id: str, attributes: Any
    ) -> Any:
        """Update a resource, and remember whether its properties are unchanged."""
        _unchanged.set((logical_id, self._events.status(stack, logical_id)) if old == new else ("", ""))
        return self._update(resource_type, physical_id, old, new, stack, logical_id, attributes)

    def delete(self, resource_type: str, physical_id: str, properties: Any, stack: str, logical_id: str) -> None:
        """Delete a resource; record events also for deletions by an update."""
        if self._events.in_deletion(stack, logical_id):
            self._delete(resource_type, physical_id, properties, stack, logical_id)
            return
        from ministack.services.cloudformation import _stacks

        event = (_stacks[stack]["StackId"], stack, logical_id, resource_type)
        self._events.begin_cleanup(stack)
        self._events.add(*event, "DELETE_IN_PROGRESS", "", physical_id)
        self._delete(resource_type, physical_id, properties, stack, logical_id)
        self._events.add(*event, "DELETE_COMPLETE", "", physical_id)
