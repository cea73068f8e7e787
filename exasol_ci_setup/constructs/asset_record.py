"""Parameters for the creation and the update of an asset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from exasol_ci_setup.constructs.values import Value, matching, refusal
from exasol_ci_setup.constructs.workspace import ObjectAddress, ObjectName

Visibility = Literal["private", "public"]

ContentDisposition = Annotated[
    str,
    matching(
        r"(inline|attachment)(; ?[\x20-\x7e]{1,500})?",
        "use inline or attachment, optionally with parameters in ASCII, such as 'attachment; filename=\"report.pdf\"'",
    ),
]
"""Source: https://www.rfc-editor.org/rfc/rfc6266."""

ObjectVersion = Annotated[str, matching(r"[A-Za-z0-9._-]{1,1024}", "use the id of a version of the object")]


def _has_link(name: str) -> str:
    # Browsers normalize the path of the link, so it would point to another object: https://url.spec.whatwg.org/#path-state.
    if {".", ".."} & set(name.split("/")):
        raise refusal("browsers remove the parts . and .. from a link: copy the object to another name")
    return name


class AssetCreation(ObjectAddress):
    """An object, in its latest or the named version, and the options of its link."""

    object_name: Annotated[ObjectName, AfterValidator(_has_link)]
    object_version: ObjectVersion | None = None
    visibility: Visibility = "private"
    content_disposition: ContentDisposition = "inline"


class AssetUpdate(Value):
    """Values to change; None keeps a value."""

    visibility: Visibility | None = None
    content_disposition: ContentDisposition | None = None
