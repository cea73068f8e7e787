"""Apply transforms in the templates of nested stacks. ministack applies them only to the template of the root stack."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.sandbox.private import wrap

if TYPE_CHECKING:
    from collections.abc import Callable

_PARAMETERS: Final[ContextVar[list[dict[str, str]] | None]] = ContextVar("parameters", default=None)


def extend() -> None:
    """Make ministack apply transforms when it deploys a nested stack."""
    from ministack.services.cloudformation import engine, provisioners

    wrap(engine, "_parse_template", _parse_template)
    wrap(provisioners, "_cfn_nested_stack_deploy", _deploy_nested)


def _deploy_nested(
    inner: Callable[..., Any], logical_id: str, props: dict[str, Any], *more: Any, **options: Any
) -> Any:
    given = props.get("Parameters")
    values = given if isinstance(given, dict) else {}
    token = _PARAMETERS.set([{"Key": name, "Value": str(value)} for name, value in values.items()])
    try:
        return inner(logical_id, props, *more, **options)
    finally:
        _PARAMETERS.reset(token)


def _parse_template(inner: Callable[[str], Any], body: str) -> Any:
    """Parse a template, and apply the transforms of that of a nested stack."""
    from ministack.services.cloudformation import engine

    template = inner(body)
    parameters = _PARAMETERS.get()
    if parameters is None:
        return template
    # A transform can call the parser.
    token = _PARAMETERS.set(None)
    try:
        processed = engine._apply_transforms(template, parameters)  # noqa: SLF001
    finally:
        _PARAMETERS.reset(token)
    if isinstance(processed, engine._TransformFailed):  # noqa: SLF001
        raise ValueError(processed.error)  # noqa: TRY004 - ministack raises ValueError for invalid templates
    return processed
