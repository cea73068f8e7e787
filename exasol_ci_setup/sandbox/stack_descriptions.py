"""Give descriptions of stacks the members that AWS returns: settings of the last change set, and no empty texts.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from exasol_ci_setup.sandbox.private import find_change_set, find_stack, value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exasol_ci_setup.sandbox.private import Action, Parameters, Reply

NAMESPACE: Final = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_SETTINGS: Final = "_settings"
_CHANGE_SET: Final = "_change_set_id"
_TOPIC: Final = re.compile(r"NotificationARNs\.member\.\d+")
_TRIGGER: Final = re.compile(r"RollbackConfiguration\.RollbackTriggers\.member\.(\d+)\.(Arn|Type)")
_MINUTES: Final = "RollbackConfiguration.MonitoringTimeInMinutes"


def store_in_change_set(inner: Action, parameters: Parameters) -> Reply:
    """Store the settings of a new change set."""
    reply = inner(parameters)
    change_set = find_change_set(value(parameters, "ChangeSetName"), value(parameters, "StackName"))
    if change_set is not None:
        change_set[_SETTINGS] = _settings(parameters)
    return reply


def store_in_stack(inner: Action, parameters: Parameters) -> Reply:
    """Store the settings of a created or updated stack."""
    reply = inner(parameters)
    stack = find_stack(value(parameters, "StackName"))
    if stack is not None and reply[0] == 200:  # noqa: PLR2004
        _merge(stack, _settings(parameters))
    return reply


def move_to_stack(inner: Action, parameters: Parameters) -> Reply:
    """Give a stack the settings of the change set that is executed."""
    change_set = find_change_set(value(parameters, "ChangeSetName"), value(parameters, "StackName"))
    stack = find_stack(change_set["StackId"]) if change_set else None
    reply = inner(parameters)
    if stack is not None and change_set is not None and reply[0] == 200:  # noqa: PLR2004
        _merge(stack, change_set.get(_SETTINGS, {}))
        stack[_CHANGE_SET] = change_set["ChangeSetId"]
    return reply


def _settings(parameters: Parameters) -> dict[str, Any]:
    """Return the settings of a request. Omitted settings are not in the result, because the stack keeps them."""
    found: dict[str, Any] = {}
    if any(name.startswith("NotificationARNs") for name in parameters):
        found["topics"] = [values[0] for name, values in parameters.items() if _TOPIC.fullmatch(name)]
    if any(name.startswith("RollbackConfiguration") for name in parameters):
        triggers: dict[str, dict[str, str]] = {}
        for name, values in parameters.items():
            if match := _TRIGGER.fullmatch(name):
                triggers.setdefault(match[1], {})[match[2]] = values[0]
        found["triggers"] = list(triggers.values())
        found["minutes"] = value(parameters, _MINUTES)
    return found


def _merge(stack: dict[str, Any], settings: Mapping[str, Any]) -> None:
    stack[_SETTINGS] = {**stack.get(_SETTINGS, {}), **settings}


def describe(inner: Action, parameters: Parameters) -> Reply:
    """Add the settings to the descriptions of stacks, and omit empty texts."""
    status, headers, body = inner(parameters)
    if status != 200:  # noqa: PLR2004
        return status, headers, body
    ET.register_namespace("", NAMESPACE)
    root = ET.fromstring(body)  # noqa: S314 - the XML comes from this process
    for member in root.iterfind(f".//{_tag('Stacks')}/{_tag('member')}"):
        stack = find_stack(member.findtext(_tag("StackId")) or "")
        if stack is not None:
            _complete(member, stack)
    return status, headers, ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _complete(member: ET.Element, stack: Mapping[str, Any]) -> None:
    _remove_empty(member)
    settings = stack.get(_SETTINGS, {})
    _add_list(member, "NotificationARNs", settings.get("topics", ()))
    rollback = ET.SubElement(member, _tag("RollbackConfiguration"))
    if settings.get("triggers"):
        triggers = ET.SubElement(rollback, _tag("RollbackTriggers"))
        for each in settings["triggers"]:
            trigger = ET.SubElement(triggers, _tag("member"))
            for name, text in each.items():
                ET.SubElement(trigger, _tag(name)).text = text
    if settings.get("minutes"):
        ET.SubElement(rollback, _tag("MonitoringTimeInMinutes")).text = settings["minutes"]
    for name, text in (("ChangeSetId", stack.get(_CHANGE_SET)), ("DeletionTime", stack.get("DeletionTime"))):
        if text and member.find(_tag(name)) is None:
            ET.SubElement(member, _tag(name)).text = text


def _remove_empty(member: ET.Element) -> None:
    """Remove empty texts, and the time of an update that did not happen yet."""
    for parent in (member, *member.iterfind(f"{_tag('Outputs')}/{_tag('member')}")):
        for name in ("Description", "StackStatusReason"):
            part = parent.find(_tag(name))
            if part is not None and not part.text:
                parent.remove(part)
    updated = member.find(_tag("LastUpdatedTime"))
    if updated is not None and updated.text == member.findtext(_tag("CreationTime")):
        member.remove(updated)


def _add_list(member: ET.Element, name: str, texts: Iterable[str]) -> None:
    added = ET.SubElement(member, _tag(name))
    for text in texts:
        ET.SubElement(added, _tag("member")).text = text


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
