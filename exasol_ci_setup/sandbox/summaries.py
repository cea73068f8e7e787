"""What ministack's GetTemplateSummary leaves out: by which properties each resource of a template can be imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

_END = b"</GetTemplateSummaryResult>"


def with_identifiers(body: bytes, template: Mapping[str, Any]) -> bytes:
    """Return the answer `body` with the identifiers of those resources of a parsed `template` whose types ministack can import.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceIdentifierSummary.html
    """
    from ministack.services.cloudformation import changesets, provisioners

    by_type: dict[str, list[str]] = {}
    for name, resource in (template.get("Resources") or {}).items():
        kind = resource.get("Type", "")
        if kind in changesets._IMPORT_LOOKUPS and "import" in provisioners._RESOURCE_HANDLERS.get(kind, {}):  # noqa: SLF001
            by_type.setdefault(kind, []).append(name)
    members = "".join(
        f"<member><ResourceType>{escape(kind)}</ResourceType>"
        f"<LogicalResourceIds>{_members(names)}</LogicalResourceIds>"
        # Several entries would be several identifiers.
        f"<ResourceIdentifiers>{_members([','.join(changesets._IMPORT_LOOKUPS[kind][0])])}</ResourceIdentifiers></member>"  # noqa: SLF001
        for kind, names in by_type.items()
    )
    return body.replace(_END, f"<ResourceIdentifierSummaries>{members}</ResourceIdentifierSummaries>".encode() + _END)


def _members(values: Any) -> str:
    return "".join(f"<member>{escape(value)}</member>" for value in values)
