"""Add members that ministack omits to responses: resource identifiers for imports, and names of SSM parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from exasol_ci_setup.sandbox.private import resource_handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_END = b"</GetTemplateSummaryResult>"
_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


def with_identifiers(body: bytes, template: Mapping[str, Any]) -> bytes:
    """Add the identifiers of importable resources of a parsed `template` to the response `body`.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceIdentifierSummary.html
    """
    from ministack.services.cloudformation import changesets

    handlers = resource_handlers()
    by_type: dict[str, list[str]] = {}
    for name, resource in (template.get("Resources") or {}).items():
        kind = resource.get("Type", "")
        if kind in changesets._IMPORT_LOOKUPS and "import" in handlers.get(kind, {}):  # noqa: SLF001
            by_type.setdefault(kind, []).append(name)
    members = "".join(
        f"<member><ResourceType>{escape(kind)}</ResourceType>"
        f"<LogicalResourceIds>{_members(names)}</LogicalResourceIds>"
        # One entry is one identifier, also if it consists of several properties.
        f"<ResourceIdentifiers>{_members([','.join(changesets._IMPORT_LOOKUPS[kind][0])])}</ResourceIdentifiers></member>"  # noqa: SLF001
        for kind, names in by_type.items()
    )
    return body.replace(_END, f"<ResourceIdentifierSummaries>{members}</ResourceIdentifierSummaries>".encode() + _END)


def _members(values: Any) -> str:
    return "".join(f"<member>{escape(value)}</member>" for value in values)


def with_ssm_names(body: bytes, record_of: Callable[[str], Mapping[str, Any] | None]) -> bytes:
    """Make the names of SSM parameters the values in the response `body`, and add the resolved values.

    `record_of` returns ministack's record of a stack or change set, given its ARN.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Parameter.html
    """
    if b"<ParameterKey>" not in body:
        return body
    ET.register_namespace("", _NAMESPACE)
    root = ET.fromstring(body)  # noqa: S314 - the XML comes from this process
    for part in root.iter():
        parameters = part.find(f"{{{_NAMESPACE}}}Parameters")
        arn = part.findtext(f"{{{_NAMESPACE}}}ChangeSetId") or part.findtext(f"{{{_NAMESPACE}}}StackId")
        record = record_of(arn) if arn and parameters is not None else None
        for each in parameters if record and parameters is not None else ():
            key, value = each[0], each[1]
            name = record["_resolved_params"].get(key.text, {}).get("SsmName") if record else None
            if name:
                ET.SubElement(each, f"{{{_NAMESPACE}}}ResolvedValue").text = value.text
                value.text = name
    answer: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return answer
