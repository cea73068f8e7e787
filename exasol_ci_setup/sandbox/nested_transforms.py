"""Apply transforms in the templates of nested stacks. ministack applies them only to the template of the root stack."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PARAMETERS: Final[ContextVar[list[dict[str, str]] | None]] = ContextVar("parameters", default=None)


def extend() -> None:
    """Make ministack apply transforms when it deploys a nested stack."""
    from ministack.services.cloudformation import engine, provisioners

    engine._parse_template = _with_transforms_applied(engine._parse_template)  # noqa: SLF001
    provisioners._cfn_nested_stack_deploy = _with_transforms(provisioners._cfn_nested_stack_deploy)  # noqa: SLF001


def _with_transforms(deploy: Callable[..., Any]) -> Callable[..., Any]:
    def deploy_nested(logical_id: str, props: dict[str, Any], parent: str, **options: Any) -> Any:
        given = props.get("Parameters")
        values = given if isinstance(given, dict) else {}
        token = _PARAMETERS.set([{"Key": name, "Value": str(value)} for name, value in values.items()])
        try:
            return deploy(logical_id, props, parent, **options)
        finally:
            _PARAMETERS.reset(token)

    return deploy_nested


def _with_transforms_applied(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser of templates that also applies the transforms of a nested stack's template."""

    def parse_template(body: str) -> Any:
        from ministack.services.cloudformation import engine

        template = parse(body)
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

    return parse_template
