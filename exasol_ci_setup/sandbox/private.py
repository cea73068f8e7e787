"""The private parts of ministack that several modules of the sandbox use, and the way to change them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

Parameters = dict[str, list[str]]
"""The parameters of a request: lists of text, as in a parsed query string."""
Values = dict[str, Any]
"""A request or an answer in JSON, or the properties of a resource."""
Reply = tuple[int, dict[str, str], bytes]
Action = Callable[[Parameters], Reply]


def wrap(holder: Any, name: str, function: Callable[..., Any]) -> None:
    """Replace an entry of a mapping or an attribute by `function`, which gets the replaced function as its first argument."""
    if isinstance(holder, dict):
        holder[name] = functools.partial(function, holder[name])
    else:
        setattr(holder, name, functools.partial(function, getattr(holder, name)))


def resource_handlers() -> dict[str, dict[str, Any]]:
    """Return the handlers of all resource types by their operation, which may be replaced."""
    from ministack.services.cloudformation import provisioners

    handlers: dict[str, dict[str, Any]] = provisioners._RESOURCE_HANDLERS  # noqa: SLF001
    return handlers


def add_resource_type(name: str, kind: Any) -> None:
    """Add a resource type, or replace it, with the methods `create`, `update` and `delete` of `kind`."""
    resource_handlers()[name] = {"create": kind.create, "update": kind.update, "delete": kind.delete}


def value(parameters: Parameters, name: str, default: str = "") -> str:
    """Return a parameter of a request."""
    return str((parameters.get(name) or [default])[0])


def refusal(code: str, message: str) -> Reply:
    """Return the reply with an error."""
    from ministack.services.cloudformation import helpers

    reply: Reply = helpers._error(code, message)  # noqa: SLF001
    return reply


def find_stack(name: str) -> Any:
    """Return the stack with that name or ID, also a deleted one; None if it does not exist."""
    from ministack.services.cloudformation import handlers

    return handlers._resolve_stack(name)  # noqa: SLF001


def find_change_set(name: str, stack_name: str) -> Any:
    """Return the change set with that ID, or with that name of a stack; None if it does not exist."""
    from ministack.services.cloudformation import changesets

    return changesets._find_change_set(name, stack_name)[1]  # noqa: SLF001


_RENAMED: Final = {
    "EFSVolumeConfiguration": "efsVolumeConfiguration",
    "FilesystemId": "fileSystemId",
    "IAM": "iam",
}
_WITH_KEYS_OF_USERS: Final = frozenset({"DockerLabels", "Options"})


def names_of_api(properties: Any) -> Any:
    """Return properties of ECS with the names of the API: in a template they begin with capitals, and in the API with small letters."""
    if isinstance(properties, list):
        return [names_of_api(each) for each in properties]
    if not isinstance(properties, dict):
        return properties
    return {
        _RENAMED.get(name, f"{name[:1].lower()}{name[1:]}"): each if name in _WITH_KEYS_OF_USERS else names_of_api(each)
        for name, each in properties.items()
    }
